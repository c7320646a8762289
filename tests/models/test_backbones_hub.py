"""Networks of keras-hub, where it is installed: presets in folders, other sizes and numbers of channels, saving."""

import keras
import numpy as np
import pytest

import kagglekit as kk
from kagglekit._backbones import hub_presets
from kagglekit.models.backbones import BACKBONES, build_backbone, find_backbone
from kagglekit.models.backbones.loading import inflate

keras_hub = pytest.importorskip("keras_hub", reason="an optional package: pip install keras-hub")

CURATED = [name for name, row in BACKBONES.items() if row.builder == "keras_hub"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=CURATED)
def preset(request, tmp_path_factory):
    """A curated name, its body with random weights, and the folder of a preset made of it."""
    from kagglekit.models.backbones import hub

    row = BACKBONES[request.param]
    cls, arguments = hub._ARGUMENTS[row.target]
    published = getattr(keras_hub.models, cls)(**arguments, image_shape=(row.size, row.size, 3))
    rng = np.random.default_rng(0)
    for weight in published.weights:
        weight.assign(weight.numpy() * rng.uniform(0.8, 1.2, weight.shape) + 0.001)
    folder = tmp_path_factory.mktemp(row.name)
    published.save_to_preset(str(folder / "attached" / "1"))
    return row, published, folder


def test_a_preset_in_an_attached_folder_gives_the_published_features(preset):
    row, published, folder = preset
    network = build_backbone(row.name, row.size, weights=folder)
    pixels = np.random.default_rng(1).uniform(0, 255, (1, row.size, row.size, 3)).astype(np.float32)
    scaled = keras.Model(network.input, network.get_layer("normalise").output)(pixels)
    expected = published(scaled, training=False)
    if isinstance(expected, dict):
        expected = expected[published.stage_names[-1]]
    expected = np.reshape(expected, (expected.shape[0], -1, expected.shape[-1]))
    features = np.reshape(network(pixels, training=False), (1, -1, expected.shape[-1]))
    expected = expected[:, -features.shape[1] :]  # without a class token
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_five_channels_at_another_size_take_its_weights(preset):
    row, published, folder = preset
    network = build_backbone(row.name, (96, 128), channels=5, weights=folder)
    first = next(weight for weight in network.weights if len(weight.shape) == 4).numpy()
    origin = next(weight for weight in published.weights if len(weight.shape) == 4).numpy()
    np.testing.assert_array_equal(first, inflate(origin, 5))
    pixels = np.random.default_rng(1).uniform(0, 255, (1, 96, 128, 5)).astype(np.float32)
    features = network(pixels, training=False).numpy()
    assert features.shape[1:3] in ((3, 4), (6, 8))
    assert np.isfinite(features).all()


def test_a_saved_classifier_loads_where_keras_hub_is(preset, tmp_path):
    row, _, _ = preset
    model = kk.build_classifier(3, backbone=row.name, image_size=96, weights=None)
    model.save(tmp_path / "model.keras")
    pixels = np.random.default_rng(1).uniform(0, 255, (1, 96, 96, 3)).astype(np.float32)
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_allclose(loaded(pixels, training=False), model(pixels, training=False), atol=1e-6)


def test_a_recipe_takes_every_preset():
    assert hub_presets() >= set(keras_hub.models.Backbone.presets)


def test_another_preset_without_network_says_so(tmp_path, monkeypatch):
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="the preset resnet_18_imagenet of keras-hub is neither in the cache"):
        build_backbone("resnet_18_imagenet", 64)
    with pytest.raises(ValueError, match="no backbone"):
        find_backbone("bert_base_en_")
