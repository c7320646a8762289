"""The kit's equivalents give what tensorflow-addons 0.23.0 gave; make_golden.py wrote its values."""

from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from kagglekit.augment import filters, geometry, masks, tone
from kagglekit.metrics import per_class, score
from kagglekit.models.losses import QuadraticKappa, SparsemaxLoss, make_loss, sparsemax
from kagglekit.models.optimizers import Lookahead, WeightAverage, make_optimizer

GOLDEN = dict(np.load(Path(__file__).with_name("addons.npz"), allow_pickle=False))
LOGITS, NUMBERS, LABELS = GOLDEN["logits"], GOLDEN["numbers"], GOLDEN["labels"]
PROBABILITIES = np.asarray(keras.ops.softmax(LOGITS))
CERTAINTIES = np.asarray(keras.ops.sigmoid(LOGITS))


def test_sparsemax():
    np.testing.assert_allclose(sparsemax(LOGITS), GOLDEN["sparsemax"], atol=1e-5)


@pytest.mark.parametrize(("targets", "name"), [(NUMBERS, "hard"), (GOLDEN["soft"], "soft")])
def test_sparsemax_loss(targets, name):
    for loss, predictions in ((SparsemaxLoss(from_logits=True, reduction=None), LOGITS),
                              (SparsemaxLoss(reduction=None), PROBABILITIES)):  # fmt: skip
        np.testing.assert_allclose(loss(targets, predictions), GOLDEN[f"sparsemax_loss_{name}"], atol=1e-5)


def test_sigmoid_focal_loss_as_a_mean_over_the_labels():
    ours = make_loss("binary_focal", task="multi_label", reduction=None)
    np.testing.assert_allclose(6 * np.asarray(ours(LABELS, CERTAINTIES)), GOLDEN["focal"], atol=1e-5)
    options = {"from_logits": True, "alpha": 0.4, "gamma": 1.5}
    ours = make_loss("binary_focal", task="multi_label", reduction=None, **options)
    np.testing.assert_allclose(6 * np.asarray(ours(LABELS, LOGITS)), GOLDEN["focal_logits"], atol=1e-5)


def test_weighted_kappa():
    assert score("quadratic_weighted_kappa", NUMBERS, PROBABILITIES) == pytest.approx(
        GOLDEN["kappa_quadratic"], abs=1e-5
    )
    # Linear weights are scikit-learn's, as nothing in the kit uses them.
    linear = cohen_kappa_score(NUMBERS, PROBABILITIES.argmax(axis=1), weights="linear")
    assert linear == pytest.approx(GOLDEN["kappa_linear"], abs=1e-5)


def test_weighted_kappa_loss_without_its_logarithm():
    assert float(QuadraticKappa()(NUMBERS, PROBABILITIES)) == pytest.approx(np.exp(GOLDEN["kappa_loss"]), abs=1e-5)


def test_f1():
    for average in ("macro", "micro"):
        assert score(f"{average}_f1", NUMBERS, PROBABILITIES) == pytest.approx(GOLDEN[f"f1_{average}"], abs=1e-5)
        assert score(f"{average}_f1", LABELS, CERTAINTIES, "multi_label") == pytest.approx(
            GOLDEN[f"f1_labels_{average}"], abs=1e-5
        )
    np.testing.assert_allclose(per_class(NUMBERS, PROBABILITIES)["f"], GOLDEN["f1_None"], atol=1e-5)
    np.testing.assert_allclose(per_class(LABELS, CERTAINTIES)["f"], GOLDEN["f1_labels_None"], atol=1e-5)


def model():
    """The two weights, without layers around them."""
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(3, name="dense")(inputs))
    network.set_weights([GOLDEN["weights_0"], GOLDEN["weights_1"]])
    return network


def paths(optimizer, network=None, after_step=lambda step: None):
    """The two weights after every step with the recorded gradients."""
    network = network or model()
    found = []
    for step, gradients in enumerate(zip(GOLDEN["gradients_0"], GOLDEN["gradients_1"], strict=True)):
        optimizer.apply([keras.ops.convert_to_tensor(value) for value in gradients], network.trainable_variables)
        found.append(network.get_weights())
        after_step(step)
    return [np.stack(values) for values in zip(*found, strict=True)]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("lamb", lambda: make_optimizer("lamb", 0.01)),
        ("radam", lambda: make_optimizer("radam", 0.01)),
        ("lookahead", lambda: Lookahead(keras.optimizers.SGD(0.1), sync_period=4)),
        ("lookahead_adam", lambda: Lookahead(make_optimizer("adam", 0.01))),
        # MultiOptimizer of Adam(1e-3) for the kernel and Adam(1e-2) for the bias
        ("multi", lambda: make_optimizer("adam", 1e-2, scales={"dense/kernel": 0.1})),
    ],
)
def test_every_step_of_an_optimizer(name, make):
    for number, values in enumerate(paths(make())):
        np.testing.assert_allclose(values, GOLDEN[f"{name}_{number}"], atol=1e-5)


def test_stochastic_weight_averaging():
    # tensorflow-addons counts steps from 0: it averages after steps 4, 7, 10 and 13
    network, average = model(), WeightAverage()
    paths(keras.optimizers.SGD(0.1), network, lambda step: average.add(network) if step in (4, 7, 10, 13) else None)
    with average.in_place(network):
        for number, values in enumerate(network.get_weights()):
            np.testing.assert_allclose(values, GOLDEN[f"swa_{number}"], atol=1e-5)


# ---- images, to one grey level


def pixels(name):
    return GOLDEN[name].astype(int)


@pytest.mark.parametrize(
    ("name", "matrix"),
    [
        ("rotate", geometry.rotation_matrix(20)),
        ("translate", geometry.shift_matrix(-3, 5)),
        ("translate_part", geometry.shift_matrix(1.25, 2.5)),
    ],
)
def test_a_warp(name, matrix):
    # tensorflow-addons turns about the middle of the corner pixels' centres, as the kit does
    seen = geometry.warp(GOLDEN["picture"], matrix, border="constant", fill=0).astype(int)
    difference = np.abs(seen - pixels(name))[1:-1, 1:-1]
    inside = geometry.warp(np.ones_like(GOLDEN["picture"]) * 255, matrix, border="constant", fill=0)[1:-1, 1:-1] == 255
    assert difference[inside].max() <= 1
    assert inside.mean() > 0.6


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_shear(axis):
    # its shear starts at the upper left corner and takes the nearest pixel; the kit starts in the middle, bilinear
    height, width = GOLDEN["picture"].shape[:2]
    start = geometry.shift_matrix(-0.5 + height / 2, -0.5 + width / 2)
    matrix = np.linalg.inv(start) @ geometry.shear_matrix(**{axis: -0.3}) @ start
    seen = geometry.warp(GOLDEN["picture"], matrix, border="constant", fill=0).astype(int)
    expected = pixels(f"shear_{axis}")
    assert np.abs(seen - expected).mean() < np.abs(seen[::-1] - expected).mean() / 3


def test_cutout_equalize_and_sharpness():
    picture = GOLDEN["picture"]
    hidden = masks.hide(picture, ([(6 / 24, 17 / 32, 14 / 24, 23 / 32)], 7.0))
    np.testing.assert_array_equal(hidden, GOLDEN["cutout"])
    assert np.abs(tone.equalize(picture, True).astype(int) - pixels("equalize")).max() <= 1
    assert np.abs(filters.sharpness(picture, 1.8).astype(int) - pixels("sharpness")).max() <= 1
    assert np.abs(filters.sharpness(picture, 0.0).astype(int) - pixels("blur")).max() <= 1
