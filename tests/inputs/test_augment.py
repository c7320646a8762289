"""Augmentation: every op against its documented range and a numpy reference, every policy against its name."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_images

from kagglekit.inputs.augment import POLICIES, augmented, random_box
from kagglekit.inputs.augment.ops import OPS

PHOTO = load_sample_images().images[0].astype(np.float32)
IMAGES = {"colour": PHOTO[100:148, 200:264], "grey": PHOTO[100:141, 200:233, :1], "pixel": PHOTO[:1, :1]}
STRENGTHS = {"flip_horizontal": 0.5, "flip_vertical": 0.5, "window": 0.4, "shift": 0.2, "brightness": 0.3}
STRENGTHS |= {"contrast": 0.6}


def seeds(number):
    return [tf.constant([7, value]) for value in range(number)]


def draws(name, strength, number=200):
    return np.array([np.atleast_1d(np.array(OPS[name][0](seed, strength), np.float64)) for seed in seeds(number)])


def changed(name, image, seed, strength=None):
    draw, apply = OPS[name]
    return apply(image, draw(seed, STRENGTHS[name] if strength is None else strength))


def test_every_op_is_tested():
    assert set(STRENGTHS) == set(OPS)


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_every_op_keeps_shape_type_and_range(name, image):
    for seed in seeds(20):
        result = changed(name, image, seed)
        assert result.dtype == tf.float32
        assert 0 <= np.min(result) <= np.max(result) <= 255
        if name == "window":  # the one that cuts; its shape is the picture's, give or take a pixel
            share = np.array(result.shape[:2]) / image.shape[:2]
            assert result.shape[2] == image.shape[2]
            assert abs(share[0] - share[1]) <= 1 / min(image.shape[:2])
        else:
            assert result.shape == image.shape


@pytest.mark.parametrize("name", OPS)
def test_every_op_is_the_same_eagerly_and_inside_a_dataset(name):
    image = tf.constant(IMAGES["colour"])
    inside = tf.data.Dataset.from_tensor_slices(tf.stack(seeds(8))).map(lambda seed: changed(name, image, seed))
    for seed, result in zip(seeds(8), inside, strict=True):
        np.testing.assert_allclose(result, changed(name, image, seed), atol=1e-3)


@pytest.mark.parametrize("name", OPS)
def test_the_same_seed_draws_the_same_and_other_seeds_draw_otherwise(name):
    first = draws(name, STRENGTHS[name], 40)
    tf.random.set_seed(99)  # the process's seed has no say
    np.testing.assert_array_equal(draws(name, STRENGTHS[name], 40), first)
    distinct = len(np.unique(first, axis=0))
    assert distinct == (2 if name.startswith("flip") else 40)


@pytest.mark.parametrize("name", OPS)
def test_strength_0_is_the_identity(name):
    for seed in seeds(20):
        np.testing.assert_allclose(changed(name, PHOTO[:9, :8], seed, strength=0.0), PHOTO[:9, :8], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("shift", -0.2, 0.2), ("brightness", -76.5, 76.5), ("contrast", 0.4, 1.6)],
)
def test_parameters_fill_their_documented_range_and_no_more(name, low, high):
    drawn = draws(name, STRENGTHS[name])
    assert np.all((drawn >= low) & (drawn <= high))
    # 200 draws: the mean of a uniform distribution lies within four standard errors of the middle
    np.testing.assert_allclose(drawn.mean(axis=0), (low + high) / 2, atol=4 * (high - low) / np.sqrt(12 * 200))
    assert np.all(np.ptp(drawn, axis=0) > 0.95 * (high - low))


@pytest.mark.parametrize(("strength", "least"), [(0.4, 0.6), (0.95, 0.05), (7.0, 0.05)])
def test_windows_lie_inside_the_picture_and_their_areas_are_uniform(strength, least):
    top, left, side = draws("window", strength).T
    assert np.all((side**2 >= least - 1e-6) & (side <= 1))
    assert np.all((top >= 0) & (left >= 0) & (top + side <= 1 + 1e-6) & (left + side <= 1 + 1e-6))
    assert abs((side**2).mean() - (1 + least) / 2) < 4 * (1 - least) / np.sqrt(12 * 200)
    assert abs(np.corrcoef(top / (1 - side), left / (1 - side))[0, 1]) < 0.25


@pytest.mark.parametrize(("strength", "share"), [(0.0, 0.0), (0.5, 0.5), (0.9, 0.9), (1.0, 1.0)])
def test_flips_come_as_often_as_their_strength_says(strength, share):
    assert abs(draws("flip_horizontal", strength).mean() - share) <= 4 * np.sqrt(share * (1 - share) / 200)


def shifted(image, down, right):
    """Numpy's reference of a shift by whole pixels: pad with the border, then cut."""
    height, width, _ = image.shape
    padded = np.pad(image, ((height, height), (width, width), (0, 0)), mode="edge")
    return padded[height - down : 2 * height - down, width - right : 2 * width - right]


@pytest.mark.parametrize(
    ("name", "parameters", "reference"),
    [
        ("flip_horizontal", True, lambda image: image[:, ::-1]),
        ("flip_horizontal", False, lambda image: image),
        ("flip_vertical", True, lambda image: image[::-1]),
        ("window", (0.25, 0.5, 0.5), lambda image: image[2:6, 8:16]),  # of 8 x 16 pixels
        ("window", (0.0, 0.0, 1.0), lambda image: image),
        ("window", (0.99, 0.99, 0.01), lambda image: image[7:8, 15:16]),
        ("shift", (0.25, -0.125), lambda image: shifted(image, 2, -2)),
        ("shift", (-1.0, 0.0), lambda image: np.repeat(image[-1:], 8, axis=0)),
        ("brightness", 51.0, lambda image: np.clip(image + 51, 0, 255)),
        ("brightness", -300.0, np.zeros_like),
        ("contrast", 1.5, lambda image: np.clip(tf.image.adjust_contrast(image, 1.5), 0, 255)),
        ("contrast", 0.0, lambda image: np.broadcast_to(image.mean(axis=(0, 1)), image.shape)),
    ],
)
def test_applying_fixed_parameters_gives_the_reference(name, parameters, reference):
    image = PHOTO[200:208, 300:316]
    parameters = tf.constant(parameters)
    parameters = tf.unstack(parameters) if name == "window" else parameters
    np.testing.assert_allclose(OPS[name][1](image, parameters), reference(image), atol=1e-3)


def test_policies_name_ops_that_there_are():
    assert {name for policy in POLICIES.values() for name, _ in policy} <= set(OPS)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("strength", [0.0, 1.0, 4.0])
def test_a_policy_keeps_the_picture_a_picture_and_follows_its_seed(policy, strength):
    image, results = IMAGES["colour"], set()
    for seed in seeds(12):
        result = np.asarray(augmented(image, seed, policy, strength))
        assert result.shape == image.shape
        assert result.dtype == np.float32
        assert 0 <= result.min() <= result.max() <= 255
        np.testing.assert_array_equal(result, augmented(image, seed, policy, strength))
        results.add(result.tobytes())
    nothing_to_do = policy == "none" or strength == 0
    assert results == {image.tobytes()} if nothing_to_do else len(results) == 12


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("op", "axis"), [("flip_horizontal", 1), ("flip_vertical", 0)])
def test_a_policy_flips_half_of_the_pictures_if_it_names_the_flip_and_else_none(policy, op, axis):
    ramp = np.moveaxis(np.tile(np.linspace(60, 190, 16, dtype=np.float32), (16, 1))[..., None], 1, axis)
    # brighter towards the end of the axis; only a flip turns that round
    falls = []
    for seed in seeds(60):
        top, left, height, width = random_box((0, 0, *ramp.shape[:2]), seed, policy)
        result = np.asarray(augmented(ramp[top : top + height, left : left + width], seed, policy))
        means = result.mean(axis=(1 - axis, 2))
        falls.append(means[-1] < means[0])
    assert 18 < sum(falls) < 42 if op in dict(POLICIES[policy]) else sum(falls) == 0


def test_an_unknown_policy_is_named_with_its_nearest():
    with pytest.raises(ValueError, match=r"expected policy to be one of 'none', .*got 'lite'\. Did you mean 'light'"):
        augmented(IMAGES["pixel"], (0, 0), "lite")
