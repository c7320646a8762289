"""What every optimizer keeps to, on the backend that Keras runs on; test_backends.py runs this file on JAX as well."""

import keras
import numpy as np
import pytest

from kagglekit.models.optimizers import OPTIMIZERS, Lookahead, make_optimizer, make_schedule

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6)).astype("float32")
Y = np.eye(3, dtype="float32")[np.argmax(X[:, :3], axis=1)]
RATES = {"sgd": 0.1, "lion": 0.02, "radam": 0.2}
NAMES = [*OPTIMIZERS, "lookahead"]
# A traced step takes seconds: every optimizer in the slow suite, the two classes that are ours every day.
FITS = [pytest.param(name, marks=[] if name in ("radam", "lookahead") else pytest.mark.slow) for name in NAMES]


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(8, activation="relu", name="low")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="high")(x))


def make(name, model):
    kind = "adamw" if name == "lookahead" else name
    scales = {weight.path: 0.5 for weight in model.get_layer("low").weights}
    schedule = make_schedule("cosine", RATES.get(name, 0.05), steps=60)
    optimizer = make_optimizer(kind, schedule, weight_decay=1e-3, clip=1.0, scales=scales)
    return Lookahead(optimizer, sync_period=3) if name == "lookahead" else optimizer


def step(model, optimizer, seed):
    rng = np.random.default_rng(seed)
    gradients = [rng.normal(size=weight.shape).astype("float32") for weight in model.trainable_variables]
    optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients], model.trainable_variables)


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_comes_back_from_its_configuration(name):
    models = [network(), network()]
    first = make(name, models[0])
    optimizers = [first, keras.optimizers.deserialize(keras.optimizers.serialize(first))]
    assert optimizers[1].get_config() == first.get_config()
    for seed in range(7):
        for model, optimizer in zip(models, optimizers, strict=True):
            step(model, optimizer, seed)
    for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", FITS)
def test_it_learns_and_goes_on_from_its_file_as_if_never_stopped(name, tmp_path):
    model = network()
    model.compile(make(name, model), loss="categorical_crossentropy", jit_compile=keras.backend.backend() == "jax")
    history = model.fit(X, Y, batch_size=16, epochs=8, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < 0.9 * history[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again(X), model(X))
    for seed in range(3):
        for one in (model, again):
            step(one, one.optimizer, seed)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_it_learns_under_mixed_precision(name, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = network()
        model.compile(make(name, model), loss="categorical_crossentropy", jit_compile=keras.backend.backend() == "jax")
        history = model.fit(X, Y, batch_size=16, epochs=8, shuffle=False, verbose=0).history["loss"]
    finally:
        keras.config.set_dtype_policy(before)
    assert history[-1] < 0.9 * history[0]
    assert all(keras.backend.standardize_dtype(weight.dtype) == "float32" for weight in model.weights)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_accumulates_and_averages_in_a_fit(name):
    model = network()
    kind = "adamw" if name == "lookahead" else name
    optimizer = make_optimizer(kind, RATES.get(name, 0.05), ema=0.5, accumulate=2)
    model.compile(optimizer, loss="categorical_crossentropy", jit_compile=keras.backend.backend() == "jax")
    history = model.fit(X, Y, batch_size=16, epochs=12, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < 0.9 * history[0]
