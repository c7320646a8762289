"""Colour: one matrix against PIL's enhancers, numpy's formulas and the YIQ transform of the standard library."""

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from kagglekit.augment import apply, draw
from kagglekit.augment import colour as paint

# Values in 70-166, so that the factors below clip nothing: PIL clips after every step, one matrix only at the end
PHOTO = (load_sample_images().images[0][100:148, 200:264] * 0.375 + 70).astype(np.uint8)
PICTURE = Image.fromarray(PHOTO)
ENHANCERS = {
    paint.brightness: ImageEnhance.Brightness,
    paint.contrast: ImageEnhance.Contrast,
    paint.saturation: ImageEnhance.Color,
}


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.5])
@pytest.mark.parametrize("make", ENHANCERS)
def test_factors_are_pils_enhancers(make, factor):
    expected = np.asarray(ENHANCERS[make](PICTURE).enhance(factor), int)
    result = paint.recolour(PHOTO, [(make, factor)])
    assert np.abs(result - expected).max() <= 1  # PIL rounds its grey image before it blends
    floats = paint.recolour(PHOTO.astype(np.float32), [(make, factor)])
    assert np.abs(floats - expected).max() <= 1.6


def test_one_matrix_equals_pils_enhancers_one_after_another():
    steps = [
        (paint.brightness, 1.2), (paint.contrast, 0.8), (paint.saturation, 1.3),
        (paint.contrast, 1.1), (paint.brightness, 0.9),
    ]  # fmt: skip
    expected = PICTURE
    for make, factor in steps:
        expected = ENHANCERS[make](expected).enhance(factor)
    difference = np.abs(paint.recolour(PHOTO, steps) - np.asarray(expected, int))
    assert difference.max() <= 5  # PIL cuts decimals off five times
    assert difference.mean() < 3


def test_the_mean_of_contrast_is_that_of_the_image_before_it():
    """Numpy, in floats, one step after another: contrast sees what brightness, an addition and hue have left."""
    image = PHOTO.astype(np.float64)
    image = image * 0.8 + 12
    turned = np.array([[colorsys.rgb_to_yiq(*pixel) for pixel in row] for row in image])
    turned[..., 1:] = turned[..., :0:-1] * [-1, 1]  # a quarter turn: I becomes -Q, Q becomes I
    image = np.array([[colour_of_yiq(*pixel) for pixel in row] for row in turned])
    grey = (image @ paint.LUMINANCE).mean()
    image = 1.1 * image - 0.1 * grey
    steps = [
        (paint.brightness, 0.8), (paint.brightness_shift, 12.0), (paint.hue, 0.25),
        (paint.contrast, 1.1),
    ]  # fmt: skip
    result = paint.recolour(PHOTO.astype(np.float32), steps)
    assert np.abs(result - image.clip(0, 255)).mean() < 0.2  # colorsys's coefficients have two digits


def colour_of_yiq(y, i, q):
    """The inverse that colorsys uses, which clips to [0, 1] itself."""
    return [255 * value for value in colorsys.yiq_to_rgb(y / 255, i / 255, q / 255)]


def test_hue_keeps_luminance_and_greys_and_comes_round():
    image = PHOTO.astype(np.float32)
    for turn in (0.1, -0.3, 0.5):
        turned = paint.recolour(image, [(paint.hue, turn)])
        np.testing.assert_allclose(turned @ paint.LUMINANCE, image @ paint.LUMINANCE, atol=0.05)
        grey = np.full((2, 2, 3), 93, np.uint8)
        np.testing.assert_array_equal(paint.recolour(grey, [(paint.hue, turn)]), grey)
    np.testing.assert_allclose(paint.recolour(image, [(paint.hue, 1.0)]), image, atol=1e-3)
    back = [(paint.hue, 0.2), (paint.hue, -0.2)]
    np.testing.assert_allclose(paint.recolour(image, back), image, atol=1e-3)


def test_grey_is_pils_grey_image_in_three_channels():
    expected = np.asarray(ImageOps.grayscale(PICTURE), int)[..., None]
    assert np.abs(paint.recolour(PHOTO, [(paint.grey, True)]) - expected).max() <= 1
    np.testing.assert_array_equal(paint.recolour(PHOTO, [(paint.grey, False)]), PHOTO)


@pytest.mark.parametrize("channels", [1, 2, 4, 6, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_other_numbers_of_channels_get_brightness_and_contrast_alone(channels, dtype):
    image = np.stack([np.roll(PHOTO[..., number % 3], number) for number in range(channels)], axis=-1).astype(dtype)
    steps = [(paint.brightness, 1.2), (paint.saturation, 0.1), (paint.contrast, 0.7)]
    expected = 0.7 * 1.2 * image.astype(np.float64) + 0.3 * 1.2 * image.mean(dtype=np.float64)
    assert np.abs(paint.recolour(image, steps) - expected).max() <= 0.5 + 1e-3


def test_contrast_and_brightness_cast_no_colour():
    grey = np.repeat(PHOTO[..., :1], 3, axis=2)
    for steps in ([(paint.contrast, 1.7)], [(paint.brightness, 0.6), (paint.contrast, 0.5)]):
        result = paint.recolour(grey, steps)
        np.testing.assert_array_equal(result[..., 0], result[..., 1])
        np.testing.assert_array_equal(result[..., 0], result[..., 2])


def test_values_are_clipped_at_the_end_only():
    image = np.full((1, 1, 3), 200, np.uint8)
    np.testing.assert_array_equal(paint.recolour(image, [(paint.brightness_shift, 100.0)]), 255)
    there_and_back = [(paint.brightness_shift, 100.0), (paint.brightness_shift, -100.0)]
    np.testing.assert_array_equal(paint.recolour(image, there_and_back), image)


@pytest.mark.parametrize(
    ("name", "strength", "low", "high"),
    [
        ("brightness", 0.2, 0.8, 1.2), ("contrast", 0.3, 0.7, 1.3), ("saturation", 1.5, 0, 2.5),
        ("hue", 0.05, -0.05, 0.05), ("hue", 3, -0.5, 0.5), ("brightness_shift", 0.1, -25.5, 25.5),
    ],
)  # fmt: skip
def test_ranges_are_those_of_torchvisions_colour_jitter(name, strength, low, high):
    def value(seed):
        drawn = draw([(name, strength)], np.random.default_rng(seed), box=(0, 0, 4, 4), size=(4, 4))
        return drawn.steps[0][1]

    values = np.array([value(seed) for seed in range(300)])
    assert np.all((values >= low) & (values <= high))
    assert np.ptp(values) > 0.95 * (high - low)
    assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * 300)


def test_neighbouring_colour_ops_of_a_policy_are_one_matrix():
    policy = [("brightness", 0.3), ("contrast", 0.3), ("saturation", 0.3), ("hue", 0.1)]
    drawn = draw(policy, np.random.default_rng(5), box=(0, 0, 48, 64), size=(48, 64))
    makers = (paint.brightness, paint.contrast, paint.saturation, paint.hue)
    steps = [(make, value) for make, (_, value) in zip(makers, drawn.steps, strict=True)]
    np.testing.assert_array_equal(apply(drawn, PHOTO, (48, 64)), paint.recolour(PHOTO, steps))
