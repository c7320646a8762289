"""Geometry: matrices against numpy, PIL and scipy, and one warp against several."""

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_images

from kagglekit.augment import Drawn, apply, draw
from kagglekit.augment import geometry as move

PHOTO = np.ascontiguousarray(load_sample_images().images[0][100:197, 200:329])  # 97 x 129
SQUARE = PHOTO[:96, :96]


def shown(image, box, shape, size):
    """A box of an image at a size, without any op."""
    return apply(Drawn(tuple(box), tuple(size), ()), image, shape)


def smooth(height=90, width=120, channels=3):
    """An image without fine detail: what interpolation does to it is small."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / (11 + number)) * np.cos(y / (9 + number)) for number in range(channels)]
    return np.stack(waves, axis=-1).astype(np.float32)


def interpolated(image, matrix, size, mode="mirror"):
    """Scipy's reference of a warp: each output pixel's place in the input, bilinear."""
    height, width, channels = image.shape
    rows, columns = np.mgrid[: size[0], : size[1]]
    points = np.stack([columns + 0.5 - size[1] / 2, rows + 0.5 - size[0] / 2, np.ones(size)]).reshape(3, -1)
    x, y, _ = np.linalg.inv(matrix) @ points
    places = [y - 0.5 + height / 2, x - 0.5 + width / 2]
    planes = [
        ndimage.map_coordinates(image[..., channel].astype(np.float64), places, order=1, mode=mode, cval=128)
        for channel in range(channels)
    ]
    return np.stack(planes, axis=-1).reshape(*size, channels)


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_dihedral_views_are_numpys_and_exact(number, channels):
    image = np.dstack([SQUARE, SQUARE[::-1]])[..., :channels]
    expected = np.rot90(image, number % 4)
    expected = expected[:, ::-1] if number >= 4 else expected
    np.testing.assert_array_equal(move.warp(image, move.dihedral_matrix(number)), expected)


def test_quarter_turns_of_oblong_images_are_exact_where_the_size_turns_too():
    np.testing.assert_array_equal(move.warp(PHOTO, move.dihedral_matrix(1), (129, 97)), np.rot90(PHOTO))
    np.testing.assert_array_equal(move.warp(PHOTO, move.dihedral_matrix(7), (129, 97)), np.rot90(PHOTO, 3)[:, ::-1])


@pytest.mark.parametrize("image", [PHOTO, PHOTO[:, :128], PHOTO[..., :1], PHOTO.astype(np.float32)])
def test_flips_are_numpys_and_exact(image):
    np.testing.assert_array_equal(move.warp(image, move.flip_matrix(horizontal=True)), image[:, ::-1])
    np.testing.assert_array_equal(move.warp(image, move.flip_matrix(vertical=True)), image[::-1])
    both = move.flip_matrix(horizontal=True) @ move.flip_matrix(vertical=True)
    np.testing.assert_array_equal(move.warp(image, both), image[::-1, ::-1])


def test_crops_of_whole_pixels_are_slices():
    crop = move.crop_matrix((10, 20, 31, 44), PHOTO.shape[:2], (31, 44))
    np.testing.assert_array_equal(move.warp(PHOTO, crop, (31, 44)), PHOTO[10:41, 20:64])
    flipped = move.flip_matrix(horizontal=True) @ crop
    np.testing.assert_array_equal(move.warp(PHOTO, flipped, (31, 44)), PHOTO[10:41, 20:64][:, ::-1])


def test_shifts_by_whole_pixels_repeat_the_border():
    padded = np.pad(PHOTO, ((97, 97), (129, 129), (0, 0)), mode="edge")
    for down, right in ((3, -5), (0, 7), (-97, 0)):
        expected = padded[97 - down : 194 - down, 129 - right : 258 - right]
        np.testing.assert_array_equal(move.warp(PHOTO, move.shift_matrix(down, right), border="replicate"), expected)


@pytest.mark.parametrize("degrees", [0, 15, -40, 90, 180])
def test_rotation_turns_as_pil_does(degrees):
    expected = np.asarray(Image.fromarray(SQUARE).rotate(degrees, resample=Image.Resampling.BILINEAR), np.float64)
    result = move.warp(SQUARE, move.rotation_matrix(degrees), border="constant", fill=0)
    inside = slice(20, -20)  # PIL cuts the outermost pixels off instead of fading to the fill
    assert np.abs(result - expected)[inside, inside].mean() < 1
    assert np.abs(result - expected)[inside, inside].max() <= 12  # weights of 1/32 in uint8


@pytest.mark.parametrize("border", ["reflect", "constant"])
@pytest.mark.parametrize(
    "matrix",
    [
        move.rotation_matrix(20) @ move.zoom_matrix(0.8),
        move.shear_matrix(x=0.3),
        move.shear_matrix(y=-0.2) @ move.zoom_matrix(1.3, 0.9),
        move.shift_matrix(4.5, -3.25),
    ],
)
def test_a_warp_is_scipys_bilinear_interpolation(matrix, border):
    for image in (smooth(), smooth(channels=6), smooth(channels=1)):
        for size in (image.shape[:2], (70, 101)):
            expected = interpolated(
                image, matrix, size, mode={"reflect": "mirror", "constant": "grid-constant"}[border]
            )
            result = move.warp(image, matrix, size, border=border)
            assert np.abs(result - expected).max() < 8  # within the 1/32 pixel that older OpenCV rounds to
            assert np.abs(result - expected).mean() < 0.3
            whole = move.warp(np.rint(image).astype(np.uint8), matrix, size, border=border)
            assert np.abs(whole - expected).mean() < 1


@pytest.mark.parametrize(
    ("matrix", "moved"),
    [
        (move.rotation_matrix(90), lambda x, y: (y, -x)),  # counter-clockwise on the screen: right goes up
        (move.rotation_matrix(30), lambda x, y: (0.8660254 * x + 0.5 * y, -0.5 * x + 0.8660254 * y)),
        (move.shift_matrix(7, -4), lambda x, y: (x - 4, y + 7)),
        (move.zoom_matrix(1.5), lambda x, y: (1.5 * x, 1.5 * y)),
        (move.shear_matrix(x=0.5), lambda x, y: (x + 0.5 * y, y)),
        (move.shear_matrix(y=0.5), lambda x, y: (x, y + 0.5 * x)),
        (move.flip_matrix(horizontal=True) @ move.rotation_matrix(0), lambda x, y: (-x, y)),
    ],
)
def test_a_dot_moves_to_the_place_that_the_matrix_says(matrix, moved):
    image = np.zeros((101, 121, 1), np.float32)
    cv2.circle(image, (75, 40), 4, 255, -1)  # 15 right of the centre, 10 above it
    result = move.warp(image, matrix, border="constant", fill=0)[..., 0]
    rows, columns = np.mgrid[:101, :121]
    found = [(columns * result).sum() / result.sum() - 60, (rows * result).sum() / result.sum() - 50]
    np.testing.assert_allclose(found, moved(15, -10), atol=0.1)
    np.testing.assert_allclose((matrix @ [15, -10, 1])[:2], moved(15, -10), atol=1e-6)


def test_one_composed_warp_equals_the_ops_one_after_another():
    image = smooth()
    matrices = [
        move.crop_matrix((8, 10, 70, 100), image.shape[:2], (90, 90)),
        move.flip_matrix(horizontal=True),
        move.rotation_matrix(8),
        move.shear_matrix(x=0.05),
        move.zoom_matrix(1.1),
        move.shift_matrix(2.5, -1.5),
    ]
    one_by_one, composed = image, np.eye(3)
    for matrix in matrices:
        one_by_one = move.warp(one_by_one, matrix, (90, 90))
        composed = matrix @ composed
    inside = slice(15, -15)  # of the corners, the composed warp knows more
    difference = np.abs(move.warp(image, composed, (90, 90)) - one_by_one)[inside, inside]
    assert difference.mean() < 1
    assert difference.max() < 6


def test_a_drawn_policy_is_the_product_of_its_matrices():
    image, size = smooth(), (90, 110)
    policy = [("random_resized_crop", 0.5), ("flip_horizontal", 0.5), ("rotation", 30), ("shear_x", 0.2), ("zoom", 0.3)]
    for seed in range(8):
        drawn = draw(policy, np.random.default_rng(seed), box=(0, 0, 90, 120), size=size)
        flip, degrees, shear, zoom = (value for _, value in drawn.steps)
        matrix = move.zoom_matrix(zoom) @ move.shear_matrix(x=shear) @ move.rotation_matrix(degrees)
        matrix = matrix @ move.flip_matrix(horizontal=flip) @ move.crop_matrix(drawn.window, (90, 120), size)
        assert np.abs(apply(drawn, image, (90, 120)) - interpolated(image, matrix, size)).mean() < 0.5


def test_a_strong_reduction_does_not_alias():
    """Lines of one pixel average to grey; without antialiasing they would come out black and white."""
    stripes = np.zeros((240, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    for matrix in (move.zoom_matrix(1 / 6), move.rotation_matrix(0.5) @ move.zoom_matrix(1 / 6)):
        inside = move.warp(stripes, matrix, (40, 40))[4:-4, 4:-4]
        assert np.abs(inside.astype(float) - 127.5).max() < 12
    for turn in (np.eye(3), move.rotation_matrix(0.5)):  # reduced along one axis only
        across = move.warp(stripes, turn @ move.zoom_matrix(1, 1 / 6), (240, 40))[:, 4:-4]
        assert np.abs(across.astype(float) - 127.5).max() < 12


def test_a_reduction_keeps_every_point_in_its_place():
    image = smooth(400, 600)
    for matrix in (move.zoom_matrix(1 / 5), move.rotation_matrix(10) @ move.zoom_matrix(1 / 5)):
        difference = np.abs(move.warp(image, matrix, (60, 100)) - interpolated(image, matrix, (60, 100)))
        assert difference.mean() < 6  # the waves' own blur; half a pixel of shift would give three times as much
    # The mean place of light is where the matrix says, to a hundredth of a pixel.
    dot = np.zeros((401, 401, 1), np.float32)
    dot[150, 250] = 255
    result = move.warp(dot, move.zoom_matrix(1 / 4), (101, 101), border="constant", fill=0)[..., 0]
    rows, columns = np.mgrid[:101, :101]
    found = (columns * result).sum() / result.sum() - 50, (rows * result).sum() / result.sum() - 50
    np.testing.assert_allclose(found, (50 / 4, -50 / 4), atol=0.3)


@pytest.mark.parametrize("size", [(97, 129), (60, 70), (200, 150), (49, 65)])
def test_resize_is_opencvs_bilinear_up_to_a_reduction_of_2(size):
    expected = cv2.resize(PHOTO, size[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(move.resize(PHOTO, size), expected)
    np.testing.assert_array_equal(move.resize(np.dstack([PHOTO] * 3), size), np.dstack([expected] * 3))


def test_resize_takes_the_mean_of_what_powers_of_two_cover():
    image = PHOTO[:96, :128].astype(np.float32)
    for down, right in ((2, 4), (4, 8), (8, 2), (4, 1)):
        means = image.reshape(96 // down, down, 128 // right, right, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(move.resize(image, means.shape[:2]), means, atol=1e-3)
        rounded = move.resize(image.astype(np.uint8), means.shape[:2])
        assert np.abs(rounded - means).max() <= 2  # each halving rounds


@pytest.mark.parametrize("factor", [2.5, 3.3, 5.7, 7.1])
def test_a_resize_beyond_2_averages_more_noise_away_than_bilinear_does(factor):
    noise, size = np.random.default_rng(0).normal(size=(400, 400, 1)).astype(np.float32), (round(400 / factor),) * 2
    assert move.resize(noise, size).std() < 0.75 * cv2.resize(noise, size, interpolation=cv2.INTER_LINEAR).std()


def test_boxes_for_evaluation_are_slices_where_nothing_changes():
    shape = PHOTO.shape[:2]
    np.testing.assert_array_equal(shown(PHOTO, (0, 0, *shape), shape, shape), PHOTO)
    np.testing.assert_array_equal(shown(PHOTO, (5, 9, 80, 80), shape, (80, 80)), PHOTO[5:85, 9:89])
    expected = cv2.resize(PHOTO[5:85, 9:89], (60, 64), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(shown(PHOTO, (5, 9, 80, 80), shape, (64, 60)), expected)


def test_boxes_count_pixels_of_the_stored_image_however_small_it_was_decoded():
    stored = smooth(160, 240)
    reduced = cv2.resize(stored, (120, 80), interpolation=cv2.INTER_AREA)
    for box in ((0, 0, 160, 240), (20, 40, 120, 120), (21, 33, 101, 99)):  # the last: half pixels of the reduced one
        whole, part = (shown(image, box, (160, 240), (40, 44)) for image in (stored, reduced))
        assert np.abs(whole - part).mean() < 3


def test_a_window_shows_what_the_box_of_evaluation_would():
    drawn = draw([("window", 0.6)], np.random.default_rng(3), box=(4, 5, 90, 120), size=(50, 50))
    expected = shown(PHOTO, drawn.window, PHOTO.shape[:2], (50, 50))
    np.testing.assert_array_equal(apply(drawn, PHOTO, PHOTO.shape[:2]), expected)


@pytest.mark.parametrize("make", [move.draw_window, move.draw_random_resized_crop])
@pytest.mark.parametrize(("strength", "least"), [(0.4, 0.6), (0.92, 0.08), (7.0, 0.05)])
def test_windows_lie_inside_and_their_areas_are_uniform(make, strength, least):
    rng = np.random.default_rng(0)
    top, left, height, width = np.array([make(rng, strength) for _ in range(500)]).T
    area = height * width
    assert np.all((area >= least - 1e-9) & (area <= 1 + 1e-9))
    assert np.all((top >= 0) & (left >= 0) & (top + height <= 1 + 1e-9) & (left + width <= 1 + 1e-9))
    assert abs(area.mean() - (1 + least) / 2) < 4 * (1 - least) / np.sqrt(12 * 500)
    ratio = width / height
    if make is move.draw_window:
        np.testing.assert_allclose(ratio, 1)
    else:
        assert np.all((ratio >= 3 / 4 - 1e-9) & (ratio <= 4 / 3 + 1e-9))
        assert ratio.max() > 1.25
        assert ratio.min() < 0.8


def test_windows_are_whole_pixels_of_the_box_and_never_empty():
    rng = np.random.default_rng(0)
    for box in ((0, 0, 1, 1), (3, 5, 2, 9), (10, 0, 300, 400)):
        for _ in range(200):
            top, left, height, width = move.window_to_pixels(box, move.draw_random_resized_crop(rng, 0.95))
            assert all(value == int(value) for value in (top, left, height, width))
            assert box[0] <= top < top + height <= box[0] + box[2]
            assert box[1] <= left < left + width <= box[1] + box[3]


@pytest.mark.parametrize(
    ("make", "strength", "low", "high"),
    [(move.draw_rotation, 15, -15, 15), (move.draw_shear, 0.3, -0.3, 0.3), (move.draw_shift, 0.2, -0.2, 0.2)],
)
def test_draws_fill_their_documented_range_and_no_more(make, strength, low, high):
    rng = np.random.default_rng(0)
    drawn = np.array([np.atleast_1d(make(rng, strength)) for _ in range(400)])
    assert np.all((drawn >= low) & (drawn <= high))
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=4 * (high - low) / np.sqrt(12 * 400))
    assert np.all(np.ptp(drawn, axis=0) > 0.95 * (high - low))


def test_zooms_are_as_often_in_as_out():
    rng = np.random.default_rng(0)
    logs = np.log([move.draw_zoom(rng, 0.25) for _ in range(400)])
    assert np.abs(logs).max() <= np.log(1.25) + 1e-12
    assert abs(logs.mean()) < 4 * 2 * np.log(1.25) / np.sqrt(12 * 400)


def test_an_unknown_border_is_named():
    with pytest.raises(ValueError, match=r"expected border to be one of 'reflect', .* got 'reflekt'\. Did you mean"):
        move.warp(PHOTO, np.eye(3), border="reflekt")
