"""What holds of every metric, the kit's and one of your own alike."""

import math
import pickle

import numpy as np
import pytest

import kagglekit as kk
from kagglekit.metrics import METRICS, better, find_metric, score

OUTPUTS, ROWS = 7, 60  # more classes than the largest k of top-k
ONE_LABEL, TASKS = ("single_label", "ordinal"), ("single_label", "ordinal", "multi_label", "regression", "distribution")


def miss(labels, probabilities):
    """A metric of one's own, for every task: how far predictions are from the labels, on average."""
    truth = np.eye(probabilities.shape[1])[labels] if np.ndim(labels) == 1 else labels
    return np.abs(truth - probabilities).mean()


TOY = kk.Metric(miss, higher_is_better=False, name="toy")
CASES = [(metric, task) for metric in (*METRICS.values(), TOY) for task in TASKS if metric.fits(task)]


def perfect(task, seed=0):
    """Labels of a task, and predictions that say just them."""
    rng = np.random.default_rng(seed)
    if task in ONE_LABEL:
        labels = rng.permutation(np.arange(ROWS) % OUTPUTS)
        return labels, np.eye(OUTPUTS)[labels]
    if task == "multi_label":
        labels = (rng.uniform(size=(ROWS, OUTPUTS)) < 0.4).astype(np.float32)
        labels[~labels.any(axis=1), 0] = 1  # a row without labels scores 0 in F2 and MAP whatever is said of it
        return labels, labels.astype(np.float64)
    if task == "regression":
        labels = rng.integers(0, 5, (ROWS, 1)).astype(np.float32)
        return labels, labels.astype(np.float64)
    labels = rng.dirichlet(np.ones(OUTPUTS), ROWS)
    return labels, labels


def spoilt(task, right, rows):
    """Predictions that are wrong in the first rows: those of another row's labels, or numbers that are too large."""
    wrong = right.copy()
    wrong[:rows] = right[:rows] + 2 if task == "regression" else np.roll(right[:rows], 1, axis=1)
    return wrong


def test_perfect_predictions_score_best_and_worse_ones_worse():
    for metric, task in CASES:
        labels, right = perfect(task)
        values = [score(metric, labels, spoilt(task, right, rows), task) for rows in (0, ROWS // 3, ROWS)]
        named = f"{metric} of {task}: {values}"
        assert values[0] == pytest.approx(1 if metric.higher_is_better else 0, abs=1e-12), named
        assert metric.better(values[0], values[1]), named
        assert metric.better(values[1], values[2]), named
        assert metric.sort(values) == [0, 1, 2], named
        assert metric.best(dict(zip("abc", reversed(values), strict=True))) == "c", named


def test_nothing_is_worse_than_the_worst():
    for metric, task in CASES:
        labels, right = perfect(task)
        for rows in (0, ROWS):
            assert not metric.better(metric.worst, score(metric, labels, spoilt(task, right, rows), task)), metric
        assert not metric.better(metric.worst, metric.worst)


def test_the_order_of_rows_changes_nothing():
    order = np.random.default_rng(1).permutation(ROWS)
    for metric, task in CASES:
        labels, right = perfect(task)
        given = spoilt(task, right, ROWS // 3)
        expected = pytest.approx(score(metric, labels, given, task), rel=1e-12)
        assert score(metric, labels[order], given[order], task) == expected, f"{metric} of {task}"


def test_rows_that_are_no_numbers_are_an_error_that_counts_them():
    """Comparisons with NaN are False, so that a place in a ranking seemed to be the first."""
    for metric, task in CASES:
        labels, right = perfect(task)
        for value in (np.nan, np.inf):
            broken = right.copy()
            broken[[1, 4], 0] = value
            with pytest.raises(ValueError, match=f"finite predictions, got NaN or infinity in 2 of 60 rows.* {metric}"):
                score(metric, labels, broken, task)
    with pytest.raises(ValueError, match="finite labels, got NaN or infinity in 1 of 2 rows, which have no rmse"):
        score("rmse", [[1.0], [np.nan]], [[1.0], [2.0]], "regression")


def test_better_knows_the_direction_and_nan_is_never_better():
    for metric in (*METRICS.values(), TOY):
        high, low = (0.9, 0.1) if metric.higher_is_better else (0.1, 0.9)
        assert metric.better(high, low)
        assert better(metric, high, low)
        assert not metric.better(low, high)
        assert not metric.better(high, high)
        assert not metric.better(math.nan, low)
        assert metric.better(low, math.nan)
        assert not metric.better(math.nan, math.nan)
        assert metric.sort([math.nan, low, high, math.nan, high]) == [2, 4, 1, 0, 3]
        assert metric.best([math.nan, math.nan]) == 0


def test_a_row_alone_or_all_rows_alike_never_crash():
    """A fold may hold one row, or one class: the score is a number, or NaN with a sentence."""
    for metric, task in CASES:
        labels, right = perfect(task)
        for rows in (1, 5):
            alike = np.repeat(labels[:1], rows, axis=0), np.repeat(right[:1], rows, axis=0)
            needy = metric.needs is not None
            if needy:
                with pytest.warns(UserWarning, match=f"{metric} is not defined on these {rows} rows"):
                    value = score(metric, *alike, task)
            else:
                value = score(metric, *alike, task)
            assert math.isnan(value) == needy, f"{metric} of {task}: {value}"


def test_a_metric_equals_its_name_and_survives_a_worker_process():
    for metric in (*METRICS.values(), TOY):
        assert metric == metric.name == str(metric) == f"{metric}"
        assert metric != "another"
        assert {metric: 1}[metric.name] == 1
        again = pickle.loads(pickle.dumps(metric))
        assert (again == metric, again.key, again.built_in) == (True, metric.key, metric.built_in)
        assert find_metric(metric) is metric


def test_the_decided_metrics_are_those_that_certainty_does_not_change():
    """`of_probabilities` says whether a submission of class names would throw something away: look at two classes."""
    rng = np.random.default_rng(3)
    labels, first = np.arange(ROWS) % 2, rng.uniform(0.05, 0.95, ROWS)
    several = np.stack([labels, 1 - labels], axis=1)
    given = np.stack([first, 1 - first], axis=1)
    certain = np.eye(2)[given.argmax(axis=1)]
    for metric in METRICS.values():
        task = next((task for task in TASKS[:3] if metric.fits(task)), None)
        if task is None or (task in ONE_LABEL and metric.name.startswith(("top", "map"))):
            continue  # places among two classes say little
        truth = labels if task in ONE_LABEL else several
        same = score(metric, truth, given, task) == pytest.approx(score(metric, truth, certain, task), abs=1e-12)
        assert same != metric.of_probabilities, metric
