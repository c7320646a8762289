"""Exact metrics: one table of them, and the score of labels and probabilities. No framework, and no competition, here.

To add one: a function in the module of its subject (`decisions.py`, `ranking.py`, `distances.py`) and a line in
`METRICS`. One of your own needs no line: `kk.Metric`.
"""

import warnings
from functools import partial

import numpy as np

from kagglekit._checks import check_choice
from kagglekit.metrics.base import BUILT_IN, Metric, two_kinds
from kagglekit.metrics.decisions import (
    accuracy,
    balanced_accuracy,
    f1,
    hamming_loss,
    macro_f1,
    matthews,
    micro_f1,
    per_class,
    precision,
    quadratic_weighted_kappa,
    recall,
    sample_f2,
)
from kagglekit.metrics.distances import emd, log_loss, rmse
from kagglekit.metrics.ranking import auc, average_precision, mean_average_precision, top_k_accuracy
from kagglekit.tasks import DISTRIBUTION, MULTI_LABEL, ORDINAL, REGRESSION, SINGLE_LABEL, find_task

__all__ = ["METRICS", "Metric", "accuracy", "better", "find_metric", "per_class", "score", "two_kinds"]

_ONE, _SEVERAL, _NUMBERS, _SHARES = (SINGLE_LABEL, ORDINAL), (MULTI_LABEL,), (REGRESSION,), (DISTRIBUTION,)
_EITHER = _ONE + _SEVERAL


def _decided(function, tasks, *, higher_is_better=True):
    return Metric(function, higher_is_better=higher_is_better, tasks=tasks, of_probabilities=False)


_TABLE = (
    _decided(accuracy, _ONE),
    _decided(balanced_accuracy, _ONE),
    _decided(precision, _EITHER),
    _decided(recall, _EITHER),
    _decided(f1, _EITHER),
    _decided(macro_f1, _EITHER),
    _decided(micro_f1, _EITHER),
    _decided(sample_f2, _SEVERAL),
    _decided(hamming_loss, _SEVERAL, higher_is_better=False),
    _decided(matthews, _ONE),
    _decided(quadratic_weighted_kappa, _ONE + _NUMBERS),
    Metric(partial(top_k_accuracy, k=3), name="top3_accuracy", higher_is_better=True, tasks=_ONE),
    Metric(top_k_accuracy, name="top5_accuracy", higher_is_better=True, tasks=_ONE),
    Metric(partial(mean_average_precision, k=3), name="map3", higher_is_better=True, tasks=_EITHER),
    Metric(mean_average_precision, name="map5", higher_is_better=True, tasks=_EITHER),
    Metric(log_loss, higher_is_better=False, tasks=_EITHER, log_axis=True),
    Metric(auc, higher_is_better=True, tasks=_EITHER, needs=two_kinds),
    Metric(average_precision, higher_is_better=True, tasks=_EITHER, needs=two_kinds),
    Metric(rmse, higher_is_better=False, tasks=_NUMBERS + _SHARES),
    Metric(emd, higher_is_better=False, tasks=_SHARES),
)
METRICS = {metric.name: metric for metric in _TABLE}
BUILT_IN.update(METRICS)


def find_metric(metric, task=None):
    """Return a `Metric` by its name, checked against a task.

    Args:
        metric: a key of `METRICS`, or a `Metric`.
        task: a task that it must be for, a name or a `Task`. Defaults to any.

    Raises:
        ValueError: for an unknown name, with the nearest, or a metric of another task, with those that fit.
        TypeError: for a plain function.

    Example:

    >>> find_metric("acuracy")
    Traceback (most recent call last):
    ValueError: expected metric to be one of ..., got 'acuracy'. Did you mean 'accuracy'?
    """
    if not isinstance(metric, Metric):
        if callable(metric):
            raise TypeError(
                f"expected metric to be a name or a kk.Metric, got the function {metric!r}; give "
                "kk.Metric(function, higher_is_better=...)"
            )
        check_choice("metric", metric, list(METRICS))
        metric = METRICS[metric]
    if task is not None and not metric.fits(task):
        fitting = [name for name, other in METRICS.items() if other.fits(task)]
        raise ValueError(f"the metric {metric.name!r} is not for the task {str(task)!r}; expected one of {fitting}")
    return metric


def score(metric, labels, probabilities, task=SINGLE_LABEL, class_names=None):
    """Return a metric of labels and probabilities.

    Args:
        metric: a key of `METRICS`, or a `Metric`.
        labels: class numbers, shape `(rows,)`, for one label a row; else the shape of `probabilities`.
        probabilities: shape `(rows, classes)`, in `[0, 1]`; numbers for a regression.
        task: as in `Competition`, a name or a `Task`.
        class_names: names of the outputs: grades that are whole numbers are as far apart as their values.

    Returns:
        float; NaN, with a warning that says why, where the labels lack what the metric needs.

    Raises:
        ValueError: for an unknown name, a metric of another task, no rows, labels that are not class numbers, or rows
            that are NaN or infinite; says how many.

    Example:

    >>> score("accuracy", [0, 1], [[0.9, 0.1], [0.6, 0.4]])
    0.5
    """
    metric = find_metric(metric, task)
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    one_label = find_task(task).one_label
    wanted = probabilities.shape[:1] if one_label else probabilities.shape
    if probabilities.ndim != 2 or labels.shape != wanted or len(labels) == 0:
        raise ValueError(
            f"expected labels {'(rows,)' if one_label else 'and probabilities'} and probabilities (rows, classes), "
            f"got {labels.shape} and {probabilities.shape}"
        )
    whole = np.issubdtype(labels.dtype, np.integer)
    if one_label and not (whole and labels.min() >= 0 and labels.max() < probabilities.shape[1]):
        raise ValueError(f"expected labels to be class numbers from 0 to {probabilities.shape[1] - 1}")
    if class_names is not None and len(class_names) != probabilities.shape[1]:
        raise ValueError(f"expected {probabilities.shape[1]} class names, one for each output, got {len(class_names)}")
    for what, rows in (("predictions", probabilities), ("labels", labels)):
        broken = ~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
        if broken.any():  # a comparison with NaN is False, which some metrics would count as right
            raise ValueError(
                f"expected finite {what}, got NaN or infinity in {broken.sum()} of {len(rows)} rows, which have no "
                f"{metric}; leave them out or find out where they come from"
            )
    return metric(labels, probabilities, class_names)


def try_out(metric, labels, task, class_names):
    """Score predictions that are nearly right on some of the rows; raises what the metric's function raises."""
    labels = labels[np.linspace(0, len(labels) - 1, min(len(labels), 200)).astype(int)]
    right = find_task(task).one_hot(labels, len(class_names))
    with warnings.catch_warnings(action="ignore"):  # about so few rows
        score(metric, labels, 0.9 * right + 0.1 / len(class_names), task, class_names)


def better(metric, new, old):
    """Return whether `new` is a better value of a metric (a name or a `Metric`) than `old`; see `Metric.better`."""
    return find_metric(metric).better(new, old)
