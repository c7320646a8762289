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
    predicted = np.argmax(probabilities, axis=1)
    return float(sklearn_metrics.f1_score(labels, predicted, average="macro", zero_division=0))


def log_loss(labels, probabilities):
    """Mean of -ln(probability of the right class); probabilities are normalised and clipped at float64's epsilon."""
    probabilities = np.asarray(probabilities, np.float64)
    right = probabilities[np.arange(len(probabilities)), np.asarray(labels)] / probabilities.sum(axis=1)
    return float(-np.log(np.clip(right, np.finfo(np.float64).eps, 1)).mean())


# name -> (function of class numbers and probabilities, is more better?)
METRICS = {
    "accuracy": (accuracy, True),
    "balanced_accuracy": (balanced_accuracy, True),
    "macro_f1": (macro_f1, True),
    "log_loss": (log_loss, False),
}


def score(metric, labels, probabilities):
    """Return a metric by name.

    Args:
        metric: a key of `METRICS`.
        labels: class numbers, shape `(rows,)`.
        probabilities: shape `(rows, classes)`, in `[0, 1]`.

    Returns:
        float.

    Raises:
        ValueError: for an unknown name, no rows, or labels that are no class numbers.

    Example:

    >>> score("accuracy", [0, 1], [[0.9, 0.1], [0.6, 0.4]])
    0.5
    """
    check_choice("metric", metric, METRICS)
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or len(labels) == 0:
        raise ValueError(
            f"expected labels (rows,) and probabilities (rows, classes), got {labels.shape} and {probabilities.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(f"expected labels to be class numbers from 0 to {probabilities.shape[1] - 1}")
    return METRICS[metric][0](labels, probabilities)


def better(metric, new, old):
    """Tell whether `new` is a better value of the metric than `old`; a NaN never is."""
    return bool(new > old if METRICS[metric][1] else new < old)
