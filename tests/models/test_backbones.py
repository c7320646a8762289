"""Backbones: one graph and one input scale whichever way the weights come."""

import re

import h5py
import keras
import numpy as np
import pytest

import kagglekit as kk
from kagglekit.models.backbones import _STANDARDISED, BACKBONES, build_backbone, flat_layers

SMALLEST = ["small_cnn", "efficientnet_lite0", "efficientnet_b0", "efficientnet_v2b0"]
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)


def shuffled(network):
    """Give every weight another value, batch statistics included, so that one which is not copied shows."""
    rng = np.random.default_rng(1)
    network.set_weights([value * rng.uniform(0.8, 1.2, value.shape) + 0.01 for value in network.get_weights()])
    return network


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def layer_list(network):
    """Types of the layers in order, with their names where they hold weights; Keras numbers the others."""
    layers = [layer for layer in flat_layers(network) if not isinstance(layer, keras.layers.InputLayer)]
    return [(type(layer).__name__, layer.name if layer.weights else "") for layer in layers]


def scaling(network):
    (layer,) = [layer for layer in flat_layers(network) if isinstance(layer, keras.layers.Rescaling)]
    return np.array(layer.scale).tolist(), np.array(layer.offset).tolist()


def write_published(name, path):
    """Write weights as keras.applications publishes them: the "notop" HDF5 of the network with its own scaling layers.

    Keras 3 writes this legacy form for whole models alone; the published files hold what lies below `model_weights`.
    """
    build = getattr(keras.applications, BACKBONES[name][-1])
    options = {"include_preprocessing": False} if "v2" in name else {}
    network = shuffled(build(include_top=False, weights=None, input_shape=(64, 64, 3), **options))
    network.save(path.with_suffix(".whole.h5"))
    with h5py.File(path.with_suffix(".whole.h5")) as whole, h5py.File(path, "w") as published:
        for key, value in whole["model_weights"].attrs.items():
            published.attrs[key] = value
        for layer in whole["model_weights"]:
            whole.copy(f"model_weights/{layer}", published)
    return network


@pytest.mark.parametrize("name", ["efficientnet_lite0", slow("efficientnet_b0"), slow("efficientnet_v2b0")])
def test_graph_scaling_and_predictions_are_the_same_after_a_round_trip(tmp_path, name):
    origin = shuffled(build_backbone(name, 64, weights=None))
    expected = origin(PIXELS, training=False).numpy()
    assert np.ptp(expected) > 0
    origin.save_weights(tmp_path / "a.weights.h5")
    classifier = kk.build_classifier(3, backbone=name, image_size=64, weights=tmp_path / "a.weights.h5")
    classifier.save(tmp_path / "classifier.keras")
    network = build_backbone(name, 64, weights=tmp_path / "classifier.keras")
    for copy in (classifier.get_layer("backbone"), network):
        assert layer_list(copy) == layer_list(origin)
        assert scaling(copy) == scaling(origin)
        for value, reference in zip(copy.get_weights(), origin.get_weights(), strict=True):
            np.testing.assert_array_equal(value, reference)
    np.testing.assert_array_equal(network(PIXELS, training=False), expected)


@pytest.mark.parametrize("name", ["efficientnet_b0", slow("efficientnet_v2b0")])
def test_a_published_file_gives_the_same_graph_and_scaling_and_its_own_weights(tmp_path, name):
    published = write_published(name, tmp_path / "notop.h5")
    network, origin = (build_backbone(name, 64, weights=weights) for weights in (tmp_path / "notop.h5", None))
    assert layer_list(network) == layer_list(origin)
    assert scaling(network) == scaling(origin)
    body = {layer.name: layer.get_weights() for layer in published.layers if layer.weights}
    compared = {layer.name: layer.get_weights() for layer in flat_layers(network) if layer.weights}
    for layer, values in compared.items():
        for value, reference in zip(values, body[layer], strict=True):
            np.testing.assert_array_equal(value, reference)
    assert all(layer.startswith("normalization") for layer in set(body) - set(compared))  # its scaling is ours


@pytest.mark.slow  # the scaling itself is checked below
@pytest.mark.parametrize("name", ["efficientnet_v2b0", "efficientnet_v2s"])
def test_v2_sees_what_keras_with_its_own_preprocessing_sees(name):
    ours = build_backbone(name, 64, weights=None)
    reference = getattr(keras.applications, BACKBONES[name][-1])(
        include_top=False, weights=None, input_shape=(64, 64, 3), include_preprocessing=True
    )
    weights = {layer.name: layer.get_weights() for layer in flat_layers(ours) if layer.weights}
    for layer in reference.layers:
        if layer.name in weights:
            layer.set_weights(weights[layer.name])
    np.testing.assert_allclose(ours(PIXELS, training=False), reference(PIXELS, training=False), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_scaling_is_that_of_the_published_weights(name):
    # EfficientNet: MEAN_RGB and STDDEV_RGB of https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet
    _, _, _, (scale, offset), _ = BACKBONES[name]

    def apply(pixels):
        return np.asarray(pixels) * scale + offset

    if (scale, offset) == _STANDARDISED:
        mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
        np.testing.assert_allclose([apply(mean), apply(mean + deviation)], [[0] * 3, [1] * 3], atol=1e-6)
        assert re.fullmatch(r"efficientnet_(v2)?b\d", name)
    elif "lite" in name:
        np.testing.assert_allclose(apply([127, 255]), [0, 1], atol=1e-9)
    else:
        np.testing.assert_allclose(apply([0, 128]), [-1, 0], atol=1e-9)


def check_build(name, channels):
    network = build_backbone(name, (64, 96), channels=channels, weights=None)
    assert (network.name, network.input_shape) == ("backbone", (None, 64, 96, channels))
    assert abs(network.count_params() / 1e6 - BACKBONES[name][2]) < 0.051  # millions with one decimal
    return network


@pytest.mark.parametrize("name", SMALLEST)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_of_each_family_builds_and_predicts(name, channels):
    network = check_build(name, channels)
    features = network(np.full((1, 64, 96, channels), 77.0), training=False)
    assert features.shape == network.compute_output_shape((1, 64, 96, channels))
    assert features.shape[1:3] == ((16, 24) if name == "small_cnn" else (2, 3))
    assert np.isfinite(features).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in SMALLEST])
def test_every_other_backbone_builds_with_the_parameters_of_the_table(name):
    check_build(name, 3)
    keras.utils.clear_session()


def test_the_list_of_backbones_is_the_table_with_a_bound():
    table = kk.list_backbones()
    assert table["name"].tolist() == list(BACKBONES)
    assert kk.list_backbones(max_parameters=4.2)["parameters"].max() == 4.2
    assert not table.set_index("name").loc["small_cnn", "weights_found"]
