"""What every loss keeps to, on the backend that Keras runs on; test_backends.py runs this file on JAX as well."""

import keras
import numpy as np
import pytest

from kagglekit.models.losses import LOSSES, make_loss
from kagglekit.tasks import TASKS

OPTIONS = {
    "distillation": {"divergence": "js"},
    "earth_movers": {"squared": True},
}
# Grades are learnt with the losses of single labels
CASES = [(name, task.name) for task in TASKS.values() if task != "ordinal" for name in task.losses]
WITH_LOGITS = [case for case in CASES if case[1] != "regression" and not case[0].startswith(("arcface", "kl_"))]
ROWS = 12


def batch(task, seed=0):
    """Targets and predictions of a task as its head gives them, away from the corners where a loss has a kink."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(ROWS, 4))
    targets = {
        "single_label": np.eye(4)[rng.integers(0, 4, ROWS)],
        "multi_label": rng.integers(0, 2, (ROWS, 4)),
        "distribution": rng.dirichlet(np.ones(4), ROWS),
        "regression": 3 * rng.normal(size=(ROWS, 4)),
    }[task].astype("float32")
    return targets, numbers.astype("float32")


def predicted(name, task, logits):
    """What the head of a task makes of its sums."""
    if name.startswith("arcface"):
        return 0.8 * keras.ops.tanh(logits)
    if task == "regression":
        return logits
    return keras.ops.sigmoid(logits) if task == "multi_label" else keras.ops.softmax(logits)


def gradient(function, values):
    """Gradient of a function of one tensor, on either backend."""
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(keras.ops.convert_to_tensor(values)))
    import tensorflow as tf

    values = tf.convert_to_tensor(values)
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = function(values)
    return np.asarray(tape.gradient(result, values))


def make(loss, **options):
    return LOSSES[loss](**OPTIONS.get(loss, {}), **options)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_the_gradient_agrees_with_finite_differences(name, task):
    loss, (targets, numbers) = make(name), batch(task)
    direction = np.random.default_rng(1).normal(size=numbers.shape).astype("float32")
    direction /= np.linalg.norm(direction)

    def of(values):
        return loss(targets, predicted(name, task, values))

    step = 2e-2
    expected = (float(of(numbers + step * direction)) - float(of(numbers - step * direction))) / (2 * step)
    slope = gradient(of, numbers)
    assert np.isfinite(slope).all()
    assert (slope * direction).sum() == pytest.approx(expected, rel=5e-3, abs=2e-3 * float(np.linalg.norm(slope)))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_certain_predictions_have_finite_losses_and_gradients(name, task):
    loss, (targets, numbers) = make(name), batch(task)
    for certain in (200 * numbers, 200 * (2 * targets - 1), 0 * numbers):
        result = gradient(lambda values: loss(targets, predicted(name, task, values)), certain)
        assert np.isfinite(result).all()
        assert np.isfinite(float(loss(targets, predicted(name, task, certain))))


@pytest.mark.parametrize(("name", "task"), WITH_LOGITS)
def test_infinite_and_huge_logits_have_finite_losses_and_gradients(name, task):
    loss, inf = make(name, from_logits=True), np.inf
    targets = batch(task)[0][:3]
    for row in (
        [0, -inf, 1, -inf], [0, -inf, -inf, -inf], [-inf] * 4, [0, inf, 1, 0], [inf, inf, -inf, 1], [inf] * 4,
        [1e38, -1e38, 0, 5], [-3e38] * 4,
    ):  # fmt: skip
        for logits in (np.tile(row, (3, 1)), np.stack([np.roll(row, by) for by in range(3)])):
            logits = logits.astype("float32")
            assert np.isfinite(float(loss(targets, logits))), row
            assert np.isfinite(gradient(lambda values: loss(targets, values), logits)).all(), row
    spoilt = np.tile(np.float32([0, np.nan, 1, 0]), (3, 1))
    assert np.isnan(float(loss(targets, spoilt)))  # training that has gone wrong must say so


@pytest.mark.parametrize(("name", "task"), [case for case in CASES if case[1] != "regression"])
def test_probabilities_of_exactly_0_and_1_have_finite_losses_and_gradients(name, task):
    loss, targets = make(name), batch(task)[0][:3]
    for values in (np.zeros((3, 4)), np.ones((3, 4)), np.eye(4)[[0, 2, 1]], np.eye(4)[[3, 3, 3]]):
        values = values.astype("float32")
        assert np.isfinite(float(loss(targets, values))), values
        assert np.isfinite(gradient(lambda predictions: loss(targets, predictions), values)).all(), values


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_loss_takes_what_every_loss_of_keras_takes(name, task):
    targets, numbers = batch(task)
    values = predicted(name, task, numbers)
    options = OPTIONS.get(name, {})
    loss = make_loss(name, task=task, name="mine", reduction="sum", dtype="float64", **options)
    assert loss.name == "mine"
    result = loss(targets, values)
    expected = np.asarray(make_loss(name, task=task, reduction=None, **options)(targets, values))
    assert float(result) == pytest.approx(expected.sum(), rel=1e-5)
    if keras.backend.backend() != "jax":  # which has no float64 unless it is asked for
        assert keras.backend.standardize_dtype(result.dtype) == "float64"


@pytest.mark.parametrize(("name", "task"), WITH_LOGITS)
def test_logits_give_the_loss_of_their_probabilities(name, task):
    targets, numbers = batch(task)
    of_probabilities = make(name)(targets, predicted(name, task, numbers))
    assert float(make(name, from_logits=True)(targets, numbers)) == pytest.approx(float(of_probabilities), rel=1e-4)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_loss_comes_back_from_its_configuration(name, task):
    loss, (targets, numbers) = make(name, name="mine"), batch(task)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert float(again(targets, predicted(name, task, numbers))) == float(loss(targets, predicted(name, task, numbers)))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_sample_weights_weigh_rows(name, task):
    targets, numbers = batch(task)
    values = predicted(name, task, numbers)
    rows = np.asarray(make(name, reduction=None)(targets, values))
    assert rows.shape == (ROWS,)
    weights = np.linspace(0, 2, ROWS).astype("float32")
    weighted = float(make(name)(targets, values, sample_weight=weights))
    assert weighted == pytest.approx(float((rows * weights).mean()), rel=1e-5)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_half_precision_predictions_are_computed_in_single(name, task):
    targets, numbers = batch(task)
    half = keras.ops.cast(predicted(name, task, numbers), "float16")
    result = make(name)(targets, half)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    assert float(result) == float(make(name)(targets, keras.ops.cast(half, "float32")))


# A traced step and the file take a second: two of our losses every day, the rest slow.
EVERY_DAY = ("arcface_mixture", "soft_f1")
FITS = [pytest.param(*case, marks=[] if case[0] in EVERY_DAY else pytest.mark.slow) for case in CASES]


@pytest.mark.parametrize(("name", "task"), FITS)
def test_a_network_learns_with_it_and_comes_back_from_its_file(name, task, tmp_path):
    targets, numbers = batch(task)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    outputs = predicted(name, task, keras.layers.Dense(4, name="sums")(inputs))
    model = keras.Model(inputs, outputs)
    jit = keras.backend.backend() == "jax"  # XLA compiles longer than it trains
    model.compile(keras.optimizers.Adam(0.1), loss=make(name), jit_compile=jit)
    before = float(model.loss(targets, model(numbers)))
    model.fit(numbers, targets, sample_weight=np.ones(ROWS), epochs=15, batch_size=ROWS, verbose=0)
    after = float(model.loss(targets, model(numbers)))
    assert after < before
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again(numbers), model(numbers))
    assert float(again.loss(targets, again(numbers))) == after
