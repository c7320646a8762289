"""Classifier heads: which weights train, what they predict, and that a saved model needs Keras alone."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import kagglekit as kk
from kagglekit.models.backbones import flat_layers
from kagglekit.models.split import split_at_features

IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES = np.repeat(IMAGES.reshape(-1, 8, 8, 1) * 255 / 16, 3, axis=3)[:64].astype(np.float32)
IMAGES = IMAGES.repeat(4, axis=1).repeat(4, axis=2)  # 32 x 32
ONE_HOT = np.eye(10, dtype=np.float32)[LABELS[:64]]


def build(backbone="small_cnn", **options):
    return kk.build_classifier(10, backbone=backbone, weights=None, image_size=32, **options)


def train(model):
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="categorical_crossentropy")
    model.train_on_batch(IMAGES, ONE_HOT)


def values(model):
    return {weight.path: weight.numpy().copy() for weight in model.weights}


def changed(before, model):
    """Paths of the weights that training changed."""
    return {path for path, value in values(model).items() if not np.array_equal(value, before[path])}


def weighted(model):
    return [layer for layer in flat_layers(model.get_layer("backbone")) if layer.weights]


@pytest.mark.parametrize("backbone", ["small_cnn", "efficientnet_lite0"])
def test_a_frozen_backbone_keeps_every_weight_and_statistic(backbone):
    model = build(backbone)
    kk.freeze_backbone(model)
    assert [weight.path for weight in model.trainable_weights] == ["probabilities/kernel", "probabilities/bias"]
    before = values(model)
    train(model)
    assert changed(before, model) == {"probabilities/kernel", "probabilities/bias"}


@pytest.mark.parametrize(
    ("backbone", "share", "batch_norm"),
    [pytest.param("efficientnet_lite0", 0.5, False, marks=pytest.mark.slow)]
    + [("small_cnn", share, batch_norm) for share in (0, 0.3, 0.5, 1) for batch_norm in (True, False)],
)
def test_unfreezing_trains_that_share_of_the_layers_from_the_head(backbone, share, batch_norm):
    model = build(backbone)
    kk.freeze_backbone(model)
    count = kk.unfreeze_backbone(model, share, batch_norm=batch_norm)
    layers = weighted(model)
    last = layers[len(layers) - round(share * len(layers)) :]
    expected = [layer for layer in last if batch_norm or not isinstance(layer, keras.layers.BatchNormalization)]
    assert [layer for layer in layers if layer.trainable] == expected
    assert count == len(expected)
    head = {weight.path for weight in model.get_layer("probabilities").weights}
    before, paths = values(model), {weight.path for layer in expected for weight in layer.weights}
    train(model)
    assert changed(before, model) <= paths | head
    if backbone == "small_cnn":  # deep random networks may give a layer no gradient
        assert changed(before, model) == paths | head


def test_freezing_and_unfreezing_undo_each_other():
    model = build()
    everything = [weight.path for weight in model.trainable_weights]
    kk.unfreeze_backbone(model, 0.5)
    kk.freeze_backbone(model)
    assert kk.unfreeze_backbone(model, 1.0, batch_norm=True) == len(weighted(model)) == 12
    assert [weight.path for weight in model.trainable_weights] == everything


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match=f"expected share from 0 to 1, got {share}"):
        kk.unfreeze_backbone(build(), share)


@pytest.fixture
def dtype_policy():
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_probabilities_are_float32_and_sum_to_one_under_every_policy(dtype_policy, policy, channels):
    dtype_policy(policy)
    probabilities = build(channels=channels)(IMAGES[..., :channels], training=False).numpy()
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("pooling", "reference"), [("avg", np.mean), ("max", np.max)])
def test_the_head_is_pooling_and_a_softmax_of_a_linear_map(pooling, reference):
    model = build(pooling=pooling)
    maps = model.get_layer("backbone")(IMAGES, training=False).numpy()
    kernel, bias = (value.astype(np.float64) for value in model.get_layer("probabilities").get_weights())
    exponent = np.exp(reference(maps, axis=(1, 2)) @ kernel + bias)
    expected = exponent / exponent.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model(IMAGES, training=False), expected, atol=1e-5)


def test_the_two_halves_at_the_features_make_the_whole_and_share_its_weights():
    model = build()
    extractor, head = split_at_features(model)
    whole = model(IMAGES, training=False).numpy()
    np.testing.assert_allclose(head(extractor(IMAGES, training=False), training=False), whole, atol=1e-6)
    kk.freeze_backbone(model)
    head.compile(optimizer=keras.optimizers.SGD(0.1), loss="categorical_crossentropy")
    head.train_on_batch(extractor(IMAGES, training=False).numpy(), ONE_HOT)
    assert np.abs(model(IMAGES, training=False).numpy() - whole).max() > 1e-4


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_dropout_acts_in_training_alone_and_drops_its_share(dropout):
    model = build(dropout=dropout)
    layer = model.get_layer("dropout")
    dropped = float(np.mean(layer(np.ones((100, 200), np.float32), training=True) == 0))
    assert abs(dropped - dropout) < 0.02  # of 20,000: four standard errors are 0.014
    np.testing.assert_array_equal(layer(np.ones((3, 3), np.float32), training=False), np.ones((3, 3)))


@pytest.mark.parametrize("backbone", ["small_cnn", pytest.param("efficientnet_lite0", marks=pytest.mark.slow)])
def test_a_saved_model_loads_and_predicts_the_same_where_kagglekit_is_not(tmp_path, backbone):
    model, rng = build(backbone), np.random.default_rng(0)
    model.set_weights([value * rng.uniform(0.8, 1.2, value.shape) + 0.01 for value in model.get_weights()])
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", IMAGES[:8])
    code = """
import sys
sys.modules["kagglekit"] = None  # importing it would raise
import keras, numpy as np
model = keras.saving.load_model("model.keras", compile=False, safe_mode=True)
np.save("probabilities.npy", model(np.load("images.npy"), training=False))
"""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, timeout=120, check=True)
    expected = model(IMAGES[:8], training=False)
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "expected num_classes of 2 or more, got 1"),
        ({"pooling": "mean"}, "expected pooling to be one of 'avg', 'max', 'concat', 'gem', got 'mean'"),
    ],
)
def test_wrong_heads_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kk.build_classifier(**{"num_classes": 3, "backbone": "small_cnn", "weights": None, "image_size": 16} | options)
