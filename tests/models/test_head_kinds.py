"""Poolings and heads beyond the plain one: against numpy, learnt in training, saved with Keras's own parts alone."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from kagglekit.models.heads import (
    KINDS,
    add_head,
    build_extractor,
    unfreeze_backbone,
    with_probabilities,
)
from kagglekit.models.keras_graph import seeds_from
from kagglekit.models.losses import make_loss
from kagglekit.models.optimizers import make_optimizer, make_schedule
from kagglekit.models.pooling import POOLINGS
from kagglekit.models.split import split_at_features
from kagglekit.tasks import TASKS

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (16, 16, 16, 3)).astype(np.float32)
VECTORS = RNG.normal(size=(16, 12)).astype(np.float32)
ONE_HOT = np.eye(4, dtype=np.float32)[RNG.integers(0, 4, 16)]
EVERYTHING = {"multi_dropout": 5, "neck": "batch_norm"}


def build(kind="linear", pooling="avg", task="single_label", dropout=0.2, **knobs):
    extractor = build_extractor("small_cnn", weights=None, image_size=16, pooling=pooling)
    return add_head(extractor, 4, task=task, dropout=dropout, head={"kind": kind, **knobs})


def train(model, loss="categorical_crossentropy", steps=1, rate=0.1, inputs=IMAGES):
    model.compile(optimizer=keras.optimizers.SGD(rate), loss=loss, run_eagerly=True)
    return [float(model.train_on_batch(inputs, ONE_HOT)) for _ in range(steps)]


@pytest.mark.parametrize("power", [1.0, 3.0, 6.5])
def test_gem_is_the_generalised_mean(power):
    model = build(pooling="gem")
    model.get_layer("gem_power").kernel.assign([[power]])
    extractor, _ = split_at_features(model)
    maps = np.maximum(model.get_layer("backbone")(IMAGES, training=False).numpy().astype(np.float64), 1e-6)
    expected = np.mean(maps**power, axis=(1, 2)) ** (1 / power)
    np.testing.assert_allclose(extractor(IMAGES, training=False), expected, rtol=1e-3, atol=1e-5)


def test_gem_starts_at_three_and_learns():
    model = build(pooling="gem")
    (power,) = model.get_layer("gem_power").get_weights()
    assert power.tolist() == [[3.0]]
    train(model, steps=3)
    assert abs(float(model.get_layer("gem_power").kernel[0, 0]) - 3) > 1e-5


def test_gem_of_an_empty_map_is_finite_and_so_is_its_gradient():
    inputs = keras.Input((2, 2, 3))
    from kagglekit.models.pooling import pool

    model = keras.Model(inputs, pool(keras.layers.Conv2D(3, 1, name="conv")(inputs), "gem"))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    model.train_on_batch(np.zeros((2, 2, 2, 3), np.float32), np.ones((2, 3), np.float32))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_joined_pooling_is_average_and_maximum_side_by_side():
    model = build(pooling="concat")
    extractor, _ = split_at_features(model)
    maps = model.get_layer("backbone")(IMAGES, training=False).numpy()
    expected = np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(extractor(IMAGES, training=False), expected, rtol=1e-5, atol=1e-6)


def test_parallel_dropouts_draw_apart_and_average():
    model = build(multi_dropout=5, dropout=0.5)
    ones = np.ones((200, 96), np.float32)
    drops = [model.get_layer(f"dropout{number}")(ones, training=True).numpy() for number in range(5)]
    assert all(abs((drop == 0).mean() - 0.5) < 0.03 for drop in drops)
    assert all((drops[0] != drop).mean() > 0.4 for drop in drops[1:])
    # Averaging before a linear map is averaging behind it: the spread of the mean of five is a fifth in variance.
    half = keras.Model(model.get_layer("features").output, model.get_layer("dropout").output)
    averaged = half(ones, training=True).numpy()
    assert averaged.var() == pytest.approx(drops[0].var() / 5, rel=0.1)
    np.testing.assert_allclose(model(IMAGES), build_like(model)(IMAGES), atol=1e-6)


def build_like(model):
    """The same weights in a network with one dropout."""
    plain = build()
    plain.set_weights(model.get_weights())
    return plain


def test_a_neck_standardises_each_feature_over_the_batch():
    model = build(neck="batch_norm")
    features, _ = split_at_features(model)
    vectors = features(IMAGES, training=False).numpy()
    layer = model.get_layer("neck")
    expected = (vectors - vectors.mean(axis=0)) / np.sqrt(vectors.var(axis=0) + layer.epsilon)
    np.testing.assert_allclose(layer(vectors, training=True), expected, atol=1e-4)
    assert [weight.name for weight in layer.trainable_weights] == [
        "gamma"
    ]  # no shift: https://arxiv.org/abs/1903.07071


def test_a_cosine_head_gives_the_cosines_to_directions_of_length_one_before_and_after_training():
    model = build("cosine")
    for _ in range(2):
        kernel = model.get_layer("cosines").kernel.numpy()
        np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, atol=1e-5)
        vectors = split_at_features(model)[0](IMAGES, training=False).numpy()
        expected = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) @ kernel
        np.testing.assert_allclose(model(IMAGES, training=False), expected, atol=1e-4)
        train(model, loss="mse", steps=3)


def test_the_probabilities_of_a_cosine_head_are_the_softmax_of_its_scaled_cosines():
    model = build("cosine")
    served = with_probabilities(model, scale=20.0)
    exponent = np.exp(20.0 * model(IMAGES, training=False).numpy().astype(np.float64))
    np.testing.assert_allclose(
        served(IMAGES, training=False), exponent / exponent.sum(axis=1, keepdims=True), atol=1e-5
    )
    plain = build()
    assert with_probabilities(plain) is plain


def test_ordinal_probabilities_are_those_of_proportional_odds():
    model = build("ordinal")
    rng = np.random.default_rng(1)
    model.get_layer("ordinal_steps").kernel.assign(rng.normal(size=(1, 3)))
    model.get_layer("severity").set_weights([rng.normal(size=(96, 1)), np.array([0.3])])
    vectors = split_at_features(model)[0](IMAGES, training=False).numpy().astype(np.float64)
    kernel, bias = model.get_layer("severity").get_weights()
    severity = 20 / np.sqrt(96) * (vectors @ kernel + bias) + 2 * 4 / 2
    cuts = np.cumsum(np.log1p(np.exp(model.get_layer("ordinal_steps").kernel.numpy()[0].astype(np.float64))))
    above = 1 / (1 + np.exp(cuts - severity))
    expected = -np.diff(np.hstack([np.ones((16, 1)), above, np.zeros((16, 1))]))
    np.testing.assert_allclose(model(IMAGES, training=False), expected, atol=1e-5)


def ordinal_of(outputs, features=1):
    """An ordinal head alone."""
    inputs = keras.Input((features,))
    numbers = keras.Model(inputs, keras.layers.Identity()(inputs), name="numbers")
    return add_head(numbers, outputs, dropout=0.0, head={"kind": "ordinal"})


@pytest.mark.parametrize("outputs", [2, 3, 7])
def test_an_ordinal_head_starts_in_the_middle_and_every_class_has_a_place(outputs):
    model = ordinal_of(outputs)
    vectors = np.linspace(-2, 2, 401, dtype=np.float32)[:, None]
    middle = model(vectors).numpy()
    np.testing.assert_allclose(middle, np.tile(middle[0, ::-1], (401, 1)), atol=1e-6)
    model.get_layer("severity").kernel.assign([[1.0]])
    chosen = model(vectors).numpy().argmax(axis=1)
    assert set(chosen) == set(range(outputs))
    assert (np.diff(chosen) >= 0).all()


def test_an_ordinal_head_learns_from_an_image_that_is_far_on_the_wrong_side():
    import tensorflow as tf

    model = ordinal_of(4)
    for bias in (-1e3, 1e3):
        model.get_layer("severity").bias.assign([bias])
        with tf.GradientTape() as tape:
            outputs = model(np.zeros((1, 1), np.float32))
            loss = make_loss()(np.eye(4, dtype=np.float32)[[1]], outputs)
        slope = float(tape.gradient(loss, model.get_layer("severity").bias.value)[0])
        assert np.isfinite(float(loss))
        assert slope == pytest.approx(np.sign(bias) * 20, rel=1e-3)  # a unit counts 20 / sqrt(1)


def graded_images(seed, grades=4, rows=64):
    """Noise with a lighter disc that grows with the grade; the first half to train on."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(2 * rows) % grades)
    radius = (2 + 1.6 * (labels + rng.uniform(0.2, 0.8, 2 * rows)))[:, None, None]
    y, x = np.mgrid[:16, :16]
    disc = np.hypot(y - 7.5, x - 7.5) < radius
    images = rng.uniform(0, 120, (2 * rows, 16, 16)) + 100 * disc
    return images[..., None].astype(np.float32), labels


def accuracies(kind, frozen, epochs, rate):
    """Held-out accuracy of a head over three seeds, with the budget of a recipe."""
    import tensorflow as tf

    results = []
    for seed in range(3):
        images, labels = graded_images(seed)
        with seeds_from(seed):
            extractor = build_extractor("small_cnn", weights=None, image_size=16, channels=1)
            if frozen:
                images = extractor.predict(images, verbose=0)
                inputs = keras.Input(images.shape[1:])
                extractor = keras.Model(inputs, keras.layers.Identity()(inputs), name="features")
            model = add_head(extractor, 4, head={"kind": kind})
        steps = 2 * epochs
        optimizer = make_optimizer("adamw", make_schedule("cosine", rate, steps), weight_decay=1e-4)
        optimizer.build(model.trainable_variables)
        loss, pixels, targets = make_loss(label_smoothing=0.05), tf.constant(images), tf.one_hot(labels, 4)

        @tf.function(autograph=False)
        def step(rows, model=model, optimizer=optimizer, loss=loss, pixels=pixels, targets=targets):
            variables = model.trainable_variables
            with tf.GradientTape() as tape:
                value = loss(tf.gather(targets, rows), model(tf.gather(pixels, rows), training=True))
            optimizer.apply(tape.gradient(value, [variable.value for variable in variables]), variables)

        rng = np.random.default_rng(seed)
        for _ in range(epochs):
            order = rng.permutation(64)
            step(tf.constant(order[:32]))
            step(tf.constant(order[32:]))
        results.append(float(np.mean(model(images[64:]).numpy().argmax(axis=1) == labels[64:])))
    return np.array(results)


@pytest.mark.parametrize(
    ("frozen", "epochs", "rate"), [(True, 60, 1e-2), pytest.param(False, 30, 3e-3, marks=pytest.mark.slow)]
)
def test_an_ordinal_head_learns_separable_grades_as_well_as_a_linear_one(frozen, epochs, rate):
    linear, ordinal = (accuracies(kind, frozen, epochs, rate) for kind in ("linear", "ordinal"))
    assert ordinal.min() > 0.8, (linear, ordinal)  # 0.39 at worst as long as steps of 1 hid the classes in between
    assert (ordinal >= linear - 0.05).all(), (linear, ordinal)


def test_an_ordinal_head_learns_grades():
    rng = np.random.default_rng(0)
    severity = rng.uniform(0, 4, 400)
    vectors = np.stack([severity, rng.normal(size=400)], axis=1).astype(np.float32)
    grades = np.eye(4, dtype=np.float32)[severity.astype(int)]
    inputs = keras.Input((2,))
    model = add_head(
        keras.Model(inputs, keras.layers.Identity()(inputs), name="numbers"), 4, dropout=0.0, head={"kind": "ordinal"}
    )
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss="categorical_crossentropy", run_eagerly=True)
    for _ in range(150):
        model.train_on_batch(vectors, grades)
    assert np.mean(model(vectors).numpy().argmax(axis=1) == severity.astype(int)) > 0.85


@pytest.mark.parametrize(("kind", "task"), [(kind, task.name) for task in TASKS.values() for kind in task.heads])
def test_every_head_gives_its_tasks_kind_of_numbers_and_trains(kind, task):
    inputs = keras.Input((12,))  # the head alone
    model = add_head(
        keras.Model(inputs, keras.layers.Identity()(inputs), name="vectors"),
        4,
        task=task,
        dropout=0.0,
        head={"kind": kind, **EVERYTHING},
    )
    outputs = with_probabilities(model)(VECTORS, training=False).numpy()
    assert outputs.dtype == np.float32
    if task != "regression":
        assert outputs.min() >= 0
        assert outputs.max() <= 1
    if task in ("single_label", "ordinal", "distribution"):
        np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)
    losses = train(model, "mse", steps=25, rate=0.2, inputs=VECTORS)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_heads_stay_in_float32_under_mixed_precision(policy, kind):
    keras.config.set_dtype_policy(policy)
    try:
        model = with_probabilities(build(kind, pooling="gem", **EVERYTHING))
    finally:
        keras.config.set_dtype_policy("float32")
    probabilities = model(IMAGES, training=False).numpy()
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_every_pooling_and_head_loads_and_predicts_the_same_where_kagglekit_is_not(tmp_path):
    pairs = [("linear", "concat"), ("cosine", "gem"), ("ordinal", "max")]
    assert {pooling for _, pooling in pairs} | {"avg"} == set(POOLINGS)
    np.save(tmp_path / "images.npy", IMAGES)
    expected = []
    for number, (kind, pooling) in enumerate(pairs):
        model = build(kind, pooling=pooling, **EVERYTHING)
        train(model, "mse", steps=2)
        served = with_probabilities(model)
        served.save(tmp_path / f"{number}.keras")
        expected.append(served(IMAGES, training=False).numpy())
    code = """
import sys
sys.modules["kagglekit"] = None  # importing it would raise
import keras, numpy as np
for number in range(3):
    model = keras.saving.load_model(f"{number}.keras", compile=False, safe_mode=True)
    np.save(f"{number}.npy", model(np.load("images.npy"), training=False))
"""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, timeout=120, check=True)
    for number, values in enumerate(expected):
        np.testing.assert_allclose(np.load(tmp_path / f"{number}.npy"), values, atol=1e-6)


def test_the_power_is_trained_with_the_network_but_not_while_the_backbone_is_frozen():
    model = build(pooling="gem")
    _, head = split_at_features(model)
    assert [weight.path for weight in head.trainable_weights] == ["probabilities/kernel", "probabilities/bias"]
    unfreeze_backbone(model, 0.5)
    assert "gem_power/kernel" in [weight.path for weight in model.trainable_weights]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "cosin"},
            "expected kind to be one of 'linear', 'cosine', 'ordinal', got 'cosin'. Did you mean 'cosine'",
        ),
        ({"kind": "cosine", "task": "multi_label"}, "'cosine' is not for the task 'multi_label'; expected one of"),
        ({"kind": "ordinal", "task": "regression"}, "'ordinal' is not for the task 'regression'; expected one of"),
        ({"multi_dropout": 0}, "expected multi_dropout to be a whole number from 1 to 16, got 0"),
        ({"neck": "bn"}, "expected neck to be one of 'none', 'batch_norm', got 'bn'"),
        ({"dropouts": 3}, "expected a knob of head to be one of 'kind', 'multi_dropout', 'neck', got 'dropouts'"),
    ],
)
def test_heads_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
