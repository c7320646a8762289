"""Exact metrics by name, each with its direction. scikit-learn computes them where it has them."""

import numpy as np
from sklearn import metrics as sklearn_metrics

from kagglekit._checks import check_choice


def accuracy(labels, probabilities):
    """Share of rows whose most probable class is right."""
    return float(np.mean(np.argmax(probabilities, axis=1) == np.asarray(labels)))


def balanced_accuracy(labels, probabilities):
    """Mean over the classes of the share of their rows that is right; classes without a row do not count."""
    labels, right = np.asarray(labels), np.argmax(probabilities, axis=1) == np.asarray(labels)
    return float(np.mean([right[labels == name].mean() for name in np.unique(labels)]))


def macro_f1(labels, probabilities):
    """Mean over the classes of F1 = 2 precision recall / (precision + recall); 0 for a class that is never right."""
    return float(sklearn_metrics.f1_score(labels, _decided(labels, probabilities), average="macro", zero_division=0))


def micro_f1(labels, probabilities):
    """F1 of all decisions together; with one label a row it is the accuracy."""
    return float(sklearn_metrics.f1_score(labels, _decided(labels, probabilities), average="micro", zero_division=0))


def log_loss(labels, probabilities):
    """Mean of -ln(probability of the right class); probabilities are normalised and clipped at float64's epsilon.

    For several labels a row: the mean over rows and labels of the binary loss.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    tiny = np.finfo(np.float64).eps
    if labels.ndim == 2:
        right = np.where(labels > 0.5, probabilities, 1 - probabilities)
        return float(-np.log(np.clip(right, tiny, 1)).mean())
    right = probabilities[np.arange(len(probabilities)), labels] / probabilities.sum(axis=1)
    return float(-np.log(np.clip(right, tiny, 1)).mean())


def auc(labels, probabilities):
    """Area under the ROC curve, exact.

    Two classes: of the second. Several classes or labels: the mean over those that have rows of both kinds.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    hot = np.eye(probabilities.shape[1])[labels] if labels.ndim == 1 else labels > 0.5
    if labels.ndim == 1 and probabilities.shape[1] == 2:
        hot, probabilities = hot[:, 1:], probabilities[:, 1:]
    both = (hot.any(axis=0)) & (~hot.astype(bool)).any(axis=0)
    if not both.any():
        raise ValueError("the AUC needs rows of a class and rows of another; these rows are all alike")
    return float(sklearn_metrics.roc_auc_score(hot[:, both], probabilities[:, both], average="macro"))


def quadratic_weighted_kappa(labels, probabilities):
    """Cohen's kappa with the weights (i - j)^2 / (classes - 1)^2, classes in their order.

    Numbers, as a regression gives them, are rounded first.
    """
    labels, predicted = np.asarray(labels), np.argmax(probabilities, axis=1)
    if labels.ndim == 2:
        labels, predicted = (np.rint(np.asarray(values)[:, 0]).astype(int) for values in (labels, probabilities))
    names = np.arange(min(labels.min(), predicted.min()), max(labels.max(), predicted.max()) + 1)
    if len(names) == 1:
        return 1.0
    return float(sklearn_metrics.cohen_kappa_score(labels, predicted, labels=names, weights="quadratic"))


def rmse(labels, values):
    """Root of the mean squared error over rows and outputs."""
    return float(np.sqrt(np.mean((np.asarray(labels, np.float64) - values) ** 2)))


def emd(labels, probabilities):
    """Earth mover's distance: the mean over rows of sqrt(mean((CDF_p - CDF_q)^2)).

    Reference: Talebi, Milanfar, "NIMA: Neural Image Assessment", 2018, equation 1 with r = 2.
    """
    apart = np.cumsum(np.asarray(labels, np.float64) - probabilities, axis=1)
    return float(np.sqrt(np.mean(apart**2, axis=1)).mean())


def _decided(labels, probabilities):
    return np.argmax(probabilities, axis=1) if np.ndim(labels) == 1 else (np.asarray(probabilities) >= 0.5).astype(int)


_ONE, _SEVERAL, _NUMBERS, _SHARES = "single_label", "multi_label", "regression", "distribution"
# name -> (function of labels and probabilities, is more better?, the tasks that it is for)
METRICS = {
    "accuracy": (accuracy, True, (_ONE,)),
    "balanced_accuracy": (balanced_accuracy, True, (_ONE,)),
    "macro_f1": (macro_f1, True, (_ONE, _SEVERAL)),
    "micro_f1": (micro_f1, True, (_ONE, _SEVERAL)),
    "log_loss": (log_loss, False, (_ONE, _SEVERAL)),
    "auc": (auc, True, (_ONE, _SEVERAL)),
    "quadratic_weighted_kappa": (quadratic_weighted_kappa, True, (_ONE, _NUMBERS)),
    "rmse": (rmse, False, (_NUMBERS, _SHARES)),
    "emd": (emd, False, (_SHARES,)),
}


def score(metric, labels, probabilities, task="single_label"):
    """Return a metric by name.

    Args:
        metric: a key of `METRICS`.
        labels: class numbers, shape `(rows,)`, for one label a row; else the shape of `probabilities`.
        probabilities: shape `(rows, classes)`, in `[0, 1]`; numbers for a regression.
        task: as in `Competition`.

    Returns:
        float.

    Raises:
        ValueError: for an unknown name, a metric of another task, no rows, or labels that are no class numbers.

    Example:

    >>> score("accuracy", [0, 1], [[0.9, 0.1], [0.6, 0.4]])
    0.5
    """
    check_metric(metric, task)
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    wanted = probabilities.shape[:1] if task == _ONE else probabilities.shape
    if probabilities.ndim != 2 or labels.shape != wanted or len(labels) == 0:
        raise ValueError(
            f"expected labels {'(rows,)' if task == _ONE else 'and probabilities'} and probabilities (rows, classes), "
            f"got {labels.shape} and {probabilities.shape}"
        )
    whole = np.issubdtype(labels.dtype, np.integer)
    if task == _ONE and not (whole and labels.min() >= 0 and labels.max() < probabilities.shape[1]):
        raise ValueError(f"expected labels to be class numbers from 0 to {probabilities.shape[1] - 1}")
    return METRICS[metric][0](labels, probabilities)


def loss_of(task):
    """Return the name of the metric that says how far predictions are from the truth: smaller is better."""
    return {_NUMBERS: "rmse", _SHARES: "emd"}.get(task, "log_loss")


def check_metric(metric, task):
    """Raise `ValueError` for an unknown metric, or one that is not for the task."""
    check_choice("metric", metric, METRICS)
    if task not in METRICS[metric][2]:
        fitting = [name for name, (_, _, tasks) in METRICS.items() if task in tasks]
        raise ValueError(f"the metric {metric!r} is not for the task {task!r}; expected one of {fitting}")


def better(metric, new, old):
    """Tell whether `new` is a better value of the metric than `old`; a NaN never is."""
    return bool(new > old if METRICS[metric][1] else new < old)
