"""Test-time views."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from kagglekit.augment.views import DIHEDRAL, FIVE_CROP, MULTI_SCALE, VIEWS, apply_view, invert_view, view_box

PHOTO = load_sample_images().images[0]
SWAPPING = ("rot90", "rot270", "transpose", "transverse")
BOXES = [(0, 0, 224, 224), (10, 3, 17, 40), (5.5, 0.25, 1, 1)]
PIL_NAMES = {
    "hflip": Image.Transpose.FLIP_LEFT_RIGHT,
    "vflip": Image.Transpose.FLIP_TOP_BOTTOM,
    "rot90": Image.Transpose.ROTATE_90,
    "rot180": Image.Transpose.ROTATE_180,
    "rot270": Image.Transpose.ROTATE_270,
    "transpose": Image.Transpose.TRANSPOSE,
    "transverse": Image.Transpose.TRANSVERSE,
}


def square(channels=3, dtype=np.uint8, side=16):
    return np.random.default_rng(0).integers(0, 256, (side, side, channels)).astype(dtype)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_every_view_keeps_shape_type_and_input(view, dtype, channels):
    image = square(channels, dtype)
    before = image.copy()
    seen = apply_view(image, view)
    assert (seen.shape, seen.dtype) == (image.shape, image.dtype)
    assert seen.flags.c_contiguous
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("view", PIL_NAMES)
def test_symmetries_are_pils(view):
    image = PHOTO[:200, :200]
    np.testing.assert_array_equal(apply_view(image, view), Image.fromarray(image).transpose(PIL_NAMES[view]))


@pytest.mark.parametrize("view", VIEWS)
def test_a_cut_out_of_a_larger_picture_is_seen_alike(view):
    cut = PHOTO[10:90, 20:100, :2]
    np.testing.assert_array_equal(apply_view(cut, view), apply_view(cut.copy(), view))


@pytest.mark.parametrize("view", DIHEDRAL)
def test_a_view_followed_by_its_inverse_is_the_picture(view):
    image = square()
    np.testing.assert_array_equal(invert_view(apply_view(image, view), view), image)
    np.testing.assert_array_equal(apply_view(invert_view(image, view), view), image)


def test_the_eight_symmetries_are_a_group():
    image = square(1, side=3)
    pictures = {apply_view(image, view).tobytes(): view for view in DIHEDRAL}
    assert len(pictures) == 8
    for first in DIHEDRAL:
        products = {pictures[apply_view(apply_view(image, first), second).tobytes()] for second in DIHEDRAL}
        assert products == set(DIHEDRAL)


@pytest.mark.parametrize("view", [view for view in DIHEDRAL if view not in SWAPPING])
@pytest.mark.parametrize("shape", [(15, 17, 3), (33, 20, 1)])
def test_flips_and_half_turns_take_any_shape(view, shape):
    image = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(invert_view(apply_view(image, view), view), image)


@pytest.mark.parametrize("view", SWAPPING)
def test_views_that_swap_the_sides_refuse_a_picture_that_is_not_square(view):
    with pytest.raises(ValueError, match=f"'{view}' swaps the sides and needs a square picture, got 15x17"):
        apply_view(PHOTO[:15, :17], view)
    with pytest.raises(ValueError, match="swaps the sides and needs a square picture, got 17x15"):
        invert_view(PHOTO[:17, :15], view)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("box", BOXES)
def test_the_box_of_a_view_lies_within_the_box_and_has_its_proportions(view, box):
    top, left, height, width = view_box(view, box)
    assert box[0] <= top <= top + height <= box[0] + box[2]
    assert box[1] <= left <= left + width <= box[1] + box[3]
    assert height * box[3] == pytest.approx(width * box[2])


@pytest.mark.parametrize("view", DIHEDRAL)
def test_symmetries_look_at_the_whole_box(view):
    assert view_box(view, (5, 6, 70, 80)) == (5, 6, 70, 80)


@pytest.mark.parametrize("view", [*FIVE_CROP, "zoom", *MULTI_SCALE[1:]])
def test_parts_are_not_turned_and_have_no_inverse(view):
    image = square()
    np.testing.assert_array_equal(apply_view(image, view), image)
    with pytest.raises(ValueError, match=f"'{view}' shows a part of the picture"):
        invert_view(image, view)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("zoom", (10, 22, 140, 280)),
        ("five_crop_centre", (10, 22, 140, 280)),
        ("five_crop_top_left", (0, 2, 140, 280)),
        ("five_crop_top_right", (0, 42, 140, 280)),
        ("five_crop_bottom_left", (20, 2, 140, 280)),
        ("five_crop_bottom_right", (20, 42, 140, 280)),
        ("scale_90", (8, 18, 144, 288)),
        ("scale_75", (20, 42, 120, 240)),
        ("scale_60", (32, 66, 96, 192)),
    ],
)
def test_parts_lie_where_their_name_says(view, expected):
    assert view_box(view, (0, 2, 160, 320)) == pytest.approx(expected)


def test_groups_name_views():
    assert (len(DIHEDRAL), len(FIVE_CROP), len(MULTI_SCALE)) == (8, 5, 4)
    assert {*DIHEDRAL, *FIVE_CROP, *MULTI_SCALE, "zoom"} == set(VIEWS)


def test_an_unknown_view_is_refused_with_the_nearest_name():
    for call in (lambda: view_box("hflop", BOXES[0]), lambda: apply_view(PHOTO, "hflop")):
        with pytest.raises(ValueError, match="Did you mean 'hflip'"):
            call()
