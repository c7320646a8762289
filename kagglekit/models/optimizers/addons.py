"""Optimizers that tensorflow-addons had and Keras lacks: rectified Adam, Lookahead, stochastic weight averaging."""

import contextlib
import math

import keras
import numpy as np
from keras import ops

from kagglekit.models.keras_graph import trained_by
from kagglekit.models.optimizers.layer_rates import LayerRates

_serializable = keras.saving.register_keras_serializable("kagglekit")


@_serializable
class RectifiedAdam(LayerRates, keras.optimizers.Optimizer):
    """Adam whose adaptive rate is held back while its variance is unknown: a warm-up that needs no length.

    Args:
        learning_rate: float or schedule.
        beta_1, beta_2, epsilon: as in Adam.
        threshold: length of the moving average from which the rate adapts; before, it is SGD with momentum.
        **kwargs: `weight_decay`, `global_clipnorm` and other arguments of Keras's optimizers; `scales` of `LayerRates`.

    Example:

    >>> optimizer = RectifiedAdam(0.1)
    >>> weight = keras.Variable([1.0])
    >>> optimizer.apply([keras.ops.ones((1,))], [weight])  # the first steps are SGD's: 1 - 0.1 x 1
    >>> round(float(weight[0]), 4)
    0.9

    Reference: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2019, algorithm 2; the threshold
    of 5 is that of the authors' code and of tensorflow-addons, the paper's is 4.
    """

    def __init__(self, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7, threshold=5.0, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.threshold = beta_1, beta_2, epsilon, threshold

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self._means, self._squares = self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        mean, square = self._means[index], self._squares[index]
        gradient, learning_rate = ops.cast(gradient, variable.dtype), ops.cast(learning_rate, variable.dtype)
        steps = ops.cast(self.iterations + 1, "float32")
        # 1 - beta^steps
        correction_1, correction_2 = (-ops.expm1(steps * math.log(beta)) for beta in (self.beta_1, self.beta_2))
        longest = 2 / (1 - self.beta_2) - 1
        length = longest - 2 * steps * (1 - correction_2) / correction_2
        safe = ops.maximum(length, self.threshold)
        rectified = ops.sqrt((safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe))
        self.assign(mean, mean * self.beta_1 + gradient * (1 - self.beta_1))
        self.assign(square, square * self.beta_2 + ops.square(gradient) * (1 - self.beta_2))
        corrected = mean / ops.cast(correction_1, variable.dtype)
        root = ops.sqrt(square / ops.cast(correction_2, variable.dtype)) + self.epsilon
        adaptive = ops.cast(rectified, variable.dtype) * corrected / root
        self.assign_sub(variable, learning_rate * ops.where(length >= self.threshold, adaptive, corrected))

    def get_config(self):
        names = ("beta_1", "beta_2", "epsilon", "threshold")
        return super().get_config() | {name: getattr(self, name) for name in names}


@_serializable
class Lookahead(keras.optimizers.Optimizer):
    """Another optimizer, whose weights are pulled back every few steps to slow weights that follow them half-way.

    Args:
        inner: a Keras optimizer, for example of `make_optimizer`; its clipping, decay, rates and average stay.
        sync_period: updates from one pull to the next.
        slow_step_size: share of the way that the slow weights go, 0 to 1.
        name: name of the optimizer.

    Example:

    >>> optimizer = Lookahead(keras.optimizers.SGD(0.1), sync_period=2)
    >>> weight = keras.Variable([1.0])
    >>> for _ in range(2):
    ...     optimizer.apply([keras.ops.ones((1,))], [weight])
    >>> round(float(weight[0]), 4)  # 1 - 0.2, half-way back
    0.9

    Reference: Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", 2019, algorithm 1.
    """

    def __init__(self, inner, sync_period=6, slow_step_size=0.5, *, name=None):
        super().__init__(learning_rate=0.0, name=name)
        self.inner, self.sync_period, self.slow_step_size = inner, sync_period, slow_step_size

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self._slow = self.add_optimizer_variables(variables, "slow")
            self.inner.build(variables)

    @property
    def variables(self):
        return super().variables + (self.inner.variables if self.built else [])

    @property
    def iterations(self):
        return self.inner.iterations

    @property
    def learning_rate(self):
        return self.inner.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.inner.learning_rate = value

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self.inner.exclude_from_weight_decay(var_list, var_names)

    def scale_loss(self, loss):
        return self.inner.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.inner.finalize_variable_values(var_list)

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            self.build(list(trainable_variables))
        variables = trained_by(self) if trainable_variables is None else list(trainable_variables)
        pairs = [(variable, self._slow[self._get_variable_index(variable)]) for variable in variables]
        before = self.iterations + 0  # a copy: the variable itself keeps counting
        for variable, slow in pairs:  # they start where training starts, even if the weights have changed since `build`
            slow.assign(ops.where(before == 0, ops.convert_to_tensor(variable), ops.convert_to_tensor(slow)))
        self.inner.apply(grads, trainable_variables)
        after = self.iterations + 0  # counts updates, not the batches that one accumulates
        pull = ops.logical_and(after > before, after % self.sync_period == 0)
        for variable, slow in pairs:
            fast_value, slow_value = ops.convert_to_tensor(variable), ops.convert_to_tensor(slow)
            pulled = slow_value + self.slow_step_size * (fast_value - slow_value)
            slow.assign(ops.where(pull, pulled, slow_value))
            variable.assign(ops.where(pull, pulled, fast_value))
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))

    def get_config(self):
        return {
            "inner": keras.optimizers.serialize(self.inner),
            "sync_period": self.sync_period,
            "slow_step_size": self.slow_step_size,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        inner = keras.optimizers.deserialize(config["inner"], custom_objects=custom_objects)
        return cls(**(config | {"inner": inner}))


class WeightAverage:
    """Mean of a network's weights at several moments of training (stochastic weight averaging).

    Call `add` at the end of late epochs, at a constant or cyclic learning rate, then validate, predict and save inside
    `in_place`. Moving statistics of batch normalisation are averaged with the weights, which is exact where they are
    frozen; where they are trained, let them settle afterwards with one pass of training data at a learning rate of 0.

    Attributes:
        count: number of weights in the mean so far.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    >>> average = WeightAverage()
    >>> for value in (1.0, 2.0):
    ...     model.set_weights([np.array([[value]])])
    ...     average.add(model)
    >>> with average.in_place(model):
    ...     float(model.get_weights()[0][0, 0])
    1.5
    >>> float(model.get_weights()[0][0, 0])
    2.0

    Reference: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018, algorithm 1.
    """

    def __init__(self):
        self.count, self._means = 0, None

    def add(self, model):
        """Add the current weights to the mean."""
        weights = [weight.astype(np.float64) for weight in model.get_weights()]
        self._means = self._means or [np.zeros_like(weight) for weight in weights]
        self.count += 1
        for mean, weight in zip(self._means, weights, strict=True):
            mean += (weight - mean) / self.count

    @contextlib.contextmanager
    def in_place(self, model):
        """Give the network the mean weights within a `with` block; its own come back at the end."""
        if not self.count:
            raise ValueError("the average is empty; call add(model) at the end of an epoch first")
        current = model.get_weights()
        model.set_weights(self._means)
        try:
            yield model
        finally:
            model.set_weights(current)
