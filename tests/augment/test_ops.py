"""Every op keeps its contract: shape, type, range, any number of channels, seeds, strength, and its input."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_images

from kagglekit.augment import OPS, apply, draw

# Of lower contrast than it is, so that stretching changes it
PHOTO = load_sample_images().images[0][100:148, 200:264] // 4 * 3 + 20
SIZE = PHOTO.shape[:2]
# A strength at which an op changes nearly every picture, and up to which more strength is more change
STRENGTHS = {
    "window": 0.8, "random_resized_crop": 0.8, "flip_horizontal": 1.0, "flip_vertical": 1.0, "dihedral": 1.0,
    "rotation": 20, "shear_x": 0.3, "shear_y": 0.3, "zoom": 0.5, "shift": 0.2, "rotation_normal": 10, "shear_normal": 6,
    "zoom_normal": 0.2, "shift_normal": 3, "brightness": 0.6, "brightness_shift": 0.4, "contrast": 0.8,
    "saturation": 0.8, "hue": 0.2, "grey": 1.0, "posterize": 7, "solarize": 1.0, "solarize_add": 0.4, "invert": 1.0,
    "autocontrast": 1.0, "equalize": 1.0, "sharpness": 1.0, "blur": 2.0, "noise": 0.2, "jpeg": 0.9,
    "channel_jitter": 0.4, "channel_dropout": 1.0, "cutout": 0.6, "erasing": 1.0, "erasing_mean": 1.0,
    "hide_and_seek": 0.8, "grid_mask": 1.0, "coarse_dropout": 1.0, "autoaugment_imagenet": 1.0,
    "autoaugment_cifar10": 1.0, "autoaugment_svhn": 1.0, "randaugment": 9, "trivialaugment": 1.0, "augmix": 9,
}  # fmt: skip
COLOURS_ONLY = {"saturation", "hue", "grey"}
ONCE_PER_CALL = {"flip_horizontal", "flip_vertical", "grey", "invert", "autocontrast", "equalize"}  # True or False

JUMPING = {"noise", "jpeg", "augmix", "randaugment", "trivialaugment", "autoaugment_imagenet", "autoaugment_cifar10",
           "autoaugment_svhn"}  # fmt: skip


def with_channels(channels, dtype=np.uint8):
    """The photograph's channels, each further one shifted and darker, so that no two are alike."""
    planes = [np.roll(PHOTO[..., number % 3], number, axis=1) * (1 - number / 40) for number in range(channels)]
    image = np.stack(planes, axis=-1)
    return image.astype(np.uint8) if dtype == np.uint8 else (image + 0.25).clip(0, 255).astype(np.float32)


def changed(name, image, seed, strength=None):
    strength = STRENGTHS[name] if strength is None else strength
    shape = image.shape[:2]
    drawn = draw([(name, strength)], np.random.default_rng([7, seed]), box=(0, 0, *shape), size=shape)
    return apply(drawn, image, shape)


def distance(name, strength, seeds=40):
    changes = [changed(name, PHOTO, seed, strength).astype(float) - PHOTO for seed in range(seeds)]
    return float(np.mean(np.abs(changes)))


def test_every_op_is_tested():
    assert set(STRENGTHS) == set(OPS)


@pytest.mark.parametrize(
    ("name", "parameters", "moved"),
    [
        ("flip_horizontal", True, (-10, 5)), ("flip_horizontal", False, (10, 5)), ("flip_vertical", True, (10, -5)),
        ("dihedral", 2, (-10, -5)), ("dihedral", 4, (-10, 5)), ("rotation", 180.0, (-10, -5)),
        ("rotation_normal", -90.0, (-5, 10)), ("shear_x", 0.2, (11, 5)), ("shear_y", 0.2, (10, 7)),
        ("shear_normal", 45.0, (15, 5)), ("zoom", 1.5, (15, 7.5)), ("zoom_normal", (2.0, 0.5), (5, 10)),
        ("shift", (0.25, -0.13), (-3, 30)), ("shift_normal", (1.5, -2.0), (8, 6.5)),
    ],
)  # fmt: skip
def test_geometric_ops_move_a_point_as_their_parameters_say(name, parameters, moved):
    """The point 10 right of and 5 below the centre, in a picture of 100 x 100; 0.13 of 100 pixels is a shift of 13."""
    place = OPS[name].apply(parameters, (100, 100)) @ [10, 5, 1]
    np.testing.assert_allclose(place, (*moved, 1), atol=1e-9)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 13])
@pytest.mark.parametrize("name", OPS)
def test_every_op_keeps_shape_type_range_and_its_input(name, channels):
    for dtype in (np.uint8, np.float32):
        image = with_channels(channels, dtype)
        before = image.copy()
        for seed in range(3):
            result = changed(name, image, seed)
            assert result.shape == image.shape
            assert result.dtype == dtype
            assert np.isfinite(result).all()
            assert 0 <= result.min() <= result.max() <= 255
        np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 1, 1), (1, 5, 13)])
@pytest.mark.parametrize("name", OPS)
def test_every_op_takes_pictures_of_a_pixel(name, shape):
    image = np.full(shape, 77, np.uint8)
    for seed in range(4):
        assert changed(name, image, seed).shape == shape


@pytest.mark.parametrize("channels", [1, 2, 6, 13])
@pytest.mark.parametrize("name", sorted(set(OPS) - COLOURS_ONLY - {"channel_dropout"}))
def test_every_op_but_those_on_colours_changes_any_number_of_channels(name, channels):
    image = with_channels(channels)
    assert any((changed(name, image, seed) != image).any() for seed in range(8))


@pytest.mark.parametrize("name", sorted(COLOURS_ONLY))
def test_ops_on_colours_leave_other_numbers_of_channels_as_they_are(name):
    for channels in (1, 2, 4, 6):
        image = with_channels(channels)
        np.testing.assert_array_equal(changed(name, image, 0), image)


@pytest.mark.parametrize("name", OPS)
def test_the_same_seed_gives_the_same_picture_and_other_seeds_others(name):
    first = [changed(name, PHOTO, seed).tobytes() for seed in range(12)]
    np.random.seed(99)  # noqa: NPY002 - the process's generator has no say
    assert [changed(name, PHOTO, seed).tobytes() for seed in range(12)] == first
    if name in ONCE_PER_CALL:
        assert len({changed(name, PHOTO, seed, 0.5).tobytes() for seed in range(12)}) == 2
    else:
        # channel_dropout has three channels to choose from, posterize eight levels
        assert len(set(first)) >= {"channel_dropout": 3, "posterize": 5, "dihedral": 4}.get(name, 6)


@pytest.mark.parametrize("name", OPS)
def test_every_op_gives_the_same_inside_a_dataset(name):
    def inside(seed):
        return tf.numpy_function(lambda seed: changed(name, PHOTO, int(seed)), [seed], tf.uint8)

    for seed, result in enumerate(tf.data.Dataset.range(6).map(inside, num_parallel_calls=2)):
        np.testing.assert_array_equal(result, changed(name, PHOTO, seed))


@pytest.mark.parametrize("name", OPS)
def test_strength_0_leaves_every_pixel_as_it_is(name):
    for image in (PHOTO, with_channels(6, np.float32)):
        for seed in range(10):
            np.testing.assert_array_equal(changed(name, image, seed, 0), image)


@pytest.mark.parametrize("name", OPS)
def test_more_strength_is_more_change(name):
    most = STRENGTHS[name]
    distances = [distance(name, strength) for strength in (0, most / 4, most / 2, most)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[1] < distances[3]


# Noise is rounded, JPEG quantised, and posterize and equalize jump within the automatic ones.
@pytest.mark.parametrize("name", [name for name in OPS if name not in JUMPING])
def test_uint8_and_float_pictures_agree(name):
    for seed in range(6):
        whole, real = changed(name, PHOTO, seed), changed(name, PHOTO.astype(np.float32), seed)
        # warpAffine interpolates uint8 with weights of 1/32; PIL's autocontrast cuts decimals off
        assert np.abs(whole - real).mean() < 1.5
