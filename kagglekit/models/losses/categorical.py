"""Losses for one class per row: sparse, robust against wrong labels, and distillation from a teacher."""

import math

import keras
from keras import ops

from kagglekit._checks import check_choice
from kagglekit.models.losses.base import TINY, ClassLoss, FiniteKerasLoss, finite_logits, safe_log

_serializable = keras.saving.register_keras_serializable("kagglekit")


@_serializable
class CategoricalCrossentropy(FiniteKerasLoss, keras.losses.CategoricalCrossentropy):
    """Keras's, with finite losses for infinite logits and for rows without any probability.

    Example:

    >>> loss = CategoricalCrossentropy(from_logits=True)
    >>> targets, logits = ops.array([[1.0, 0.0, 0.0]]), ops.array([[0.0, 0.0, float("-inf")]])
    >>> round(float(loss(targets, logits)), 4)  # ln 2
    0.6931
    """


@_serializable
class CategoricalFocalCrossentropy(FiniteKerasLoss, keras.losses.CategoricalFocalCrossentropy):
    """Keras's, with finite losses for infinite logits and for rows without any probability.

    Reference: Lin et al., "Focal Loss for Dense Object Detection", 2017, equation 4.
    """


def sparsemax(logits):
    """Project logits onto the probability simplex: probabilities with exact zeros.

    Keras's own sparsemax is not used: in 3.13 and 3.15 its rows do not sum to 1.

    Args:
        logits: float tensor `(..., classes)`.

    Returns:
        Tensor of the same shape; every row sums to 1. A logit of -inf has the probability 0.

    Example:

    >>> [round(float(value), 2) for value in sparsemax([[0.0, 0.1, -2.0, 1.0]])[0]]
    [0.0, 0.05, 0.0, 0.95]

    Reference: Martins, Astudillo, "From Softmax to Sparsemax", 2016, algorithm 1.
    """
    logits = finite_logits(ops.convert_to_tensor(logits))
    descending = -ops.sort(-logits, axis=-1)
    sums = ops.cumsum(descending, axis=-1)
    rank = ops.cast(ops.arange(1, logits.shape[-1] + 1), logits.dtype)
    inside = ops.cast(1 + rank * descending > sums, logits.dtype)
    threshold = (ops.sum(inside * descending, axis=-1, keepdims=True) - 1) / ops.sum(inside, axis=-1, keepdims=True)
    return ops.maximum(logits - threshold, 0)


@_serializable
class SparsemaxLoss(ClassLoss):
    """The loss whose gradient by the logits is sparsemax - target: rows that are clearly right have none.

    Example:

    >>> loss = SparsemaxLoss(from_logits=True)
    >>> [round(float(loss([0], [[gap, 0.0]])), 4) for gap in (0.0, 1.0, 5.0)]  # (1 - gap)^2 / 4 up to a gap of 1
    [0.25, 0.0, 0.0]

    Reference: Martins, Astudillo, 2016, equation 19, in the form for soft targets of its section 3.3.
    """

    def __init__(self, *, name="sparsemax", **kwargs):
        super().__init__(name=name, **kwargs)

    def rows(self, targets, log_probabilities):
        # The loss is a maximum over the simplex, so no gradient flows through the place of the maximum
        projection = ops.stop_gradient(sparsemax(log_probabilities))
        return ops.sum(
            projection * (log_probabilities - projection / 2) + targets * (targets / 2 - log_probabilities), axis=-1
        )


@_serializable
class GeneralizedCrossentropy(ClassLoss):
    """`sum_c y_c (1 - p_c^q) / q`: between cross-entropy (q towards 0) and mean absolute error (q = 1).

    Keras's own takes only class numbers and has no smoothing.

    Args:
        q: robustness against wrong labels, more than 0 and at most 1.
        **kwargs: as in `ClassLoss`.

    Example:

    >>> round(float(GeneralizedCrossentropy(q=1.0)([[0, 1]], [[0.3, 0.7]])), 4)
    0.3

    Reference: Zhang, Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
    2018, equation 6.
    """

    options = ("q",)

    def __init__(self, q=0.7, *, name="generalized_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)
        if not 0 < q <= 1:
            raise ValueError(f"expected q above 0 and at most 1, got {q}")
        self.q = q

    def rows(self, targets, log_probabilities):
        return ops.sum(targets * (1 - ops.exp(self.q * log_probabilities)), axis=-1) / self.q


@_serializable
class SymmetricCrossentropy(ClassLoss):
    """`alpha` cross-entropy + `beta` reverse cross-entropy, `-sum p ln y` where ln 0 counts as ln `floor`.

    Args:
        alpha, beta: weights of the two; 0.1 and 1 are the authors' for CIFAR-10, 6 and 0.1 for CIFAR-100.
        floor: smallest target in the reverse part; the authors' is 1e-4.
        **kwargs: as in `ClassLoss`.

    Example:

    >>> loss = SymmetricCrossentropy(alpha=0.0)
    >>> round(float(loss([[0, 1]], [[0.3, 0.7]])), 4)  # 0.3 times -ln 1e-4
    2.7631

    Reference: Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", 2019, equation 9.
    """

    options = ("alpha", "beta", "floor")

    def __init__(self, alpha=0.1, beta=1.0, floor=1e-4, *, name="symmetric_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.alpha, self.beta, self.floor = alpha, beta, floor

    def rows(self, targets, log_probabilities):
        forward = ops.sum(targets * log_probabilities, axis=-1)
        reverse = ops.sum(ops.exp(log_probabilities) * ops.log(ops.clip(targets, self.floor, 1.0)), axis=-1)
        return -self.alpha * forward - self.beta * reverse


@_serializable
class BiTempered(ClassLoss):
    """Logistic loss with two temperatures: `t1` < 1 bounds it, `t2` > 1 gives its softmax a heavy tail.

    A row with a wrong label then neither costs without limit nor pulls the boundary. With both at 1 it is the
    cross-entropy less the targets' entropy.

    Args:
        t1: temperature of the logarithm, 0 to 1.
        t2: temperature of the softmax, 1 or more.
        **kwargs: as in `ClassLoss`.

    Example:

    >>> round(float(BiTempered(1.0, 1.0)([[0, 1]], [[0.3, 0.7]])), 4)  # -ln 0.7
    0.3567

    Reference: Amid et al., "Robust Bi-Tempered Logistic Loss Based on Bregman Divergences", 2019, equations 4 and 6.
    """

    options = ("t1", "t2")

    def __init__(self, t1=0.8, t2=1.4, *, name="bi_tempered", **kwargs):
        super().__init__(name=name, **kwargs)
        if not 0 <= t1 <= 1 <= t2:
            raise ValueError(f"expected t1 from 0 to 1 and t2 of 1 or more, got {t1} and {t2}")
        self.t1, self.t2 = t1, t2

    def rows(self, targets, log_probabilities):
        probabilities = tempered_softmax(log_probabilities, self.t2)
        difference = tempered_log(targets, self.t1) - tempered_log(probabilities, self.t1)
        bregman = (targets ** (2 - self.t1) - probabilities ** (2 - self.t1)) / (2 - self.t1)
        return ops.sum(targets * difference - bregman, axis=-1)


def tempered_log(values, t):
    """`(x^(1 - t) - 1) / (1 - t)`; the logarithm for `t` = 1."""
    return safe_log(values) if t == 1 else (ops.maximum(values, TINY) ** (1 - t) - 1) / (1 - t)


def tempered_softmax(activations, t):
    """Softmax of temperature `t` of 1 or more: `exp_t(a - L)`, with the row's `L` that makes the sum 1.

    Args:
        activations: float32 `(batch, classes)`.
        t: 1 is softmax.

    Returns:
        float32 `(batch, classes)`.
    """
    if t == 1:
        return ops.softmax(activations)
    activations = activations - ops.max(activations, axis=-1, keepdims=True)
    shift = ops.zeros_like(activations[:, :1])
    for step in range(8):
        # Newton's method for sum^(1 - t) = 1, which is concave and almost straight in the shift: it rises to the root
        # without passing it, and ten thousand classes take five steps. A last step from a fixed point has the exact
        # gradient of the root, so nothing of the earlier steps is needed.
        shift = ops.stop_gradient(shift) if step == 7 else shift
        bases = 1 + (t - 1) * (shift - activations)
        total = ops.sum(bases ** (-1 / (t - 1)), axis=-1, keepdims=True)
        slope = ops.stop_gradient((t - 1) * total**-t * ops.sum(bases ** (-t / (t - 1)), axis=-1, keepdims=True))
        shift = shift + (1 - total ** (1 - t)) / slope
    return (1 + (t - 1) * (shift - activations)) ** (-1 / (t - 1))


@_serializable
class Distillation(ClassLoss):
    """Divergence of a student from its teacher, both softened by a temperature, times its square.

    Targets are the teacher's probabilities. The square keeps the gradients' size, so that the loss can be mixed with a
    cross-entropy whatever the temperature.

    Args:
        temperature: 1 leaves the teacher as it is, 2 to 5 shows what it thinks of the wrong classes.
        divergence: `"kl"` (Kullback-Leibler of teacher and student) or `"js"` (Jensen-Shannon: symmetric, at most
            ln 2 before the square).
        **kwargs: as in `ClassLoss`.

    Example:

    >>> round(float(Distillation(temperature=1.0)([[0.5, 0.5]], [[0.25, 0.75]])), 4)  # ln 2 / 2 + ln(2 / 3) / 2
    0.1438

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2; Lin, "Divergence
    Measures Based on the Shannon Entropy", 1991, equation 4.1 with equal weights.
    """

    options = ("temperature", "divergence")

    def __init__(self, temperature=4.0, divergence="kl", *, name="distillation", **kwargs):
        super().__init__(name=name, **kwargs)
        check_choice("divergence", divergence, ("kl", "js"))
        self.temperature, self.divergence = temperature, divergence

    def rows(self, targets, log_probabilities):
        teacher, student = (
            ops.log_softmax(log_values / self.temperature) for log_values in (safe_log(targets), log_probabilities)
        )
        if self.divergence == "kl":
            divergence = _divergence(teacher, student)
        else:
            middle = ops.logaddexp(teacher, student) - math.log(2)
            divergence = (_divergence(teacher, middle) + _divergence(student, middle)) / 2
        return self.temperature**2 * divergence


def _divergence(log_p, log_q):
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
