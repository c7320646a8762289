"""Losses with an angular margin, on the cosines of a cosine head."""

import math

import keras
from keras import ops

from kagglekit.models.losses.base import ClassLoss, one_hot


@keras.saving.register_keras_serializable("kagglekit")
class ArcFace(ClassLoss):
    """Cross-entropy of `scale * cos(angle + margin)` for the right class and `scale * cos(angle)` for the others.

    Predictions are cosines `(batch, classes)` of the features and a vector for each class, both of length 1. The margin
    comes from the targets, so the network needs no label as an input; it predicts with `softmax(scale * cosines)`.
    With soft targets a class has its share of the margin's effect.

    Args:
        scale: what the cosines are multiplied by.
        margin: radians.
        plain: share of the cross-entropy without a margin that is mixed in, 0 to 1. Recursion's winner took 0.8.
        **kwargs: `label_smoothing`, `reduction`, `name`, `dtype`, see `ClassLoss`; smoothing leaves the margin alone.

    Example:

    >>> loss = ArcFace(scale=1.0, margin=0.5)
    >>> round(float(loss([0], [[1.0, 0.0]])), 3)  # ln(1 + exp(-cos 0.5))
    0.348

    Reference: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", 2019, equation 3; beyond
    an angle of pi - margin, where the cosine would rise again, it keeps falling as cos(angle) - margin sin(margin).
    """

    options = ("scale", "margin", "plain")

    def __init__(self, scale=30.0, margin=0.5, plain=0.0, *, name="arcface", **kwargs):
        super().__init__(name=name, **kwargs)
        self.scale, self.margin, self.plain = scale, margin, plain

    def call(self, y_true, y_pred):
        targets = one_hot(y_true, y_pred)
        cosine = ops.clip(y_pred, -1.0, 1.0)
        sine = ops.sqrt(ops.maximum(1 - cosine**2, 1e-7))  # its gradient is infinite at 0
        shifted = ops.where(
            cosine > -math.cos(self.margin),
            cosine * math.cos(self.margin) - sine * math.sin(self.margin),
            cosine - self.margin * math.sin(self.margin),
        )
        with_margin = cosine + targets * (shifted - cosine)
        smoothed = self.smooth(targets)
        margin_loss, plain_loss = (self._crossentropy(smoothed, cosines) for cosines in (with_margin, cosine))
        return (1 - self.plain) * margin_loss + self.plain * plain_loss

    def _crossentropy(self, targets, cosines):
        return -ops.sum(targets * ops.log_softmax(self.scale * cosines), axis=-1)
