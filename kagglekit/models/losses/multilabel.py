"""Losses for several labels per row."""

import keras
from keras import ops

from kagglekit.models.losses.base import LOWEST, FiniteKerasLoss, LabelLoss, power

_serializable = keras.saving.register_keras_serializable("kagglekit")


class _FiniteBinary(FiniteKerasLoss):
    def finite(self, logits):
        return ops.clip(logits, LOWEST, -LOWEST)


@_serializable
class BinaryCrossentropy(_FiniteBinary, keras.losses.BinaryCrossentropy):
    """Keras's, with finite losses for infinite logits.

    Example:

    >>> loss = BinaryCrossentropy(from_logits=True)
    >>> float(loss(ops.array([[1.0, 0.0]]), ops.array([[float("inf"), float("-inf")]])))
    0.0
    """


@_serializable
class BinaryFocalCrossentropy(_FiniteBinary, keras.losses.BinaryFocalCrossentropy):
    """Keras's, with finite losses for infinite logits.

    Reference: Lin et al., "Focal Loss for Dense Object Detection", 2017, equation 5.
    """


@_serializable
class Asymmetric(LabelLoss):
    """Binary cross-entropy whose easy negatives count little, and the easiest nothing: most labels are absent.

    With both exponents and the margin at 0 it is the binary cross-entropy.

    Args:
        gamma_positive, gamma_negative: focal exponents of the present and the absent labels.
        margin: probability up to which an absent label costs nothing, 0 to less than 1.
        **kwargs: `from_logits`, `label_smoothing`, `reduction`, `name`, `dtype`, see `LabelLoss`.

    Example:

    >>> round(float(Asymmetric(0, 0, 0.0)([[1, 0]], [[0.5, 0.5]])), 4)  # ln 2
    0.6931

    Reference: Ridnik et al., "Asymmetric Loss For Multi-Label Classification", 2021, equations 5 to 7 and its defaults;
    the mean over the labels in place of the sum.
    """

    options = ("gamma_positive", "gamma_negative", "margin")

    def __init__(self, gamma_positive=0.0, gamma_negative=4.0, margin=0.05, *, name="asymmetric", **kwargs):
        super().__init__(name=name, **kwargs)
        self.gamma_positive, self.gamma_negative, self.margin = gamma_positive, gamma_negative, margin

    def rows(self, targets, log_present, log_absent):
        present = power(ops.exp(log_absent), self.gamma_positive) * log_present
        shifted = ops.maximum(ops.exp(log_present) - self.margin, 0.0)
        if self.margin:
            log_absent = ops.log(1 - shifted)
        absent = power(shifted, self.gamma_negative) * log_absent
        return -ops.mean(targets * present + (1 - targets) * absent, axis=-1)


@_serializable
class SoftF1(LabelLoss):
    """1 - F1 of a batch, with probabilities in place of decisions, averaged over the labels.

    F1 = 2 TP / (2 TP + FP + FN) is one number for all rows. A row's loss is its share of FP + FN over the batch's sum,
    times the number of rows, so that the mean is 1 - F1 and sample weights weigh what a row adds. Batches must be large
    enough to hold the rare labels.

    Example:

    >>> round(float(SoftF1()([[1], [0]], [[0.8], [0.4]])), 4)  # 1 - 1.6 / (1.6 + 0.4 + 0.2)
    0.2727

    Reference: Eban et al., "Scalable Learning of Non-Decomposable Objectives", 2017, for the objective; the counts are
    made soft by taking expectations.
    """

    def __init__(self, *, name="soft_f1", **kwargs):
        super().__init__(name=name, **kwargs)

    def rows(self, targets, log_present, log_absent):
        present = ops.exp(log_present)
        wrong = present * (1 - targets) + (1 - present) * targets
        rows = ops.cast(ops.shape(targets)[0], targets.dtype)
        total = ops.sum(2 * present * targets + wrong, axis=0, keepdims=True)
        return ops.mean(rows * wrong / ops.maximum(total, 1e-7), axis=-1)
