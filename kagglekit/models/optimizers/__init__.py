"""Optimizers by name, their schedules, discriminative learning rates and averages of weights."""

from functools import partial

from kagglekit._checks import check_choice
from kagglekit.models.optimizers.addons import Lookahead, RectifiedAdam, WeightAverage
from kagglekit.models.optimizers.layer_rates import WITH_RATES, layer_scales
from kagglekit.models.optimizers.schedules import SCHEDULES, make_schedule

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Lookahead",
    "RectifiedAdam",
    "WeightAverage",
    "layer_scales",
    "make_optimizer",
    "make_schedule",
    "precision_for",
]

OPTIMIZERS = {
    "adamw": WITH_RATES["AdamW"],
    "adam": WITH_RATES["Adam"],
    "sgd": partial(WITH_RATES["SGD"], momentum=0.9, nesterov=True),
    "lamb": partial(WITH_RATES["Lamb"], epsilon=1e-6),  # the paper's
    "lion": WITH_RATES["Lion"],
    "muon": WITH_RATES["Muon"],  # dense kernels; Keras's Muon leaves all other weights to AdamW
    "radam": RectifiedAdam,
}


def make_optimizer(name, schedule, *, weight_decay=0.0, clip=None, scales=None, ema=0.0, accumulate=1):
    """Make an optimizer by name.

    Biases and the scales and shifts of normalisation do not decay. Under `mixed_float16` Keras wraps the optimizer in
    its `LossScaleOptimizer`.

    Args:
        name: a key of `OPTIMIZERS`.
        schedule: learning rate: a float or a schedule of `make_schedule`. Lion needs a third to a tenth of Adam's.
        weight_decay: decoupled decay per step, times the learning rate; with it `"adam"` is `"adamw"`.
        clip: largest global norm of the gradients, or None.
        scales: mapping from variable paths to factors on their learning rate, see `layer_scales`.
        ema: momentum of a moving average of the weights, 0 (off) to less than 1; 0.999 averages over about 1,000
            updates, so a run should be several times as long. Put `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)`
            before the callbacks that validate or save: they then see the average.
        accumulate: batches whose mean gradient makes one update. Keras's schedules count batches, not updates.

    Returns:
        `keras.optimizers.Optimizer`.

    Raises:
        ValueError: for an unknown name, or when it is built and `scales` names none of its variables.

    Example:

    >>> optimizer = make_optimizer("lion", 1e-4, weight_decay=1e-2, clip=1.0)
    >>> optimizer.global_clipnorm
    1.0
    """
    check_choice("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name](
        learning_rate=schedule,
        weight_decay=weight_decay,
        global_clipnorm=clip,
        scales=scales,
        use_ema=ema > 0,
        # Keras moves the average with every batch, between updates towards the same weights
        ema_momentum=ema ** (1 / accumulate),
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
    )


def precision_for(device, *, compute_capability=None):
    """Return the Keras dtype policy that is fastest on a device without loss of accuracy.

    Args:
        device: `"cpu"`, `"gpu"` or `"tpu"`.
        compute_capability: of an NVIDIA card, `(major, minor)`, as TensorFlow's `get_device_details` gives it. None
            counts as a card without half precision units.

    Returns:
        `"mixed_bfloat16"` on a TPU, `"mixed_float16"` on a GPU of capability 7.0 (V100, T4) or more, else `"float32"`:
        a P100 (6.0) has no units for it, and on a CPU bfloat16 was slower where it was measured.

    Example:

    >>> precision_for("gpu", compute_capability=(7, 5)), precision_for("gpu", compute_capability=(6, 0))
    ('mixed_float16', 'float32')

    Reference: https://keras.io/api/mixed_precision (capability 7.0).
    """
    check_choice("device", device, ("cpu", "gpu", "tpu"))
    if device == "tpu":
        return "mixed_bfloat16"
    return "mixed_float16" if device == "gpu" and (compute_capability or (0, 0)) >= (7, 0) else "float32"
