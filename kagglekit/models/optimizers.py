"""Optimisers with their schedules."""

import keras


def adamw_with_warmup(learning_rate, steps, *, warmup=0.1, weight_decay=1e-4):
    """Make AdamW whose learning rate rises linearly and then falls to zero along a half cosine.

    Biases and the scales and shifts of batch normalisation do not decay.

    Args:
        learning_rate: peak of the schedule.
        steps: number of steps of the whole stage.
        warmup: share of the steps that the rise takes, 0 to 1.
        weight_decay: decoupled decay per step, times the learning rate.

    Returns:
        `keras.optimizers.AdamW`.

    Example:

    >>> optimizer = adamw_with_warmup(0.1, steps=100)
    >>> [round(float(optimizer.learning_rate), 3)]
    [0.0]

    Reference: https://arxiv.org/abs/1711.05101 (AdamW), https://arxiv.org/abs/1608.03983 (cosine).
    """
    rise = round(steps * warmup)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if rise else learning_rate,
        decay_steps=max(steps - rise, 1),
        warmup_target=learning_rate if rise else None,
        warmup_steps=rise,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    # The whole last part: Keras searches "bias" in `unbiased_block/kernel:0`, the name of a TensorFlow variable, too.
    optimizer.exclude_from_weight_decay(var_names=[r"(^|/)(bias|gamma|beta)(:\d+)?$"])
    return optimizer
