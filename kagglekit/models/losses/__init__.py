"""Losses by name: Keras's own where they are right, ours in `keras.ops` for the rest.

Ours are registered with Keras under `kagglekit`, so that a compiled network that was saved with one loads again once
this package is imported. A run's inference network is saved without a loss and needs neither.
"""

from functools import partial

import keras

from kagglekit._checks import check_choice
from kagglekit.models.losses.categorical import (
    BiTempered,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    Distillation,
    GeneralizedCrossentropy,
    SparsemaxLoss,
    SymmetricCrossentropy,
    sparsemax,
)
from kagglekit.models.losses.cosine import ArcFace
from kagglekit.models.losses.multilabel import Asymmetric, BinaryCrossentropy, BinaryFocalCrossentropy, SoftF1
from kagglekit.models.losses.ordered import EarthMovers, QuadraticKappa
from kagglekit.tasks import SINGLE_LABEL, find_task

__all__ = [
    "ArcFace",
    "Asymmetric",
    "BiTempered",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "Distillation",
    "EarthMovers",
    "GeneralizedCrossentropy",
    "LOSSES",
    "QuadraticKappa",
    "SoftF1",
    "SparsemaxLoss",
    "SymmetricCrossentropy",
    "make_loss",
    "sparsemax",
]

LOSSES = {
    "cross_entropy": CategoricalCrossentropy,
    # alpha weighs the two classes of a detector; for several classes it would only scale the loss
    "focal": partial(CategoricalFocalCrossentropy, alpha=1.0),
    "sparsemax": SparsemaxLoss,
    "generalized_cross_entropy": GeneralizedCrossentropy,
    "symmetric_cross_entropy": SymmetricCrossentropy,
    "bi_tempered": BiTempered,
    "arcface": ArcFace,
    "arcface_mixture": partial(ArcFace, plain=0.8, name="arcface_mixture"),
    "quadratic_kappa": QuadraticKappa,
    "earth_movers": EarthMovers,
    "distillation": Distillation,
    "kl_divergence": keras.losses.KLDivergence,
    "binary_cross_entropy": BinaryCrossentropy,
    "binary_focal": partial(BinaryFocalCrossentropy, apply_class_balancing=True),
    "asymmetric": Asymmetric,
    "soft_f1": SoftF1,
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
    "smooth_l1": keras.losses.Huber,  # Girshick, "Fast R-CNN", 2015, equation 3: Huber's with delta 1
}


def make_loss(loss="auto", *, task=SINGLE_LABEL, label_smoothing=0.0, **options):
    """Make a loss by name.

    Args:
        loss: a key of `LOSSES` that is for the task, or `"auto"`: cross-entropy (its binary form for several labels),
            or the mean squared error of a regression.
        task: a `kagglekit.tasks.Task` or its name.
        label_smoothing: share of certain targets that is spread, 0 to less than 1; distributions and numbers stay.
        **options: arguments of the loss, for example `gamma=2.0` or `from_logits=True`, and those of every Keras loss:
            `name`, `reduction`, `dtype`.

    Returns:
        `keras.losses.Loss`.

    Raises:
        ValueError: for an unknown name, or a loss of another task.

    Example:

    >>> make_loss("focal", gamma=3.0, name="focal_3").name
    'focal_3'
    >>> make_loss("asymmetric")
    Traceback (most recent call last):
    ValueError: the loss 'asymmetric' is not for the task 'single_label'; expected one of ['cross_entropy', ...
    """
    task = find_task(task)
    loss = task.losses[0] if loss == "auto" else loss
    check_choice("loss", loss, LOSSES)
    if loss not in task.losses:
        raise ValueError(f"the loss {loss!r} is not for the task {task!r}; expected one of {list(task.losses)}")
    if task.smooths_labels:
        options["label_smoothing"] = label_smoothing
    return LOSSES[loss](**options)
