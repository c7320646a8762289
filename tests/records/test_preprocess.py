"""Preprocessing: each function against its definition in plain numpy or OpenCV."""

import colorsys

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from kagglekit.records.preprocess import (
    PREPROCESS,
    ben_graham,
    circle_crop,
    crop_grey_border,
    crop_to_box,
    grey_to_rgb,
    hsv_mask,
    standardise_per_image,
)

PHOTO = load_sample_images().images[0]
CHANNELS = [1, 2, 3, 4, 6, 13]
CALLS = {**PREPROCESS, "crop_to_box": lambda image: crop_to_box(image, (0, 0, *image.shape[:2]))}
ANY_CHANNELS = [name for name in CALLS if name not in ("hsv_mask", "grey_to_rgb")]


def noise(height=40, width=61, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def eye(height=90, width=120, radius=36, channels=3):
    """A bright, uneven disc in the middle of a black image."""
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) <= radius
    return (noise(height, width, channels) // 2 + 100) * inside[..., None].astype(np.uint8)


def distance(height, width):
    """How far each pixel's centre lies from the middle."""
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("shape", [(40, 61), (61, 40), (1, 1), (1, 30), (30, 1), (17, 17)])
def test_images_of_any_shape_stay_images_and_the_input_stays_as_it_is(name, shape):
    image = noise(*shape)
    before = image.copy()
    done = CALLS[name](image)
    assert done.dtype == np.uint8
    assert (done.ndim, done.shape[2]) == (3, 3)
    assert done.size
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", CALLS)
def test_the_layout_in_memory_does_not_matter(name):
    image = eye()
    for strided in (np.asfortranarray(image), image[:, ::-1].copy()[:, ::-1], np.dstack([image, image])[..., :3]):
        np.testing.assert_array_equal(CALLS[name](strided), CALLS[name](image))


@pytest.mark.parametrize("name", [name for name in CALLS if name != "circle_crop"])
def test_a_black_image_comes_back_as_it_is(name):
    black = np.zeros((31, 20, 3), np.uint8)
    np.testing.assert_array_equal(CALLS[name](black), black)


def test_the_disc_of_a_black_image_is_black():
    np.testing.assert_array_equal(circle_crop(np.zeros((31, 20, 3), np.uint8)), np.zeros((20, 20, 3), np.uint8))


@pytest.mark.parametrize(
    "name", [name for name in ANY_CHANNELS if name not in ("crop_grey_border", "standardise_per_image")]
)
@pytest.mark.parametrize("channels", CHANNELS)
def test_channels_are_treated_alike_and_apart(name, channels):
    grey = eye(channels=1)
    whole = CALLS[name](np.repeat(grey, channels, axis=2))
    np.testing.assert_array_equal(whole, np.repeat(CALLS[name](grey), channels, axis=2))


@pytest.mark.parametrize("channels", CHANNELS)
def test_crop_grey_border_and_standardise_take_any_number_of_channels(channels):
    grey = eye(channels=1)
    image = np.repeat(grey, channels, axis=2)
    for function in (crop_grey_border, standardise_per_image):
        np.testing.assert_array_equal(function(image), np.repeat(function(grey), channels, axis=2))


@pytest.mark.parametrize("channels", CHANNELS)
def test_ben_graham_is_the_formula_of_its_author(channels):
    image = eye(channels=channels)
    # Plain numpy: the row's radius, four times the difference from the local mean, 0.9 of the radius.
    row = image[45].sum(axis=1)
    radius = (row > row.mean() / 10).sum() / 2
    planes = [
        cv2.GaussianBlur(np.ascontiguousarray(image[..., number]), (0, 0), radius / 30) for number in range(channels)
    ]
    blurred = np.stack(planes, axis=-1).astype(int)
    reference = np.clip(4 * image.astype(int) - 4 * blurred + 128, 0, 255)
    reference[distance(90, 120) > 0.9 * radius] = 128
    np.testing.assert_array_equal(ben_graham(image), reference)


@pytest.mark.parametrize("radius", [20, 40, 64])
def test_ben_graham_scales_eyes_to_the_radius(radius):
    done = ben_graham(eye(360, 480, 150), radius=radius)
    seen = np.argwhere((done != 128).any(axis=2))
    assert done.shape[1] / 480 == pytest.approx(radius / 150, rel=0.03)
    assert np.abs(np.ptp(seen, axis=0) - 2 * 0.9 * radius).max() <= 3


def test_ben_graham_takes_away_the_colour_of_the_lamp():
    image = eye(240, 320, 110).astype(float)
    lamps = [
        np.clip(image * gain + (image > 0) * offset, 0, 255).astype(np.uint8) for gain, offset in ((0.5, 0), (0.5, 40))
    ]
    one, other = (ben_graham(lamp).astype(int) for lamp in lamps)
    inner = distance(240, 320) < 80
    assert np.abs(lamps[0].astype(int) - lamps[1])[inner].mean() > 35
    assert np.abs(one - other)[inner].mean() < 3


def test_circle_crop_keeps_the_disc_of_the_middle_square():
    image = noise(41, 60)
    square = image[:, 9:50].copy()
    square[distance(41, 41) > 20.5] = 0
    np.testing.assert_array_equal(circle_crop(image), square)


def test_circle_crop_is_the_same_from_every_side():
    image = noise(32, 32)
    np.testing.assert_array_equal(circle_crop(np.rot90(image)), np.rot90(circle_crop(image)))
    np.testing.assert_array_equal(circle_crop(image[:, ::-1]), circle_crop(image)[:, ::-1])


def test_crop_grey_border_cuts_what_is_no_brighter_than_seven():
    image = np.full((30, 40, 3), 7, np.uint8)
    image[5:20, 8:33] = noise(15, 25) // 2 + 8
    image[10, :] = 7  # a dark row within the image stays
    np.testing.assert_array_equal(crop_grey_border(image), image[5:20, 8:33])
    np.testing.assert_array_equal(crop_grey_border(image, threshold=6), image)


def test_crop_grey_border_measures_brightness_as_luma():
    image = np.zeros((5, 5, 3), np.uint8)
    image[2, 2, 2] = 60  # blue: 0.114 x 60 = 6.84
    np.testing.assert_array_equal(crop_grey_border(image), image)
    image[2, 3, 1] = 20  # green: 0.587 x 20 = 11.7
    np.testing.assert_array_equal(crop_grey_border(image), image[2:3, 3:4])


def in_range(pixel, low, high, slack):
    """Whether the standard library's HSV of a pixel lies in OpenCV's range, made wider by `slack` at every end."""
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
    return (
        (180 * hue - low[0] + slack) % 180 <= (high[0] - low[0]) % 180 + 2 * slack
        and low[1] - slack <= 255 * saturation <= high[1] + slack
        and low[2] - slack <= 255 * value <= high[2] + slack
    )


@pytest.mark.parametrize(("low", "high"), [((25, 100, 50), (95, 255, 255)), ((150, 40, 30), (20, 255, 240))])
def test_hsv_mask_keeps_the_range_that_the_standard_library_computes(low, high):
    image = np.concatenate([PHOTO[:60, :60], noise(60, 60)], axis=1)
    pixels, masked = image.reshape(-1, 3), hsv_mask(image, low=low, high=high).reshape(-1, 3)
    # OpenCV rounds hue, saturation and value to whole numbers, so within one unit of an end either is right.
    inside, touching = ([in_range(pixel, low, high, slack) for pixel in pixels] for slack in (-1, 1))
    assert 0.05 < np.mean(inside) <= np.mean(touching) < 0.95
    np.testing.assert_array_equal(masked[inside], pixels[inside])
    assert (masked[~np.array(touching)] == 0).all()
    assert ((masked == pixels) | (masked == 0)).all()


def test_hsv_mask_keeps_everything_in_the_full_range():
    image = noise()
    np.testing.assert_array_equal(hsv_mask(image, low=(0, 0, 0), high=(179, 255, 255)), image)


def test_crop_to_box_cuts_rows_and_columns():
    image = noise()
    np.testing.assert_array_equal(crop_to_box(image, (3, 10, 20, 30)), image[3:23, 10:40])
    np.testing.assert_array_equal(crop_to_box(image, (3.9, 10.2, 20.0, 30.8)), image[3:24, 10:41])
    np.testing.assert_array_equal(crop_to_box(image, (0, 0, 40, 61)), image)


@pytest.mark.parametrize(
    "box",
    [
        (-1, 0, 5, 5),
        (0, -0.5, 5, 5),
        (0, 0, 41, 5),
        (30, 0, 11, 5),
        (0, 60, 5, 2),
        (0, 0, 0, 5),
        (0, 0, 5, float("nan")),
    ],
)
def test_crop_to_box_refuses_boxes_outside_and_empty_ones(box):
    with pytest.raises(ValueError, match="within the image of 40x61 pixels"):
        crop_to_box(noise(), box)


@pytest.mark.parametrize("image", [PHOTO, noise(), noise(channels=6), PHOTO // 8, eye()], ids=len)
def test_standardise_is_tensorflows_formula_mapped_to_128_and_64(image):
    values = image.astype(float)
    adjusted = max(values.std(), 1 / np.sqrt(values.size))
    reference = np.clip(np.rint(128 + 64 * (values - values.mean()) / adjusted), 0, 255)
    assert np.abs(standardise_per_image(image) - reference).max() == 0


def test_standardise_undoes_exposure_and_contrast():
    image = noise() // 2 + 10
    brighter = np.rint(image * 1.5 + 20).astype(np.uint8)
    difference = standardise_per_image(image).astype(int) - standardise_per_image(brighter)
    assert np.abs(difference).max() <= 2


def test_standardise_caps_the_spread_of_nearly_uniform_images():
    image = np.full((1, 4, 1), 9, np.uint8)
    image[0, 0] = 10  # spread sqrt(3) / 4 below 1 / sqrt(4): z = 0.75 / 0.5 and -0.25 / 0.5
    assert standardise_per_image(image).ravel().tolist() == [224, 96, 96, 96]
    uniform = np.full((8, 9, 3), 200, np.uint8)
    np.testing.assert_array_equal(standardise_per_image(uniform), uniform)


def test_grey_to_rgb_repeats_one_channel_and_keeps_three():
    grey = noise(channels=1)
    np.testing.assert_array_equal(grey_to_rgb(grey), np.dstack([grey] * 3))
    np.testing.assert_array_equal(grey_to_rgb(noise()), noise())


@pytest.mark.parametrize(("function", "channels"), [(grey_to_rgb, 2), (grey_to_rgb, 4), (hsv_mask, 1), (hsv_mask, 6)])
def test_functions_of_colour_refuse_other_channels(function, channels):
    with pytest.raises(ValueError, match=f"got {channels}"):
        function(noise(channels=channels))


@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_image_of_eight_bits_is_refused(name):
    for strange in (noise().astype(np.float32), noise()[..., 0], noise()[:0]):
        with pytest.raises(ValueError, match="expected an image as uint8"):
            CALLS[name](strange)
