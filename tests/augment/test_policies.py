"""Policies: what their names promise, what is drawn, and errors that say what to do."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from kagglekit.augment import OPS, POLICIES, Drawn, apply, check_policy, draw
from kagglekit.augment.geometry import rotation_matrix, warp
from kagglekit.augment.policies import safe_views

PHOTO = load_sample_images().images[0][100:164, 200:296]  # 64 x 96
NAMES = {
    "none", "light", "light_no_flip", "all_flips", "tiny", "standard", "strong", "medical", "melanoma", "autoaugment",
    "trivial", "augmix",
}  # fmt: skip


def shown(image, box, shape, size):
    """A box of an image at a size, without any op."""
    return apply(Drawn(tuple(box), tuple(size), ()), image, shape)


def result(policy, seed, image=PHOTO, size=(48, 48), strength=1.0):
    shape = image.shape[:2]
    drawn = draw(policy, np.random.default_rng(seed), box=(0, 0, *shape), size=size, strength=strength)
    return apply(drawn, image, shape)


def test_augmentation_loads_no_tensorflow():
    code = "import sys, kagglekit.augment; print({'tensorflow', 'keras'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


def test_the_policies_are_those_of_the_documentation():
    assert set(POLICIES) == NAMES
    for policy in POLICIES.values():
        assert check_policy(list(policy)) == policy


@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_keeps_shape_and_range_of_the_image_and_follows_its_seed(policy, channels):
    image = np.dstack([PHOTO, PHOTO[::-1]])[..., :channels]
    for dtype, strength in ((np.uint8, 1.0), (np.uint8, 4.0), (np.float32, 1.0)):
        images = set()
        for seed in range(8):
            changed = result(policy, seed, image.astype(dtype), strength=strength)
            assert changed.shape == (48, 48, channels)
            assert changed.dtype == dtype
            assert 0 <= changed.min() <= changed.max() <= 255
            np.testing.assert_array_equal(changed, result(policy, seed, image.astype(dtype), strength=strength))
            images.add(changed.tobytes())
        assert len(images) == (1 if policy == "none" else 8)


@pytest.mark.parametrize("policy", POLICIES)
def test_strength_0_is_what_evaluation_shows(policy):
    expected = shown(PHOTO, (0, 0, 64, 96), (64, 96), (48, 48))
    for seed in range(10):
        np.testing.assert_array_equal(result(policy, seed, strength=0), expected)


def test_no_op_and_no_change_of_size_leave_the_pixels_as_they_are():
    np.testing.assert_array_equal(result("none", 0, size=(64, 96)), PHOTO)
    np.testing.assert_array_equal(result([("rotation", 0), ("contrast", 0)], 0, size=(64, 96)), PHOTO)


@pytest.mark.parametrize(
    "policy", sorted(NAMES - {"medical", "melanoma", "autoaugment", "trivial", "augmix", "strong"})
)
@pytest.mark.parametrize(("op", "axis"), [("flip_horizontal", 1), ("flip_vertical", 0)])
def test_a_policy_flips_half_of_the_images_if_it_names_the_flip_and_else_none(policy, op, axis):
    ramp = np.linspace(60, 190, 16, dtype=np.float32)  # brighter towards the end; only a flip turns that round
    ramp = np.repeat(np.expand_dims(ramp, 1 - axis), 16, axis=1 - axis)[..., None]
    images = [result([pair for pair in POLICIES[policy] if pair[0] != "erasing_mean"], seed, ramp, (16, 16))
                for seed in range(80)]  # fmt: skip
    ends = [changed.mean(axis=(1 - axis, 2))[[0, -1]] for changed in images]
    falls = sum(last < first for first, last in ends)
    assert 22 < falls < 58 if op in dict(POLICIES[policy]) else falls == 0


def test_flips_keep_their_chance_and_the_rest_follows_the_strength():
    def drawn(strength):
        rngs = (np.random.default_rng(seed) for seed in range(60))
        return [draw("standard", rng, box=(0, 0, 64, 96), size=(48, 48), strength=strength) for rng in rngs]

    weak, full = drawn(0.1), drawn(1.0)
    assert [dict(one.steps)["flip_horizontal"] for one in weak] == [dict(one.steps)["flip_horizontal"] for one in full]
    for one, other in zip(weak, full, strict=True):
        assert dict(one.steps)["rotation"] == pytest.approx(dict(other.steps)["rotation"] / 10)
    assert min(one.window[2] * one.window[3] for one in weak) > 0.9 * 64 * 96
    assert min(one.window[2] * one.window[3] for one in full) < 0.5 * 64 * 96


def test_the_window_is_the_part_that_will_be_looked_at():
    for seed in range(30):
        drawn = draw("standard", np.random.default_rng(seed), box=(10, 20, 40, 50), size=(48, 48))
        top, left, height, width = drawn.window
        assert 10 <= top < top + height <= 50
        assert 20 <= left < left + width <= 70
        assert 0.33 <= height * width / 2000 <= 1
    assert draw("tiny", np.random.default_rng(0), box=(10, 20, 40, 50), size=(9, 9)).window == (10, 20, 40, 50)


def test_an_image_decoded_at_half_its_size_gives_the_same_view():
    stored = cv2.GaussianBlur(np.kron(PHOTO, np.ones((2, 2, 1), np.uint8)), (0, 0), 4)
    decoded = cv2.resize(stored, (96, 64), interpolation=cv2.INTER_AREA)
    for seed in range(6):
        drawn = draw([("random_resized_crop", 0.5), ("rotation", 30)], np.random.default_rng(seed),
                     box=(0, 0, 128, 192), size=(48, 48))  # fmt: skip
        whole, half = (apply(drawn, image, (128, 192)).astype(int) for image in (stored, decoded))
        assert np.abs(whole - half).mean() < 1.5


def test_what_is_drawn_is_applied_again_alike():
    for policy in POLICIES:
        drawn = draw(policy, np.random.default_rng(4), box=(0, 0, 64, 96), size=(48, 48))
        np.testing.assert_array_equal(apply(drawn, PHOTO, (64, 96)), apply(drawn, PHOTO, (64, 96)))


def test_the_standard_policy_holds_its_numbers():
    assert dict(POLICIES["standard"]) == {
        "random_resized_crop": 0.65, "flip_horizontal": 0.5, "rotation": 15, "brightness": 0.2, "contrast": 0.3,
        "saturation": 0.3, "hue": 0.05, "erasing_mean": 0.25,
    }  # fmt: skip
    assert dict(POLICIES["strong"])["randaugment"] == 9


def test_the_melanoma_policy_holds_its_published_numbers():
    """Rotation 180 N, shear 2 N, zoom 1 + N / 8, shift 8 N, saturation 0.7-1.3, contrast 0.8-1.2, brightness 0.1."""
    rngs = [np.random.default_rng(seed) for seed in range(1500)]
    steps = [dict(draw("melanoma", rng, box=(0, 0, 64, 64), size=(64, 64)).steps) for rng in rngs]
    for name, middle, deviation in (
        ("rotation_normal", 0, 180), ("shear_normal", 0, 2), ("zoom_normal", 1, 1 / 8), ("shift_normal", 0, 8),
    ):  # fmt: skip
        values = np.array([one[name] for one in steps]).ravel()
        assert abs(values.mean() - middle) < 4 * deviation / np.sqrt(len(values))
        assert abs(values.std() / deviation - 1) < 0.08
    for name, low, high in (("saturation", 0.7, 1.3), ("contrast", 0.8, 1.2), ("brightness_shift", -25.5, 25.5)):
        values = np.array([one[name] for one in steps])
        assert low <= values.min() < values.max() <= high
        assert np.ptp(values) > 0.97 * (high - low)
    squares = [one["coarse_dropout"][0] for one in steps]
    assert 0.2 < np.mean([len(rectangles) > 0 for rectangles in squares]) < 0.4
    assert {len(rectangles) for rectangles in squares} == {0, 10}
    sides = np.array([rectangles[0, 2] - rectangles[0, 0] for rectangles in squares if len(rectangles)])
    assert 0.1 <= sides.min() < 0.11 < 0.19 < sides.max() <= 0.2


def test_the_medical_policy_casts_no_colour():
    grey = np.repeat(PHOTO[..., :1], 3, axis=2)
    for seed in range(20):
        changed = result("medical", seed, grey)
        np.testing.assert_array_equal(changed[..., 0], changed[..., 1])
        np.testing.assert_array_equal(changed[..., 0], changed[..., 2])


def test_dihedral_turns_squares_eight_ways_and_oblong_images_four():
    for image, ways in ((PHOTO[:, :64], 8), (PHOTO, 4)):
        views = {result([("dihedral", 1)], seed, image, image.shape[:2]).tobytes() for seed in range(80)}
        turned = [np.rot90(image, number)[:, ::flip] for number in range(4) for flip in (1, -1)]
        assert views == {view.tobytes() for view in turned if view.shape == image.shape}
        assert len(views) == ways


def test_a_pair_of_names_and_strengths_is_a_policy():
    policy = [["blur", 2], ("flip_horizontal", 1)]  # lists, as they come from YAML
    assert check_policy(policy) == (("blur", 2), ("flip_horizontal", 1))
    drawn = draw(policy, np.random.default_rng(0), box=(0, 0, 64, 96), size=(64, 96))
    assert [name for name, _ in drawn.steps] == ["blur", "flip_horizontal"]
    blurred = OPS["blur"].apply(PHOTO, dict(drawn.steps)["blur"])
    np.testing.assert_array_equal(apply(drawn, PHOTO, (64, 96)), blurred[:, ::-1])  # one after another, in their order


def test_geometry_after_another_op_starts_from_the_image_as_it_is_then():
    policy = [("window", 0.5), ("invert", 1), ("rotation", 30), ("blur", 1), ("flip_horizontal", 1)]
    drawn = draw(policy, np.random.default_rng(2), box=(0, 0, 64, 96), size=(48, 48))
    values = dict(drawn.steps)
    expected = 255 - shown(PHOTO, drawn.window, (64, 96), (48, 48))
    expected = warp(expected, rotation_matrix(values["rotation"]))
    expected = OPS["blur"].apply(expected, values["blur"])[:, ::-1]
    np.testing.assert_array_equal(apply(drawn, PHOTO, (64, 96)), expected)


@pytest.mark.parametrize(
    ("policy", "match"),
    [
        ("lite", r"expected policy to be one of 'none', .*got 'lite'\. Did you mean 'light'"),
        (3, r"expected policy to be a name or a list of \(op, strength\) pairs, got 3"),
        (["rotation", 15], r"expected each entry of a policy to be a pair like \('rotation', 15\), got 'rotation'"),
        ([("rotation", 15, 1)], r"expected each entry of a policy to be a pair"),
        ([(["rotation"], 15)], r"expected each entry of a policy to be a pair"),
        ([("rotatoin", 15)], r"expected the op in a policy to be one of .*Did you mean 'rotation'"),
        ([("rotation", -1)], r"expected the strength of 'rotation' to be a number not below 0, got -1"),
        ([("rotation", "15")], r"expected the strength of 'rotation' to be a number not below 0, got '15'"),
        ([("rotation", float("nan"))], r"expected the strength of 'rotation' .* got nan"),
        ([("invert", True)], r"expected the strength of 'invert' .* got True"),
        ([("blur", 1), ("window", 0.3)], r"expected 'window' to be the first op, .* it is number 2"),
    ],
)
def test_a_wrong_policy_is_told_from_a_right_one(policy, match):
    with pytest.raises(ValueError, match=match):
        check_policy(policy)


@pytest.mark.parametrize(
    ("policy", "size", "strength", "expected"),
    [
        ("none", 224, 1, ["zoom"]),
        ("light", 224, 1, ["hflip", "zoom"]),
        ("light", 224, 0, ["zoom"]),
        ("light_no_flip", 224, 1, ["zoom"]),
        ("all_flips", (96, 128), 0.5, ["hflip", "vflip", "zoom"]),
        ([("flip_vertical", 0.5), ("flip_horizontal", 0)], 224, 1, ["vflip", "zoom"]),
        ("medical", 224, 1, ["hflip", "vflip", "rot180", "rot90", "rot270", "transpose", "transverse", "zoom"]),
        ("medical", (224, 224), 1, ["hflip", "vflip", "rot180", "rot90", "rot270", "transpose", "transverse", "zoom"]),
        ("medical", (96, 128), 1, ["hflip", "vflip", "rot180", "zoom"]),  # as the op turns such images
    ],
)
def test_safe_views_are_those_that_the_policy_trains_with(policy, size, strength, expected):
    assert safe_views(policy, size, strength=strength) == expected
