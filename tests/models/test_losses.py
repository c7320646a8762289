"""Losses against their formulas in numpy, float64; Keras's own are checked in the same way before they are used."""

import keras
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import cohen_kappa_score, f1_score

from kagglekit.models.losses import (
    LOSSES,
    ArcFace,
    Asymmetric,
    BiTempered,
    QuadraticKappa,
    SoftF1,
    SparsemaxLoss,
    make_loss,
    sparsemax,
)
from kagglekit.models.losses.categorical import tempered_softmax
from kagglekit.tasks import TASKS

RNG = np.random.default_rng(0)
LOGITS = 2 * RNG.normal(size=(40, 5))
P = softmax(LOGITS, axis=1)
SOFT = RNG.dirichlet(np.ones(5), 40)
NUMBERS = RNG.integers(0, 5, 40)
HARD = np.eye(5)[NUMBERS]
LABELS = RNG.integers(0, 2, (40, 5)).astype(float)
Q = expit(LOGITS)


def value(loss, targets, predictions, **options):
    return float(loss(targets.astype("float32"), predictions.astype("float32"), **options))


def tempered(probabilities, targets, t1):
    """Amid et al., equation 4: the Bregman divergence, a sum over the classes, with log_t written out."""

    def log_t(x):
        return (x ** (1 - t1) - 1) / (1 - t1)

    difference = targets * (log_t(np.maximum(targets, 1e-30)) - log_t(probabilities))
    return (difference - (targets ** (2 - t1) - probabilities ** (2 - t1)) / (2 - t1)).sum(axis=1).mean()


def margin(cosines, targets):
    """ArcFace through the angle itself."""
    angle = np.arccos(cosines)
    return -(targets * log_softmax(30 * np.cos(angle + 0.5 * targets), axis=1)).sum(axis=1).mean()


def jensen(p, q):
    middle = (p + q) / 2
    return ((p * np.log(p / middle) + q * np.log(q / middle)) / 2).sum(axis=1).mean()


def divergence(p, q):
    return (p * np.log(p / q)).sum(axis=1).mean()


COSINES = 0.8 * np.tanh(LOGITS / 3)  # angle + 0.5 stays below pi
# name, options, targets, predictions, the formula's value
FORMULAS = [
    ("cross_entropy", {}, SOFT, P, -(SOFT * np.log(P)).sum(axis=1).mean()),
    ("cross_entropy", {"from_logits": True}, HARD, LOGITS, -(HARD * np.log(P)).sum(axis=1).mean()),
    ("cross_entropy", {"label_smoothing": 0.1}, HARD, P, -((0.9 * HARD + 0.02) * np.log(P)).sum(axis=1).mean()),
    ("focal", {"gamma": 2.0}, SOFT, P, -(SOFT * (1 - P) ** 2 * np.log(P)).sum(axis=1).mean()),
    ("focal", {"gamma": 0.0}, HARD, P, -(HARD * np.log(P)).sum(axis=1).mean()),
    ("generalized_cross_entropy", {"q": 0.7}, HARD, P, ((1 - P[np.arange(40), NUMBERS] ** 0.7) / 0.7).mean()),
    ("generalized_cross_entropy", {"q": 1.0}, HARD, P, np.abs(P - HARD).sum(axis=1).mean() / 2),
    ("symmetric_cross_entropy", {"alpha": 0.3, "beta": 2.0}, HARD, P,
     -0.3 * (HARD * np.log(P)).sum(axis=1).mean() + 2 * -np.log(1e-4) * (1 - P[np.arange(40), NUMBERS]).mean()),
    ("bi_tempered", {"t1": 0.7, "t2": 1.0}, SOFT, P, tempered(P, SOFT, 0.7)),
    ("arcface", {}, HARD, COSINES, margin(COSINES, HARD)),
    ("arcface", {"margin": 0.0}, SOFT, COSINES, -(SOFT * log_softmax(30 * COSINES, axis=1)).sum(axis=1).mean()),
    ("arcface_mixture", {}, HARD, COSINES, 0.2 * margin(COSINES, HARD) + 0.8 * -(HARD * log_softmax(
        30 * COSINES, axis=1)).sum(axis=1).mean()),
    ("earth_movers", {}, SOFT, P, np.sqrt((np.cumsum(SOFT - P, axis=1) ** 2).mean(axis=1)).mean()),
    ("earth_movers", {"squared": True}, SOFT, P, (np.cumsum(SOFT - P, axis=1) ** 2).mean()),
    ("distillation", {"temperature": 3.0}, SOFT, P,
     9 * divergence(softmax(np.log(SOFT) / 3, axis=1), softmax(LOGITS / 3, axis=1))),
    ("distillation", {"temperature": 1.0, "divergence": "js"}, SOFT, P, jensen(SOFT, P)),
    ("kl_divergence", {}, SOFT, P, divergence(SOFT, P)),
    ("binary_cross_entropy", {}, LABELS, Q, -np.log(np.where(LABELS == 1, Q, 1 - Q)).mean()),
    ("binary_cross_entropy", {"from_logits": True, "label_smoothing": 0.2}, LABELS, LOGITS,
     -((0.8 * LABELS + 0.1) * np.log(Q) + (0.9 - 0.8 * LABELS) * np.log(1 - Q)).mean()),
    ("binary_focal", {"gamma": 2.0}, LABELS, Q,
     -np.where(LABELS == 1, 0.25 * (1 - Q) ** 2 * np.log(Q), 0.75 * Q**2 * np.log(1 - Q)).mean()),
    ("asymmetric", {"margin": 0.05, "gamma_positive": 1.0, "gamma_negative": 4.0}, LABELS, Q,
     -np.where(LABELS == 1, (1 - Q) * np.log(Q),
               np.maximum(Q - 0.05, 0) ** 4 * np.log(1 - np.maximum(Q - 0.05, 0))).mean()),
    ("mean_squared_error", {}, LABELS, LOGITS, ((LABELS - LOGITS) ** 2).mean()),
    ("mean_absolute_error", {}, LABELS, LOGITS, np.abs(LABELS - LOGITS).mean()),
    ("smooth_l1", {}, LABELS, LOGITS, np.where(np.abs(LABELS - LOGITS) < 1, (LABELS - LOGITS) ** 2 / 2,
                                              np.abs(LABELS - LOGITS) - 0.5).mean()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "targets", "predictions", "expected"), FORMULAS, ids=[f"{row[0]}-{row[1]}" for row in FORMULAS]
)
def test_losses_equal_their_formulas(name, options, targets, predictions, expected):
    assert value(LOSSES[name](**options), targets, predictions) == pytest.approx(expected, rel=2e-5)


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    # Bisection on the threshold: sum(max(z - threshold, 0)) = 1 falls in the threshold.
    low, high = LOGITS.max(axis=1, keepdims=True) - 1, LOGITS.max(axis=1, keepdims=True)
    for _ in range(60):
        middle = (low + high) / 2
        above = np.maximum(LOGITS - middle, 0).sum(axis=1, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    np.testing.assert_allclose(sparsemax(LOGITS.astype("float32")), np.maximum(LOGITS - low, 0), atol=1e-6)


def test_sparsemax_gives_a_masked_class_nothing():
    inf = float("inf")
    logits = [[0.0, -inf, 0.5], [-inf, -inf, 3.0], [1.0, inf, -inf], [-inf, -inf, -inf], [-1e30, 0.2, 0.2]]
    expected = [[0.25, 0, 0.75], [0, 0, 1], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3], [0, 0.5, 0.5]]
    np.testing.assert_allclose(sparsemax(logits), expected, atol=1e-6)
    assert np.isnan(np.asarray(sparsemax([[0.0, float("nan")]]))).any()


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "generalized_cross_entropy", "sparsemax"])
def test_the_loss_with_a_masked_class_is_that_of_the_others(name):
    masked = np.concatenate([LOGITS, np.full((40, 1), -np.inf)], axis=1)
    targets = np.concatenate([SOFT, np.zeros((40, 1))], axis=1)
    loss = LOSSES[name](from_logits=True)
    assert value(loss, targets, masked) == pytest.approx(value(loss, SOFT, LOGITS), rel=1e-5)


def test_keras_own_sparsemax_is_still_wrong():
    # If this fails, Keras has repaired it: use keras.ops.sparsemax in place of ours once 3.13 need not be supported.
    assert float(keras.ops.sum(keras.ops.sparsemax([[0.0, 0.1, -2.0, 1.0]]))) < 0.9


@pytest.mark.parametrize("name", ["sparsemax", "bi_tempered", "distillation", "symmetric_cross_entropy"])
def test_probabilities_serve_as_well_as_logits(name):
    loss, of_logits = LOSSES[name](), LOSSES[name](from_logits=True)
    assert value(loss, SOFT, P) == pytest.approx(value(of_logits, SOFT, LOGITS + 7), rel=2e-5)


@pytest.mark.parametrize("classes", [2, 5, 10000])
@pytest.mark.parametrize("t", [1.1, 1.4, 3.0])
def test_the_tempered_softmax_sums_to_one(classes, t):
    activations = 5 * np.random.default_rng(1).normal(size=(20, classes)).astype("float32")
    probabilities = np.asarray(tempered_softmax(keras.ops.convert_to_tensor(activations), t))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=2e-5)
    assert (probabilities[np.arange(20), np.argmax(activations, axis=1)] == probabilities.max(axis=1)).all()


def test_without_tempering_it_is_the_cross_entropy():
    assert value(BiTempered(1.0, 1.0), HARD, P) == pytest.approx(value(LOSSES["cross_entropy"](), HARD, P), rel=1e-5)


def test_the_tempered_loss_of_a_wrong_label_is_bounded():
    sure = np.array([[1 - 4e-20, 1e-20, 1e-20, 1e-20, 1e-20]])
    wrong = value(BiTempered(0.8, 1.0), np.eye(5)[[1]], sure)
    # -log_t(p) is at most 1 / (1 - t1) = 5; the powers add (p^1.2 - y^1.2) / 1.2 = 0 for two points
    assert 4.9 < wrong <= 5
    assert value(LOSSES["cross_entropy"](from_logits=True), np.eye(5)[[1]], np.log(sure)) > 40


def test_the_sparsemax_loss_is_zero_for_rows_that_are_clearly_right():
    loss = SparsemaxLoss(from_logits=True)
    assert value(loss, np.eye(3)[[0]], np.array([[3.0, 1.9, -1.0]])) == pytest.approx(0, abs=1e-6)
    assert value(loss, np.eye(3)[[1]], np.array([[3.0, 1.9, -1.0]])) > 1


def test_certain_predictions_have_the_metrics_themselves():
    said = np.eye(5)[RNG.integers(0, 5, 40)]
    kappa = cohen_kappa_score(NUMBERS, said.argmax(axis=1), weights="quadratic")
    assert value(QuadraticKappa(), NUMBERS, said) == pytest.approx(1 - kappa, rel=1e-5)
    decided = RNG.integers(0, 2, (40, 5)).astype(float)
    assert value(SoftF1(), LABELS, decided) == pytest.approx(1 - f1_score(LABELS, decided, average="macro"), rel=1e-5)


def test_without_asymmetry_it_is_the_binary_cross_entropy():
    options = {"gamma_positive": 0.0, "gamma_negative": 0.0, "margin": 0.0}
    expected = value(LOSSES["binary_cross_entropy"](), LABELS, Q)
    assert value(Asymmetric(**options), LABELS, Q) == pytest.approx(expected, rel=1e-5)
    assert value(Asymmetric(from_logits=True, **options), LABELS, LOGITS) == pytest.approx(expected, rel=1e-5)


def test_the_margin_makes_the_right_class_harder_up_to_the_opposite_direction():
    angles = np.linspace(0.01, np.pi - 0.01, 200)
    losses = [value(ArcFace(), np.array([0]), np.array([[np.cos(angle), 0.0]])) for angle in angles]
    plain = [value(ArcFace(margin=0.0), np.array([0]), np.array([[np.cos(angle), 0.0]])) for angle in angles]
    assert (np.diff(losses) > -1e-6).all()
    assert (np.array(losses) >= np.array(plain)).all()


def test_smoothing_does_not_weaken_the_margin():
    targets = 0.9 * HARD + 0.1 / 5
    angle = np.arccos(COSINES)
    expected = -(targets * log_softmax(30 * np.cos(angle + 0.5 * HARD), axis=1)).sum(axis=1).mean()
    assert value(ArcFace(label_smoothing=0.1), HARD, COSINES) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("task", TASKS.values(), ids=str)
def test_auto_is_the_first_loss_of_the_task(task):
    assert type(make_loss(task=task)) is type(make_loss(task=str(task))) is type(LOSSES[task.losses[0]]())
    assert set(task.losses) <= set(LOSSES)


def test_every_loss_fits_a_task_and_grades_are_learnt_with_any_loss_of_classes():
    assert {name for task in TASKS.values() for name in task.losses} == set(LOSSES)
    assert set(TASKS["ordinal"].losses) == set(TASKS["single_label"].losses)


def test_only_certain_targets_are_smoothed():
    smooth = [make_loss(task=task, label_smoothing=0.3) for task in ("single_label", "multi_label", "distribution")]
    assert [loss.get_config()["label_smoothing"] for loss in smooth] == [0.3, 0.3, 0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "focl"}, "expected loss to be one of .*Did you mean 'focal'"),
        ({"loss": "asymmetric"}, "'asymmetric' is not for the task 'single_label'; expected one of .*'cross_entropy'"),
        ({"task": "ranking"}, "expected task to be one of"),
        ({"loss": "generalized_cross_entropy", "q": 0.0}, "expected q above 0"),
        ({"loss": "bi_tempered", "t2": 0.5}, "t2 of 1 or more"),
        ({"loss": "sparsemax", "dtype": "float16"}, "expected dtype of a loss to be one of 'float32', 'float64'"),
        ({"loss": "distillation", "task": "distribution", "divergence": "k"}, "expected divergence to be one of"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_loss(**arguments)
