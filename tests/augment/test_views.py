"""Test-time views."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from kagglekit.augment.views import DIHEDRAL, VIEW_SETS, VIEWS, apply_view, named_views, view_box

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
def test_a_cut_out_of_a_larger_image_is_seen_alike(view):
    cut = PHOTO[10:90, 20:100, :2]
    np.testing.assert_array_equal(apply_view(cut, view), apply_view(cut.copy(), view))


def test_the_eight_symmetries_are_a_group():
    image = square(1, side=3)
    images = {apply_view(image, view).tobytes(): view for view in DIHEDRAL}
    assert len(images) == 8
    for first in DIHEDRAL:
        products = {images[apply_view(apply_view(image, first), second).tobytes()] for second in DIHEDRAL}
        assert products == set(DIHEDRAL)


@pytest.mark.parametrize("view", [view for view in DIHEDRAL if view not in SWAPPING])
@pytest.mark.parametrize("shape", [(15, 17, 3), (33, 20, 1)])
def test_flips_and_half_turns_take_any_shape_and_undo_themselves(view, shape):
    image = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(apply_view(apply_view(image, view), view), image)


@pytest.mark.parametrize("view", SWAPPING)
def test_views_that_swap_the_sides_refuse_an_image_that_is_not_square(view):
    message = f"'{view}' swaps the sides and needs a square image, got 15x17; .*or identity, hflip, vflip, rot180$"
    with pytest.raises(ValueError, match=message):
        apply_view(PHOTO[:15, :17], view)
    with pytest.raises(ValueError, match=message):
        named_views(["hflip", view], (15, 17))
    assert named_views(view, (15, 15)) == named_views(view, 15) == ["identity", view]


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


@pytest.mark.parametrize("view", [view for view in VIEWS if view not in DIHEDRAL])
def test_parts_are_not_turned(view):
    image = square()
    np.testing.assert_array_equal(apply_view(image, view), image)


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


def test_sets_name_views_and_leave_none_out():
    assert {name: len(views) for name, views in VIEW_SETS.items()} == {
        "none": 1, "flips": 3, "d4": 8, "five_crop": 6, "scales": 4,
    }  # fmt: skip
    assert {view for views in VIEW_SETS.values() for view in views} | {"zoom"} == set(VIEWS)


def test_views_are_named_by_a_set_a_name_or_a_list_and_the_image_itself_is_always_there():
    for views, expected in (
        ("none", ["identity"]), ([], ["identity"]), ("identity", ["identity"]), ("hflip", ["identity", "hflip"]),
        ("flips", ["identity", "hflip", "vflip"]), (("zoom", "hflip", "zoom"), ["identity", "zoom", "hflip"]),
        (["flips", "zoom"], ["identity", "hflip", "vflip", "zoom"]), ("d4", list(DIHEDRAL)),
    ):  # fmt: skip
        assert named_views(views, 224) == expected, views


@pytest.mark.parametrize(
    ("views", "match"),
    [
        ("d5", r"sets \(none, flips, d4, .*\) or single views \(identity, hflip, .*\), got 'd5'\. Did you mean 'd4'"),
        (["hflip", "scale_9"], r"got 'scale_9'\. Did you mean 'scale_90'"),
        ([["hflip"]], r"got \['hflip'\]"),
        ([0], r"got 0\."),
        (None, r"expected views to be a name or a list of names such as \['hflip', 'zoom'\], got None"),
    ],
)
def test_what_names_no_view_is_told_the_sets(views, match):
    with pytest.raises(ValueError, match=match):
        named_views(views, 224)


def test_an_unknown_view_is_refused_with_the_nearest_name():
    for call in (lambda: view_box("hflop", BOXES[0]), lambda: apply_view(PHOTO, "hflop")):
        with pytest.raises(ValueError, match="Did you mean 'hflip'"):
            call()
