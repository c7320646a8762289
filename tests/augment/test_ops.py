"""Every op keeps its contract: shape, type, range, any number of channels, seeds, strength, and its input."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_images

import kagglekit as kk
from kagglekit.augment import OPS, Op, apply, check_policy, draw

# Of lower contrast than it is, so that stretching changes it
PHOTO = load_sample_images().images[0][100:148, 200:264] // 4 * 3 + 20
SIZE = PHOTO.shape[:2]
COLOURS = {"saturation", "hue", "grey"}
ONCE_PER_CALL = {"flip_horizontal", "flip_vertical", "grey", "invert", "autocontrast", "equalize"}  # True or False

JUMPING = {"noise", "jpeg", "augmix", "randaugment", "trivialaugment", "autoaugment_imagenet", "autoaugment_cifar10",
           "autoaugment_svhn"}  # fmt: skip


def with_channels(channels, dtype=np.uint8):
    """The photograph's channels, each further one shifted and darker, so that no two are alike."""
    planes = [np.roll(PHOTO[..., number % 3], number, axis=1) * (1 - number / 40) for number in range(channels)]
    image = np.stack(planes, axis=-1)
    return image.astype(np.uint8) if dtype == np.uint8 else (image + 0.25).clip(0, 255).astype(np.float32)


def changed(name, image, seed, strength=None):
    strength = OPS[name].shown if strength is None else strength
    shape = image.shape[:2]
    drawn = draw([(name, strength)], np.random.default_rng([7, seed]), box=(0, 0, *shape), size=shape)
    return apply(drawn, image, shape)


def distance(name, strength, seeds=40):
    changes = [changed(name, PHOTO, seed, strength).astype(float) - PHOTO for seed in range(seeds)]
    return float(np.mean(np.abs(changes)))


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
    """The point 10 right of and 5 below the centre, in an image of 100 x 100; 0.13 of 100 pixels is a shift of 13."""
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
def test_every_op_takes_images_of_a_pixel(name, shape):
    image = np.full(shape, 77, np.uint8)
    for seed in range(4):
        assert changed(name, image, seed).shape == shape


@pytest.mark.parametrize("name", OPS)
def test_every_op_changes_the_numbers_of_channels_it_is_for_and_no_other(name):
    for channels in (1, 2, 3, 4, 6, 13):
        image = with_channels(channels)
        does = any((changed(name, image, seed) != image).any() for seed in range(8))
        assert does == (channels in OPS[name].channels), channels
    assert {name for name, op in OPS.items() if 1 not in op.channels} == {*COLOURS, "channel_dropout"}


@pytest.mark.parametrize("name", OPS)
def test_the_same_seed_gives_the_same_image_and_other_seeds_others(name):
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
    most = OPS[name].shown
    distances = [distance(name, strength) for strength in (0, most / 4, most / 2, most)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[1] < distances[3]


# Noise is rounded, JPEG quantised, and posterize and equalize jump within the automatic ones.
@pytest.mark.parametrize("name", [name for name in OPS if name not in JUMPING])
def test_uint8_and_float_images_agree(name):
    for seed in range(6):
        whole, real = changed(name, PHOTO, seed), changed(name, PHOTO.astype(np.float32), seed)
        # warpAffine interpolates uint8 with weights of 1/32; PIL's autocontrast cuts decimals off
        assert np.abs(whole - real).mean() < 1.5


def test_a_new_op_is_one_entry_that_policies_figures_label_safety_and_views_know(workspace, monkeypatch):
    """It brightens one edge by up to its strength, and a network that knows it knows half turns."""

    def draw_edge(rng, strength):
        return rng.uniform(strength / 2, strength)

    def brighten_edge(image, by):
        image = image.copy()
        image[0] = np.clip(image[0] + 255 * by, 0, 255)
        return image

    monkeypatch.setitem(OPS, "edge", Op("image", draw_edge, brighten_edge, shown=0.3, views=("rot180",)))
    with pytest.raises(ValueError, match="Did you mean 'edge'"):
        kk.Recipe(policy=[("edgy", 0.4)])
    for strength in (0, 0.5, 1, 2):
        drawn = draw([("edge", 0.4)], np.random.default_rng(0), box=(0, 0, *SIZE), size=SIZE, strength=strength)
        by = dict(drawn.steps).get("edge", 0)
        assert 0.2 * strength <= by <= 0.4 * strength
        np.testing.assert_array_equal(apply(drawn, PHOTO, SIZE), brighten_edge(PHOTO, by))

    images = [np.roll(PHOTO[:16, :16], row, axis=1) for row in range(24)]
    comp = kk.from_arrays(images, [str(row % 2) for row in range(24)], name="edges")
    recipe = kk.Recipe(
        backbone="small_cnn", weights=None, image_size=16, record_size=16, batch_size=8, frozen_epochs=0, epochs=1,
        policy=[("flip_horizontal", 0.5), ("edge", 0.4)], augment_strength=0.5,
    )  # fmt: skip
    assert check_policy(recipe.policy)[1] == ("edge", 0.4)
    folds = kk.assign_folds(comp, 2)
    axes = kk.plot_ops(kk.write_records(comp, folds, record_size=16), recipe, ops=["edge"])
    assert axes[1].get_title() == "edge\n0.3"
    run = kk.cross_validate(comp, folds, recipe)
    table = kk.label_safety(run)
    assert table["op"].tolist() == ["flip_horizontal", "edge"]
    assert table["strength"].tolist() == [0.5, 0.2]  # a flip keeps its chance
    assert table["rows"].tolist() == [12, 12]
    assert [tried.split(" + ")[-1] for tried in kk.predict(run).info["tried"]] == [
        "identity", "hflip", "rot180", "zoom",
    ]  # fmt: skip
