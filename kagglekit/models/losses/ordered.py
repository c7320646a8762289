"""Losses for ordered classes: grades and scores."""

import keras
from keras import ops

from kagglekit.models.losses.base import ClassLoss

_serializable = keras.saving.register_keras_serializable("kagglekit")


@_serializable
class EarthMovers(ClassLoss):
    """Earth mover's distance of two distributions over ordered classes: `sqrt(mean((CDF_p - CDF_q)^2))`.

    Args:
        squared: leave the root out; the gradient then fades as the distributions meet.
        **kwargs: `from_logits`, `label_smoothing`, `reduction`, `name`, `dtype`, see `ClassLoss`.

    Example:

    >>> round(float(EarthMovers()([[1.0, 0.0, 0.0]], [[0.0, 0.5, 0.5]])), 4)  # sqrt((1 + 0.25) / 3)
    0.6455

    Reference: Hou, Yu, Samaras, "Squared Earth Mover's Distance-based Loss for Training Deep Neural Networks", 2016;
    Talebi, Milanfar, "NIMA: Neural Image Assessment", 2018, equation 1 with r = 2.
    """

    options = ("squared",)

    def __init__(self, squared=False, *, name="earth_movers", **kwargs):
        super().__init__(name=name, **kwargs)
        self.squared = squared

    def rows(self, targets, log_probabilities):
        differences = ops.cumsum(ops.exp(log_probabilities) - targets, axis=-1)
        squares = ops.mean(differences**2, axis=-1)
        return squares if self.squared else ops.sqrt(ops.maximum(squares, 1e-12))  # the root's slope at 0 is infinite


@_serializable
class QuadraticKappa(ClassLoss):
    """1 - quadratic weighted kappa of a batch, with probabilities in place of decisions.

    Kappa is one number for all rows: 1 - observed / expected disagreement. A row's loss is its observed disagreement
    over the batch's expected one, so that the mean is 1 - kappa and sample weights weigh what a row adds.

    Example:

    >>> loss = QuadraticKappa()
    >>> round(float(loss([0, 1, 2, 2], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])), 4)  # 4 of 6.5, see the metric
    0.6154

    Reference: de la Torre, Puig, Valls, "Weighted kappa loss function for multi-class classification of ordinal data in
    deep learning", 2018, equation 12 without its logarithm, which has no lower bound.
    """

    def __init__(self, *, name="quadratic_kappa", **kwargs):
        super().__init__(name=name, **kwargs)

    def rows(self, targets, log_probabilities):
        probabilities = ops.exp(log_probabilities)
        grades = ops.arange(targets.shape[-1], dtype=targets.dtype) / (targets.shape[-1] - 1)
        weights = (grades[:, None] - grades[None, :]) ** 2
        observed = ops.sum(ops.matmul(targets, weights) * probabilities, axis=-1)
        mean_target, mean_prediction = ops.mean(targets, axis=0), ops.mean(probabilities, axis=0)
        expected = ops.sum(mean_target[:, None] * mean_prediction[None, :] * weights)
        return observed / ops.maximum(expected, 1e-7)
