"""Exact metrics by name, each with its direction.

What orders all rows is computed by scikit-learn; the rest from counts in numpy, fast enough for every epoch.
"""

from functools import partial

import numpy as np
from sklearn import metrics as sklearn_metrics

from kagglekit._checks import check_choice
from kagglekit.tasks import DISTRIBUTION, MULTI_LABEL, REGRESSION, SINGLE_LABEL, find_task


def accuracy(labels, probabilities):
    """Share of rows whose most probable class is right."""
    return float(np.mean(np.argmax(probabilities, axis=1) == np.asarray(labels)))


def balanced_accuracy(labels, probabilities):
    """Mean over the classes of the share of their rows that is right; classes without a row do not count."""
    labels, right = np.asarray(labels), np.argmax(probabilities, axis=1) == np.asarray(labels)
    return float(np.mean([right[labels == name].mean() for name in np.unique(labels)]))


def per_class(labels, probabilities, beta=1.0):
    """Precision, recall and F of each class or label, and its rows.

    F = (1 + beta^2) precision recall / (beta^2 precision + recall); a share of nothing counts as 0. One label a row is
    decided by the most probable class, several by probabilities of 0.5 or more.

    Args:
        labels: class numbers `(rows,)`, or 0 and 1 in the shape of `probabilities`.
        probabilities: `(rows, classes)`, in `[0, 1]`.
        beta: how much more recall counts than precision.

    Returns:
        Dict of float64 arrays `(classes,)`: `precision`, `recall`, `f`, `rows` and how many rows were `said` to be it.

    Example:

    >>> per_class([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])["f"].round(3).tolist()
    [0.667, 0.667]
    """
    right, said, rows = _counts(labels, probabilities)
    with np.errstate(invalid="ignore"):
        return {
            "precision": np.nan_to_num(right / said),
            "recall": np.nan_to_num(right / rows),
            "f": np.nan_to_num((1 + beta**2) * right / (beta**2 * rows + said)),
            "rows": rows,
            "said": said,
        }


def precision(labels, probabilities):
    """Share of what was said that is right. Two classes: of the second. Several classes or labels: their mean."""
    return _of_classes(labels, probabilities, "precision")


def recall(labels, probabilities):
    """Share of what is there that was found. Two classes: of the second. Several classes or labels: their mean."""
    return _of_classes(labels, probabilities, "recall")


def f1(labels, probabilities):
    """F1 = 2 precision recall / (precision + recall). Two classes: of the second. Several: the mean, as `macro_f1`."""
    return _of_classes(labels, probabilities, "f")


def macro_f1(labels, probabilities):
    """Mean over the classes of F1; 0 for a class that is never right. Classes neither there nor said do not count."""
    return _macro(per_class(labels, probabilities), labels, "f")


def micro_f1(labels, probabilities):
    """F1 of all decisions together; with one label a row it is the accuracy."""
    right, said, rows = (counts.sum() for counts in _counts(labels, probabilities))
    return float(2 * right / (said + rows)) if said + rows else 0.0


def sample_f2(labels, probabilities):
    """Mean over the rows of F2 of a row's labels: a missed label costs more than one too many (Planet, 2017)."""
    labels, decided = np.asarray(labels) > 0.5, np.asarray(probabilities) >= 0.5
    right, both = (labels & decided).sum(axis=1), 4 * labels.sum(axis=1) + decided.sum(axis=1)
    return float(np.mean(np.divide(5 * right, both, out=np.zeros(len(labels)), where=both > 0)))


def hamming_loss(labels, probabilities):
    """Share of wrong decisions over rows and labels."""
    return float(np.mean((np.asarray(labels) > 0.5) != (np.asarray(probabilities) >= 0.5)))


def matthews(labels, probabilities):
    """Matthews correlation of labels and decisions, for several classes Gorodkin's; 0 where one side is constant.

    Reference: Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", 2004.
    """
    return float(sklearn_metrics.matthews_corrcoef(labels, np.argmax(probabilities, axis=1)))


def top_k_accuracy(labels, probabilities, k=5):
    """Share of rows whose class is among the `k` most probable; among equals the first class comes first."""
    return float(np.mean(_rank(labels, probabilities) < k))


def mean_average_precision(labels, probabilities, k=5):
    """MAP@k: with one label a row the mean of 1 / place of the right class, 0 beyond place `k`.

    Several labels: the mean over the row's min(labels, k) of the precision at each label's place; 0 without labels.

    Reference: https://www.kaggle.com/c/humpback-whale-identification (evaluation).
    """
    if np.ndim(labels) == 1:
        ranks = _rank(labels, probabilities)
        return float(np.mean(np.where(ranks < k, 1 / (ranks + 1), 0)))
    order = np.argsort(-np.asarray(probabilities), axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(np.asarray(labels) > 0.5, order, axis=1)
    precisions = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    most = np.clip((np.asarray(labels) > 0.5).sum(axis=1), 1, k)
    return float(np.mean((precisions * hits).sum(axis=1) / most))


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
    return float(sklearn_metrics.roc_auc_score(*_both_kinds("AUC", labels, probabilities), average="macro"))


def average_precision(labels, probabilities):
    """Area under the precision-recall curve in steps, exact: sum of precision x gain of recall.

    Two classes: of the second. Several classes or labels: the mean over those that have rows of both kinds.
    """
    pairs = _both_kinds("average precision", labels, probabilities)
    return float(sklearn_metrics.average_precision_score(*pairs, average="macro"))


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


def _counts(labels, probabilities):
    """Rows of each class that are right, that were said, that are there."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if labels.ndim == 1:
        predicted, size = np.argmax(probabilities, axis=1), probabilities.shape[1]
        parts = labels[labels == predicted], predicted, labels
        return tuple(np.bincount(part, minlength=size).astype(np.float64) for part in parts)
    there, said = labels > 0.5, probabilities >= 0.5
    return tuple(part.sum(axis=0).astype(np.float64) for part in (there & said, said, there))


def _of_classes(labels, probabilities, name):
    values = per_class(labels, probabilities)
    of_second = np.ndim(labels) == 1 and len(values[name]) == 2
    return float(values[name][1]) if of_second else _macro(values, labels, name)


def _macro(values, labels, name):
    counted = (values["rows"] + values["said"] > 0) | (np.ndim(labels) == 2)
    return float(values[name][counted].mean())


def _rank(labels, probabilities):
    """Place of the right class, from 0."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    own = probabilities[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    return ((probabilities > own) | ((probabilities == own) & earlier)).sum(axis=1)


def _both_kinds(what, labels, probabilities):
    """One column of truth and one of probabilities for each class or label that has rows of both kinds."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    hot = labels[:, None] == np.arange(probabilities.shape[1]) if labels.ndim == 1 else labels > 0.5
    if labels.ndim == 1 and probabilities.shape[1] == 2:
        hot, probabilities = hot[:, 1:], probabilities[:, 1:]
    both = hot.any(axis=0) & ~hot.all(axis=0)
    if not both.any():
        raise ValueError(f"the {what} needs rows of a class and rows of another; these rows are all alike")
    return hot[:, both], probabilities[:, both]


_ONE, _SEVERAL, _NUMBERS, _SHARES = SINGLE_LABEL, MULTI_LABEL, REGRESSION, DISTRIBUTION
# name -> (function of labels and probabilities, is more better?, the tasks that it is for)
METRICS = {
    "accuracy": (accuracy, True, (_ONE,)),
    "balanced_accuracy": (balanced_accuracy, True, (_ONE,)),
    "precision": (precision, True, (_ONE, _SEVERAL)),
    "recall": (recall, True, (_ONE, _SEVERAL)),
    "f1": (f1, True, (_ONE, _SEVERAL)),
    "macro_f1": (macro_f1, True, (_ONE, _SEVERAL)),
    "micro_f1": (micro_f1, True, (_ONE, _SEVERAL)),
    "sample_f2": (sample_f2, True, (_SEVERAL,)),
    "hamming_loss": (hamming_loss, False, (_SEVERAL,)),
    "matthews": (matthews, True, (_ONE,)),
    "top3_accuracy": (partial(top_k_accuracy, k=3), True, (_ONE,)),
    "top5_accuracy": (top_k_accuracy, True, (_ONE,)),
    "map3": (partial(mean_average_precision, k=3), True, (_ONE, _SEVERAL)),
    "map5": (mean_average_precision, True, (_ONE, _SEVERAL)),
    "log_loss": (log_loss, False, (_ONE, _SEVERAL)),
    "auc": (auc, True, (_ONE, _SEVERAL)),
    "average_precision": (average_precision, True, (_ONE, _SEVERAL)),
    "quadratic_weighted_kappa": (quadratic_weighted_kappa, True, (_ONE, _NUMBERS)),
    "rmse": (rmse, False, (_NUMBERS, _SHARES)),
    "emd": (emd, False, (_SHARES,)),
}


def score(metric, labels, probabilities, task=SINGLE_LABEL):
    """Return a metric by name.

    Args:
        metric: a key of `METRICS`.
        labels: class numbers, shape `(rows,)`, for one label a row; else the shape of `probabilities`.
        probabilities: shape `(rows, classes)`, in `[0, 1]`; numbers for a regression.
        task: a `kagglekit.tasks.Task` or its name.

    Returns:
        float.

    Raises:
        ValueError: for an unknown name, a metric of another task, no rows, or labels that are no class numbers.

    Example:

    >>> score("accuracy", [0, 1], [[0.9, 0.1], [0.6, 0.4]])
    0.5
    """
    check_metric(metric, task)
    one = find_task(task).one_label
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    wanted = probabilities.shape[:1] if one else probabilities.shape
    if probabilities.ndim != 2 or labels.shape != wanted or len(labels) == 0:
        raise ValueError(
            f"expected labels {'(rows,)' if one else 'and probabilities'} and probabilities (rows, classes), "
            f"got {labels.shape} and {probabilities.shape}"
        )
    whole = np.issubdtype(labels.dtype, np.integer)
    if one and not (whole and labels.min() >= 0 and labels.max() < probabilities.shape[1]):
        raise ValueError(f"expected labels to be class numbers from 0 to {probabilities.shape[1] - 1}")
    return METRICS[metric][0](labels, probabilities)


def loss_of(task):
    """Return the name of the metric that says how far predictions are from the truth: smaller is better."""
    return find_task(task).error


def check_metric(metric, task):
    """Raise `ValueError` for an unknown metric, or one that is not for the task."""
    check_choice("metric", metric, METRICS)
    task = find_task(task)
    if not task.is_one_of(METRICS[metric][2]):
        fitting = [name for name, (_, _, tasks) in METRICS.items() if task.is_one_of(tasks)]
        raise ValueError(f"the metric {metric!r} is not for the task {task!r}; expected one of {fitting}")


def better(metric, new, old):
    """Tell whether `new` is a better value of the metric than `old`; a NaN never is, and any number is than a NaN."""
    defined = np.isnan(old) and not np.isnan(new)
    return bool(defined or (new > old if METRICS[metric][1] else new < old))
