"""Learning rates over the steps of a stage."""

import math

import keras
from keras import ops

from kagglekit._checks import check_choice

SCHEDULES = ("cosine", "one_cycle", "exponential", "step", "constant")
_serializable = keras.saving.register_keras_serializable("kagglekit")


def make_schedule(name, learning_rate, steps, *, warmup=0.1, epochs=1):
    """Make a learning-rate schedule by name.

    With gradient accumulation Keras counts every batch as a step, for the schedule too: `steps` are batches.

    Args:
        name: `"cosine"` (linear rise, then half a cosine to zero), `"one_cycle"` (half cosines up and down),
            `"exponential"` (by epochs: linear rise, then 0.8 an epoch), `"step"` (linear rise, then a tenth after each
            third of the rest) or `"constant"` (linear rise, then as it is).
        learning_rate: peak of the schedule.
        steps: number of steps of the whole stage.
        warmup: share of the steps that the rise takes, 0 to 1.
        epochs: epochs of the stage; only `"exponential"` uses them.

    Returns:
        `keras.optimizers.schedules.LearningRateSchedule`; for `"constant"` without a rise a float, which
        `keras.callbacks.ReduceLROnPlateau` can lower (it cannot change a schedule).

    Example:

    >>> schedule = make_schedule("cosine", 0.1, steps=100)
    >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 55, 100)]
    [0.0, 0.05, 0.1, 0.05, 0.0]

    Reference: https://arxiv.org/abs/1608.03983 (cosine), https://arxiv.org/abs/1708.07120 (one cycle),
    https://arxiv.org/abs/1512.03385 (a tenth after each third), C. Deotte for SIIM-ISIC melanoma 2020
    (`EpochExponential`).
    """
    check_choice("schedule", name, SCHEDULES)
    rise = round(steps * warmup)
    if name == "one_cycle":
        return OneCycle(learning_rate, steps, rise)
    if name == "exponential":
        return EpochExponential(learning_rate, max(math.ceil(steps / epochs), 1), ramp_epochs=round(warmup * epochs))
    if name == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if rise else learning_rate,
            decay_steps=max(steps - rise, 1),
            warmup_target=learning_rate if rise else None,
            warmup_steps=rise,
        )
    if name == "constant" and not rise:
        return float(learning_rate)
    third = max(math.ceil((steps - rise) / 3), 1)
    return StepDecay(learning_rate, third if name == "step" else 0, rise)


@_serializable
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise, then a tenth after every `every` steps.

    Args:
        peak: learning rate after the rise.
        every: steps between the falls; 0 for none.
        rise: steps of the rise.
        factor: what a fall multiplies the rate by.
    """

    def __init__(self, peak, every, rise=0, factor=0.1):
        super().__init__()
        self.peak, self.every, self.rise, self.factor = peak, every, rise, factor

    def __call__(self, step):
        step = ops.cast(step, "float32")
        falls = ops.floor(ops.maximum(step - self.rise, 0.0) / self.every) if self.every else 0.0
        return ops.where(step < self.rise, step / max(self.rise, 1), self.factor**falls) * self.peak

    def get_config(self):
        return {"peak": self.peak, "every": self.every, "rise": self.rise, "factor": self.factor}


@_serializable
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Half a cosine up from a 25th of the peak, half a cosine down to a 10,000th of the start.

    Args:
        peak: highest learning rate.
        steps: steps of the whole cycle.
        rise: steps of the rise; Smith and fastai take 0.3 of all.

    Example:

    >>> [round(float(OneCycle(0.1, 100, 30)(step)), 4) for step in (0, 15, 30, 65, 100)]
    [0.004, 0.052, 0.1, 0.05, 0.0]

    Reference: Smith, Topin, "Super-Convergence", 2018; the shape and factors are those of fastai and of PyTorch's
    OneCycleLR.
    """

    def __init__(self, peak, steps, rise):
        super().__init__()
        self.peak, self.steps, self.rise = peak, steps, rise

    def __call__(self, step):
        step = ops.cast(step, "float32")
        start = self.peak / 25
        up = ops.minimum(step / max(self.rise, 1), 1.0)
        down = ops.clip((step - self.rise) / max(self.steps - self.rise, 1), 0.0, 1.0)
        rising, falling = _between(start, self.peak, up), _between(self.peak, start / 1e4, down)
        return ops.where(step < self.rise, rising, falling)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps, "rise": self.rise}


def _between(first, last, share):
    """Half a cosine from the first value to the last."""
    return first + (last - first) * (1 - ops.cos(math.pi * share)) / 2


@_serializable
class EpochExponential(keras.optimizers.schedules.LearningRateSchedule):
    """By epochs: a linear rise from `start`, then `(peak - floor) decay^epochs + floor`; constant within an epoch.

    Args:
        peak: learning rate after the rise; in the melanoma competition 1.25e-6 x replicas x batch size.
        steps_per_epoch: steps of an epoch.
        ramp_epochs: epochs of the rise.
        start: learning rate of the first epoch, at most the peak.
        floor: what the rate falls towards.
        decay: factor an epoch.

    Example:

    >>> schedule = EpochExponential(1.25e-6 * 8 * 32, steps_per_epoch=10)
    >>> [f"{float(schedule(10 * epoch)):.3g}" for epoch in (0, 5, 6)]
    ['5e-06', '0.00032', '0.000256']

    Reference: C. Deotte's "Triple Stratified KFold with TFRecords", SIIM-ISIC melanoma, 2020.
    """

    def __init__(self, peak, steps_per_epoch, ramp_epochs=5, start=5e-6, floor=1e-6, decay=0.8):
        super().__init__()
        self.peak, self.steps_per_epoch, self.ramp_epochs = peak, steps_per_epoch, ramp_epochs
        self.start, self.floor, self.decay = min(start, peak), min(floor, peak), decay

    def __call__(self, step):
        epoch = ops.floor(ops.cast(step, "float32") / self.steps_per_epoch)
        rising = self.start + (self.peak - self.start) * epoch / max(self.ramp_epochs, 1)
        falling = self.floor + (self.peak - self.floor) * self.decay ** ops.maximum(epoch - self.ramp_epochs, 0.0)
        return ops.where(epoch < self.ramp_epochs, rising, falling)

    def get_config(self):
        names = ("peak", "steps_per_epoch", "ramp_epochs", "start", "floor", "decay")
        return {name: getattr(self, name) for name in names}
