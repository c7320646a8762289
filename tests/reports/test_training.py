"""Plots show the figures that they were given."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

mpl.use("Agg")

import kagglekit as kk
from kagglekit.metrics import METRICS


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_learning_curves_show_each_fold_and_the_mean(quick_run):
    axes = kk.plot_history(quick_run)
    lines = axes[1].get_lines()
    assert len(lines) == 2 * (3 + 1)
    mean = quick_run.history.groupby("epoch")["held_out_accuracy"].mean()
    assert lines[-1].get_ydata().tolist() == pytest.approx(mean.tolist())


def test_the_confusion_matrix_counts_every_row(quick_run):
    ax = kk.plot_mistakes(kk.predict(quick_run))
    counted = sum(int(text.get_text()) for text in ax.texts if text.get_text())
    assert counted == len(quick_run.oof)


def test_trials_are_the_points_of_every_knob():
    trials = pd.DataFrame({
        "trial": ["start", "0", "1"], "learning_rate": [1e-3, 3e-3, 2e-4], "dropout": [0.1, 0.2, 0.3],
        "score": [0.8, 0.9, 0.7],
    })  # fmt: skip
    axes = kk.plot_trials(trials, metric="accuracy")
    assert [ax.get_xlabel() for ax in axes] == ["learning_rate", "dropout"]
    best, others, start = (points.get_offsets().tolist() for points in axes[1].collections)
    assert (best, others, start) == ([[0.2, 0.9]], [[0.2, 0.9], [0.3, 0.7]], [[0.1, 0.8]])
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["2.0e-04", "3.0e-03"]


def test_the_best_trial_is_marked_whatever_the_metrics_direction():
    trials = pd.DataFrame({"trial": ["start", "0", "1"], "dropout": [0.1, 0.2, 0.3], "score": [0.8, 0.9, float("nan")]})
    for metric in (*METRICS.values(), kk.Metric(max, higher_is_better=False, name="own")):
        dropout = 0.2 if metric.higher_is_better else 0.1
        for given in (metric, metric.name)[: 1 + metric.built_in]:
            (ax,) = kk.plot_trials(trials, metric=given)
            assert ax.collections[0].get_offsets()[:, 0].tolist() == [dropout], metric
            assert ax.get_ylabel() == metric.name
            plt.close(ax.figure)


def test_scores_without_a_known_metric_are_not_drawn():
    trials = pd.DataFrame({"trial": ["start"], "dropout": [0.1], "score": [0.8]})
    with pytest.raises(
        ValueError, match=r"what metric the scores are of; pass it with kk.plot_trials\(trials, metric=...\)"
    ):
        kk.plot_trials(trials)
    with pytest.raises(ValueError, match="got 'score'"):
        kk.plot_trials(trials, metric="score")
