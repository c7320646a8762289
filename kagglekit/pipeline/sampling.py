"""How often each row is seen in an epoch, and how much it counts.

Every scheme is the expected number of times that a row is seen. An epoch's whole numbers come from systematic sampling
(W. G. Madow, "On the theory of systematic sampling, II", 1949): each row gets its expectation rounded down or up, the
mean over epochs is the expectation itself, and the sum is the same in every epoch.
"""

import numpy as np

from kagglekit._checks import check_choice, first_few
from kagglekit._knobs import CHOICES
from kagglekit._random import COUNTS, epoch_generator

_BETA = 0.999  # of the effective number: Cui et al. try 0.9 to 0.9999


def expected_counts(labels, num_classes, sampling="none", subset=1.0):
    """Return how often each row is seen in an epoch, in expectation.

    Args:
        labels: class numbers, int64 `(rows,)`; for tasks other than one label a row, any array `(rows, ...)`.
        num_classes: number of classes.
        sampling: `"none"`: every row once. `"label_shuffling"`: each class as often as the largest one.
            `"balanced"`: as many rows in all as there are, each class equally often. `"square_root"`: the same, classes
            in proportion to the root of their size. Or a dict: class number -> factor, 1 for the classes not named.
        subset: factor on these counts, more than 0 and at most 1: a random, stratified part of the rows in each epoch.

    Returns:
        float64 array `(rows,)`.

    Raises:
        ValueError: for an unknown scheme, or one that needs classes where a row has several labels or a number.

    Example:

    >>> expected_counts(np.array([0, 0, 0, 1]), 2, "label_shuffling").tolist()
    [1.0, 1.0, 1.0, 3.0]
    """
    rows = len(labels)
    if not 0 < subset <= 1:
        raise ValueError(f"expected subset of more than 0 and at most 1, got {subset}")
    if isinstance(sampling, dict):
        unknown = [number for number in sampling if not 0 <= number < num_classes]
        if unknown or any(factor < 0 for factor in sampling.values()):
            raise ValueError(f"expected factors of 0 or more for classes 0 to {num_classes - 1}, got {sampling}")
    else:
        check_choice("sampling", sampling, CHOICES["sampling"])
        if sampling == "none":
            return np.full(rows, float(subset))
    if np.ndim(labels) != 1 or not np.issubdtype(np.asarray(labels).dtype, np.integer):
        raise ValueError(f"sampling {sampling!r} needs one class a row; use 'none' for this task")
    counts = np.bincount(labels, minlength=num_classes).astype(np.float64)
    present = counts > 0
    if isinstance(sampling, dict):
        per_class = np.array([sampling.get(number, 1.0) for number in range(num_classes)]) * counts
        if rows and not per_class.any():
            raise ValueError(f"expected a factor above 0 for some class that has rows, got {sampling}")
    elif sampling == "label_shuffling":
        per_class = np.where(present, counts.max(), 0)
    elif sampling == "balanced":
        per_class = np.where(present, rows / present.sum(), 0)
    else:
        per_class = rows * np.sqrt(counts) / np.sqrt(counts).sum()
    return subset * (per_class / np.maximum(counts, 1))[labels]


def epoch_counts(expected, labels, seed, epoch):
    """Return how often each row is seen in one epoch: whole numbers next to their expectation, always the same sum.

    Args:
        expected: what `expected_counts` returned.
        labels: class numbers `(rows,)`; rows are counted class by class, so that each class's sum is exact within one.
        seed, epoch: integers; they choose which rows are rounded up.

    Returns:
        int64 array `(rows,)`, in sum `epoch_rows(expected)`.
    """
    rng = epoch_generator(seed, epoch, COUNTS)
    order = rng.permutation(len(expected))
    if np.ndim(labels) == 1:
        order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
    total = epoch_rows(expected)
    ends = np.cumsum(expected[order])
    ends *= total / ends[-1]  # a sum that is not a whole number is rounded
    ends[-1] = total
    counts = np.empty(len(expected), np.int64)
    counts[order] = np.diff(np.floor(ends + rng.uniform()).astype(np.int64), prepend=0)
    return counts


def epoch_rows(expected):
    """Return the number of rows in an epoch: the sum of the expected counts, rounded."""
    return max(1, round(float(np.sum(expected))))


def class_weights(labels, num_classes, method):
    """Return the weight of each class in the loss; the mean weight of a row is 1.

    Args:
        labels: class numbers, int64 `(rows,)`.
        num_classes: number of classes.
        method: `"none"`; `"inverse_frequency"`: 1 / rows of the class; `"effective_number"`: (1 - beta) /
            (1 - beta^rows) with beta 0.999, milder for large classes.

    Returns:
        float32 array `(classes,)`; 0 for a class without rows.

    Raises:
        ValueError: for an unknown method, or where a row has several labels or a number.

    Example:

    >>> class_weights(np.array([0, 0, 0, 1]), 2, "inverse_frequency").tolist()
    [0.6666666865348816, 2.0]

    Reference: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, equation 2.
    """
    check_choice("class_weights", method, CHOICES["class_weights"])
    if method == "none":
        return np.ones(num_classes, np.float32)
    if np.ndim(labels) != 1 or not np.issubdtype(np.asarray(labels).dtype, np.integer):
        raise ValueError(f"class weights {method!r} need one class a row; use 'none' for this task")
    counts = np.bincount(labels, minlength=num_classes).astype(np.float64)
    effective = counts if method == "inverse_frequency" else (1 - _BETA**counts) / (1 - _BETA)
    weights = np.divide(1, effective, out=np.zeros(num_classes), where=counts > 0)
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)


def class_factors(sampling, class_names):
    """Return a recipe's `sampling` with class numbers in place of names."""
    if not isinstance(sampling, dict):
        return sampling
    unknown = [name for name in sampling if name not in class_names]
    if unknown:
        raise ValueError(
            f"sampling names classes that are not there: {first_few(unknown)}; the classes are {first_few(class_names)}"
        )
    return {class_names.index(name): float(factor) for name, factor in sampling.items()}
