"""Losses for one class a row: weighted, sparse, robust against wrong labels, and of a teacher."""

import keras
from keras import ops

from kagglekit._checks import check_choice
from kagglekit.models.losses.base import ClassLoss, power, safe_log

_serializable = keras.saving.register_keras_serializable("kagglekit")


@_serializable
class WeightedCrossentropy(ClassLoss):
    """Cross-entropy, `-sum_c w_c y_c (1 - p_c)^gamma ln p_c`, with a weight for each class and focal damping.

    Without weights and with `gamma` 0 it is the cross-entropy, of class numbers as well as of soft targets.

    Args:
        class_weights: one number a class, or None.
        gamma: focal exponent (Lin et al., "Focal Loss for Dense Object Detection", 2017, equation 4); 0 is off.
        **kwargs: `from_logits`, `label_smoothing`, `reduction`, `name`, see `ClassLoss`.

    Example:

    >>> loss = WeightedCrossentropy([1.0, 3.0])
    >>> round(float(loss([0, 1], [[0.5, 0.5], [0.5, 0.5]])), 4)  # (1 + 3) / 2 times ln 2
    1.3863
    """

    options = ("class_weights", "gamma")

    def __init__(self, class_weights=None, gamma=0.0, *, name="weighted_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]
        self.gamma = gamma

    def rows(self, targets, log_probabilities):
        weights = 1.0 if self.class_weights is None else ops.convert_to_tensor(self.class_weights, "float32")
        damping = power(1 - ops.exp(log_probabilities), self.gamma)
        return -ops.sum(weights * targets * damping * log_probabilities, axis=-1)


def class_balanced(class_counts, beta=0.999, gamma=0.0, *, name="class_balanced", **kwargs):
    """Make a cross-entropy whose classes weigh the inverse of their effective number of rows.

    Args:
        class_counts: rows of each class, 1 or more.
        beta: 0 is no weighting, towards 1 it becomes 1 / rows.
        gamma: focal exponent, 0 is off.
        name, **kwargs: as in `WeightedCrossentropy`.

    Returns:
        `WeightedCrossentropy`; the mean weight of a row is 1.

    Example:

    >>> class_balanced([30, 10], beta=0.0).class_weights
    [1.0, 1.0]

    Reference: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", 2019, equation 2.
    """
    if not all(count >= 1 for count in class_counts):
        raise ValueError(f"expected one row or more of every class, got class_counts {list(class_counts)}")
    weights = [(1 - beta) / (1 - beta**count) for count in class_counts]
    mean = sum(weight * count for weight, count in zip(weights, class_counts, strict=True)) / sum(class_counts)
    return WeightedCrossentropy([weight / mean for weight in weights], gamma, name=name, **kwargs)


def sparsemax(logits):
    """Project logits onto the probability simplex: probabilities with exact zeros.

    Keras's own sparsemax is not used: in 3.13 and 3.15 its rows do not sum to 1.

    Args:
        logits: float tensor `(..., classes)`.

    Returns:
        Tensor of the same shape; every row sums to 1.

    Example:

    >>> [round(float(value), 2) for value in sparsemax([[0.0, 0.1, -2.0, 1.0]])[0]]
    [0.0, 0.05, 0.0, 0.95]

    Reference: Martins, Astudillo, "From Softmax to Sparsemax", 2016, algorithm 1.
    """
    logits = ops.convert_to_tensor(logits)
    logits = logits - ops.max(logits, axis=-1, keepdims=True)
    falling = -ops.sort(-logits, axis=-1)
    sums = ops.cumsum(falling, axis=-1)
    rank = ops.cast(ops.arange(1, logits.shape[-1] + 1), logits.dtype)
    inside = ops.cast(1 + rank * falling > sums, logits.dtype)
    threshold = (ops.sum(inside * falling, axis=-1, keepdims=True) - 1) / ops.sum(inside, axis=-1, keepdims=True)
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
        # A maximum over the simplex, so its gradient does not go through where the maximum lies.
        where = ops.stop_gradient(sparsemax(log_probabilities))
        return ops.sum(where * (log_probabilities - where / 2) + targets * (targets / 2 - log_probabilities), axis=-1)


@_serializable
class GeneralizedCrossentropy(ClassLoss):
    """`sum_c y_c (1 - p_c^q) / q`: between cross-entropy (q towards 0) and mean absolute error (q = 1).

    Keras's own takes class numbers alone and no smoothing.

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
    return safe_log(values) if t == 1 else (ops.maximum(values, 1e-30) ** (1 - t) - 1) / (1 - t)


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
        # without passing it, and ten-thousand classes take five steps. A last step from a fixed point has the exact
        # gradient of the root, so nothing need be kept of those before.
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
        teacher, student = (ops.log_softmax(logs / self.temperature) for logs in (safe_log(targets), log_probabilities))
        if self.divergence == "kl":
            apart = _divergence(teacher, student)
        else:
            middle = ops.logaddexp(teacher, student) - ops.log(2.0)
            apart = (_divergence(teacher, middle) + _divergence(student, middle)) / 2
        return self.temperature**2 * apart


def _divergence(logs, other):
    return ops.sum(ops.exp(logs) * (logs - other), axis=-1)
