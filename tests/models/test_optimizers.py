"""The optimizer's schedule in worked numbers, and what decays."""

import keras
import numpy as np
import pytest

from kagglekit.models.optimizers import adamw_with_warmup


def rates(steps, **options):
    """Learning rate of every step, and of the one after the last."""
    optimizer = adamw_with_warmup(0.1, steps, **options)
    values = []
    for step in range(steps + 1):
        optimizer.iterations.assign(step)
        values.append(float(optimizer.learning_rate))
    return np.array(values)


@pytest.mark.parametrize(
    ("steps", "warmup", "expected"),
    [
        # 10 steps up, 90 along 0.05 (1 + cos(pi t / 90)): the middle is 10 + 45, a third 10 + 30 (cos 60 degrees = 1/2)
        (100, 0.1, {0: 0.0, 5: 0.05, 10: 0.1, 40: 0.075, 55: 0.05, 70: 0.025, 100: 0.0}),
        (100, 0.0, {0: 0.1, 50: 0.05, 100: 0.0}),
        (60, 0.5, {0: 0.0, 15: 0.05, 30: 0.1, 40: 0.075, 60: 0.0}),
        (4, 0.1, {0: 0.1, 2: 0.05, 4: 0.0}),  # round(0.4) = 0 steps up
        (10, 1.0, {0: 0.0, 5: 0.05, 10: 0.1}),
        (1, 0.1, {0: 0.1, 1: 0.0}),
    ],
)
def test_the_rate_rises_linearly_and_falls_along_half_a_cosine(steps, warmup, expected):
    values = rates(steps, warmup=warmup)
    np.testing.assert_allclose([values[step] for step in expected], list(expected.values()), atol=1e-7)


@pytest.mark.parametrize("steps", [7, 100])
def test_the_rate_peaks_once_and_equals_the_formula(steps):
    values, rise = rates(steps, warmup=0.3), round(0.3 * steps)
    falling = np.arange(steps + 1 - rise) / (steps - rise)
    reference = np.concatenate([0.1 * np.arange(rise) / rise, 0.05 * (1 + np.cos(np.pi * falling))])
    np.testing.assert_allclose(values, reference, atol=1e-7)
    assert values.argmax() == rise


def test_kernels_decay_and_biases_scales_and_shifts_do_not():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(3, 3, name="beta_block"),  # only a weight's own name counts
            keras.layers.DepthwiseConv2D(3, name="bias"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="gamma"),
        ]
    )
    for weight in model.trainable_weights:
        weight.assign(np.full(weight.shape, 2.0))
    optimizer = adamw_with_warmup(0.1, steps=10, warmup=0.0, weight_decay=0.5)
    # Without a gradient the decay alone is left: 2 (1 - rate x decay) = 2 (1 - 0.1 x 0.5) = 1.9
    optimizer.apply([weight * 0 for weight in model.trainable_weights], model.trainable_weights)
    expected = {"kernel": 1.9, "bias": 2.0, "gamma": 2.0, "beta": 2.0}
    assert {weight.name for weight in model.trainable_weights} == set(expected)
    for weight in model.trainable_weights:
        np.testing.assert_allclose(weight, np.full(weight.shape, expected[weight.name]), atol=1e-6, err_msg=weight.path)


def test_the_first_step_is_the_learning_rate_against_the_gradients_sign():
    # Adam's first step, bias-corrected, is lr g / (|g| + eps) whatever g is (https://arxiv.org/abs/1412.6980)
    weight = keras.Variable([1.0, 1.0, 1.0], name="bias")
    optimizer = adamw_with_warmup(0.1, steps=10, warmup=0.0)
    optimizer.apply([keras.ops.convert_to_tensor([4.0, -0.5, 0.0])], [weight])
    np.testing.assert_allclose(weight, [0.9, 1.1, 1.0], atol=1e-5)
