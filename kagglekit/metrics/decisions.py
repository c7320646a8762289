"""Metrics of what is decided: the most probable class, labels of probability 0.5 or more, rounded grades."""

import re

import numpy as np

_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")


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
        Dict of float64 arrays `(classes,)`: `precision`, `recall`, `f`, `rows`, and `predicted`, how many rows are
        predicted as the class.

    Example:

    >>> per_class([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])["f"].round(3).tolist()
    [0.667, 0.667]
    """
    right, predicted, rows = _counts(labels, probabilities)
    with np.errstate(invalid="ignore"):
        return {
            "precision": np.nan_to_num(right / predicted),
            "recall": np.nan_to_num(right / rows),
            "f": np.nan_to_num((1 + beta**2) * right / (beta**2 * rows + predicted)),
            "rows": rows,
            "predicted": predicted,
        }


def precision(labels, probabilities):
    """Share of a class's predictions that are right. Two classes: of the second; several: the mean."""
    return _of_classes(labels, probabilities, "precision")


def recall(labels, probabilities):
    """Share of a class's rows that are found. Two classes: of the second; several: the mean."""
    return _of_classes(labels, probabilities, "recall")


def f1(labels, probabilities):
    """F1 = 2 precision recall / (precision + recall). Two classes: of the second. Several: the mean, as `macro_f1`."""
    return _of_classes(labels, probabilities, "f")


def macro_f1(labels, probabilities):
    """Mean over the classes of F1; 0 for one that is never right. Classes without rows and predictions do not count."""
    return _macro(per_class(labels, probabilities), labels, "f")


def micro_f1(labels, probabilities):
    """F1 of all decisions together; with one label a row it is the accuracy."""
    right, predicted, rows = (counts.sum() for counts in _counts(labels, probabilities))
    return float(2 * right / (predicted + rows)) if predicted + rows else 0.0


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
    right, predicted, rows = _counts(labels, probabilities)
    total = rows.sum()
    spread = (total**2 - predicted @ predicted) * (total**2 - rows @ rows)
    return float((right.sum() * total - predicted @ rows) / np.sqrt(spread)) if spread > 0 else 0.0


def quadratic_weighted_kappa(labels, probabilities, class_names=None):
    """Cohen's kappa with the weights (i - j)^2 of two grades; 1 where all rows have one grade and get it.

    The grades are the values of the class names where all of them are whole numbers: of the classes 0, 1, 2, 4 the last
    two are 2 apart. Else they are the numbers of the classes in their order. Numbers, as a regression gives them, are
    rounded first; of several outputs it is the mean.

    With quadratic weights the disagreement is a mean of squares: 1 - E[(a - b)^2] / E[(a - b')^2], where b' is drawn
    without regard to a, so that the denominator is var(a) + var(b) + (mean(a) - mean(b))^2.

    Args:
        labels: class numbers `(rows,)`, or numbers `(rows, outputs)`.
        probabilities: `(rows, classes)`, or numbers `(rows, outputs)`.
        class_names: names of the classes. Defaults to their numbers.

    Example:

    >>> predicted = np.eye(4)[[0, 1, 2, 2]]  # the last row is 4; mean squares: 4 / 4 against 50 / 16
    >>> round(quadratic_weighted_kappa([0, 1, 2, 3], predicted, ["0", "1", "2", "4"]), 4)
    0.68

    Reference: Cohen, "Weighted kappa", 1968.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if labels.ndim == 1:
        grades = _grades(class_names, probabilities.shape[1])
        truth, predicted = grades[labels][:, None], grades[np.argmax(probabilities, axis=1)][:, None]
    else:
        truth, predicted = (np.rint(np.asarray(values, np.float64)) for values in (labels, probabilities))
    observed = np.mean((truth - predicted) ** 2, axis=0)
    by_chance = truth.var(axis=0) + predicted.var(axis=0) + (truth.mean(axis=0) - predicted.mean(axis=0)) ** 2
    ratio = np.divide(observed, by_chance, out=np.zeros_like(observed), where=by_chance > 0)
    return float(np.mean(1 - ratio))


def _grades(class_names, size):
    if class_names is not None and all(_WHOLE.fullmatch(str(name)) for name in class_names):
        return np.array([float(name) for name in class_names])
    return np.arange(size, dtype=np.float64)


def _counts(labels, probabilities):
    """Return the number of rows of each class that are right, predicted, and true."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if labels.ndim == 1:
        predicted, size = np.argmax(probabilities, axis=1), probabilities.shape[1]
        groups = labels[labels == predicted], predicted, labels
        return tuple(np.bincount(group, minlength=size).astype(np.float64) for group in groups)
    present, decided = labels > 0.5, probabilities >= 0.5
    return tuple(group.sum(axis=0).astype(np.float64) for group in (present & decided, decided, present))


def _of_classes(labels, probabilities, name):
    values = per_class(labels, probabilities)
    of_second = np.ndim(labels) == 1 and len(values[name]) == 2
    return float(values[name][1]) if of_second else _macro(values, labels, name)


def _macro(values, labels, name):
    counted = (values["rows"] + values["predicted"] > 0) | (np.ndim(labels) == 2)
    return float(values[name][counted].mean())
