"""Metrics of how far predictions are from the truth; smaller is better."""

import numpy as np


def log_loss(labels, probabilities):
    """Mean of -ln(probability of the right class); rows are normalised, then clipped at float64's epsilon.

    A row of zeros gives the right class nothing: it costs as much as one that is certain and wrong, 36.04, as in
    scikit-learn's `log_loss`. For several labels a row: the mean over rows and labels of the binary
    loss.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    tiny = np.finfo(np.float64).eps
    if labels.ndim == 2:
        right = np.where(labels > 0.5, probabilities, 1 - probabilities)
        return float(-np.log(np.clip(right, tiny, 1)).mean())
    right, sums = probabilities[np.arange(len(probabilities)), labels], probabilities.sum(axis=1)
    right = np.divide(right, sums, out=np.zeros_like(right), where=sums > 0)
    return float(-np.log(np.clip(right, tiny, 1)).mean())


def rmse(labels, values):
    """Root of the mean squared error over rows and outputs."""
    return float(np.sqrt(np.mean((np.asarray(labels, np.float64) - values) ** 2)))


def emd(labels, probabilities):
    """Earth mover's distance: the mean over rows of sqrt(mean((CDF_p - CDF_q)^2)).

    Reference: Talebi, Milanfar, "NIMA: Neural Image Assessment", 2018, equation 1 with r = 2.
    """
    apart = np.cumsum(np.asarray(labels, np.float64) - probabilities, axis=1)
    return float(np.sqrt(np.mean(apart**2, axis=1)).mean())
