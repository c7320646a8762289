"""Metrics of the order of probabilities: over the classes of a row, or over the rows of a class."""

import numpy as np


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


def auc(labels, probabilities):
    """Area under the ROC curve, exact.

    Two classes: of the second. Several classes or labels: the mean over those that have rows of both kinds.
    """
    from sklearn.metrics import roc_auc_score  # here, so that a competition loads without scikit-learn

    return float(roc_auc_score(*_both_kinds(labels, probabilities), average="macro"))


def average_precision(labels, probabilities):
    """Area under the precision-recall curve in steps, exact: sum of precision x gain of recall.

    Two classes: of the second. Several classes or labels: the mean over those that have rows of both kinds.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(*_both_kinds(labels, probabilities), average="macro"))


def _rank(labels, probabilities):
    """Return the rank of the right class, from 0."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    right = probabilities[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    return ((probabilities > right) | ((probabilities == right) & earlier)).sum(axis=1)


def _both_kinds(labels, probabilities):
    """Return one column of truth and one of probabilities for each class or label that has rows of both kinds."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    hot = labels[:, None] == np.arange(probabilities.shape[1]) if labels.ndim == 1 else labels > 0.5
    if labels.ndim == 1 and probabilities.shape[1] == 2:
        hot, probabilities = hot[:, 1:], probabilities[:, 1:]
    both = hot.any(axis=0) & ~hot.all(axis=0)
    return hot[:, both], probabilities[:, both]
