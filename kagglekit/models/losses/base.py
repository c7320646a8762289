"""What our losses share: targets, logarithms, configuration."""

import keras
from keras import ops

from kagglekit._checks import check_choice
from kagglekit.models.keras_graph import has_logits

# Far below softmax's smallest useful value, far above float32's smallest: the gradient of the logarithm stays finite,
# and a hopeless row (probability 1e-12) still has one, unlike below Keras's 1e-7.
TINY = 1e-30
# Lower logits count as this: far below what any network gives, and its square is far below float32's largest value.
LOWEST = -1e4


class ClassLoss(keras.losses.Loss):
    """A loss of class probabilities; subclasses implement `rows(targets, log_probabilities)`.

    Targets are soft `(batch, classes)`, one-hot included, or class numbers `(batch,)` or `(batch, 1)`. Computed in
    float32 whatever the policy: sums of half-precision logarithms lose the digits that the gradients need.

    Args:
        from_logits: predictions are logits; else probabilities, as a head with softmax gives them. For a loss that is
            defined on logits, the logarithms of the probabilities are used: losses of a softmax do not change when a
            number is added to all logits of a row.
        label_smoothing: share `e` of the targets that is spread evenly: `y (1 - e) + e / classes`, 0 to less than 1.
        reduction: as in `keras.losses.Loss`.
        name: name of the loss.
        dtype: as in `keras.losses.Loss`, but float32 whatever Keras's default, and never half precision.
    """

    options = ()  # names of a subclass's own arguments, for get_config

    def __init__(
        self, *, from_logits=False, label_smoothing=0.0, reduction="sum_over_batch_size", name=None, dtype="float32"
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype or "float32")
        check_choice("dtype of a loss", self.dtype, ("float32", "float64"))
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def __call__(self, y_true, y_pred, sample_weight=None):
        # Keras takes a list for several outputs; here it is a batch of rows
        y_true, y_pred = (ops.convert_to_tensor(values, self.dtype) for values in (y_true, y_pred))
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        log_probabilities = ops.log_softmax(finite_logits(y_pred)) if self.from_logits else safe_log(y_pred)
        return self.rows(self.smooth(one_hot(y_true, y_pred)), log_probabilities)

    def smooth(self, targets):
        """Spread the share `label_smoothing` of the targets over all classes."""
        return targets * (1 - self.label_smoothing) + self.label_smoothing / targets.shape[-1]

    def rows(self, targets, log_probabilities):
        """Return the loss of each row from float32 `(batch, classes)` each."""
        raise NotImplementedError

    def get_config(self):
        config = {name: getattr(self, name) for name in ("from_logits", "label_smoothing", "dtype", *self.options)}
        return super().get_config() | config


class LabelLoss(ClassLoss):
    """A loss of independent labels; subclasses implement `rows(targets, log_present, log_absent)`.

    Args:
        from_logits: predictions are logits; else probabilities, as a head with sigmoids gives them.
        label_smoothing: as in Keras's binary cross-entropy: `y (1 - e) + e / 2`.
        reduction: as in `keras.losses.Loss`.
        name, dtype: as in `ClassLoss`.
    """

    def call(self, y_true, y_pred):
        if self.from_logits:
            y_pred = ops.clip(y_pred, LOWEST, -LOWEST)
            log_present, log_absent = ops.log_sigmoid(y_pred), ops.log_sigmoid(-y_pred)
        else:
            log_present, log_absent = safe_log(y_pred), safe_log(1 - y_pred)
        return self.rows(y_true * (1 - self.label_smoothing) + self.label_smoothing / 2, log_present, log_absent)


def one_hot(y_true, y_pred):
    """Return targets as soft targets `(batch, classes)`: class numbers become one-hot, others stay as they are."""
    classes = y_pred.shape[-1]
    if len(y_true.shape) == 1 or (y_true.shape[-1] == 1 and classes > 1):
        return ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), classes, dtype=y_true.dtype)
    return y_true


def finite_logits(logits):
    """Return logits minus the largest of their row, from `LOWEST` to 0: a class masked by -inf has no probability.

    Several logits of inf share the probability, as does a row of only -inf. NaN stays, so that failed training shows.
    """
    logits = ops.clip(logits, -1e30, 1e30)
    return ops.maximum(logits - ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True)), LOWEST)


def safe_log(values):
    """Return the logarithm of values that may be 0."""
    return ops.log(ops.maximum(values, TINY))


def power(values, exponent):
    """Return a power of values in [0, 1] whose gradient at 0 is finite, for an exponent of 0 as well."""
    return ops.power(ops.maximum(values, 1e-7), exponent) if exponent else ops.ones_like(values)


class FiniteKerasLoss:
    """Mixin for Keras's cross-entropies: finite for infinite logits and for rows without any probability, as ours are.

    Where Keras knows the logits behind a softmax or sigmoid it uses them directly, so such predictions stay unchanged.
    """

    def call(self, y_true, y_pred):
        if self.from_logits:
            y_pred = self.finite(y_pred)
        elif not has_logits(y_pred):
            y_pred = ops.maximum(y_pred, 1e-9)  # below what Keras clips at, and its square is no 0 in float32
        return super().call(y_true, y_pred)

    def finite(self, logits):
        return finite_logits(logits)
