"""Figures of training: learning rates, learning curves, trials."""

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.ticker import NullFormatter

from kagglekit.metrics import find_metric
from kagglekit.reports.drawing import COLOUR, SECOND_COLOUR


def plot_lr(table, *, ax=None):
    """Draw the loss over the learning rate and mark the suggestion.

    Args:
        table: what `kk.lr_find` returned.
        ax: Axes to draw on. Defaults to a new figure.

    Returns:
        Axes.
    """
    ax = ax or plt.subplots(figsize=(6, 3.5), layout="constrained")[1]
    ax.plot(table["learning_rate"], table["loss"], color=SECOND_COLOUR, linewidth=1, alpha=0.5, label="each step")
    ax.plot(table["learning_rate"], table["smoothed"], color=COLOUR, linewidth=2, label="running mean")
    suggestion = table.attrs["suggestion"]
    ax.axvline(suggestion, color="black", linestyle="--", linewidth=1, label=f"suggestion {suggestion:g}")
    ax.set(xscale="log", xlabel="learning rate", ylabel="training loss", title="What the last stage can take")
    ax.legend(frameon=False)
    return ax


def plot_history(run, *, axes=None):
    """Draw the learning curves of all folds: loss and metric, training against held out.

    Only measured curves are drawn; training accuracy is measured if a row has one label.

    Args:
        run: a `Run`.
        axes: two Axes to draw on. Defaults to a new figure.

    Returns:
        Array of two Axes.
    """
    history, metric = run.history, run.info["metric"]
    axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")[1] if axes is None else axes
    curves = (
        (axes[0], "loss", (("loss", "training (smoothed labels)"), ("held_out_loss", "held out"))),
        (axes[1], metric, (("accuracy", "training accuracy"), (f"held_out_{metric}", f"held out {metric}"))),
    )
    for ax, name, columns in curves:
        for (column, label), colour in zip(columns, (COLOUR, SECOND_COLOUR), strict=True):
            if history[column].isna().all():
                continue
            for _, fold_history in history.groupby("fold"):
                ax.plot(fold_history["epoch"], fold_history[column], color=colour, alpha=0.25, linewidth=1)
            mean = history.groupby("epoch")[column].mean()
            ax.plot(mean.index, mean, color=colour, label=label, marker="o", markersize=3)
        _mark_stages(ax, history)
        ax.set(
            title=f"{name}: mean of {history['fold'].nunique()} folds and each fold",
            xlabel="epoch",
            ylabel=name,
        )
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(frameon=False)
        sns.despine(ax=ax)
    if run.trained_metric.log_axis:
        axes[0].set_yscale("log")
    return axes


def plot_trials(trials, *, metric=None):
    """Draw the score of each trial against each knob that was searched; the best trial is marked.

    Args:
        trials: what `kk.read_trials` returned.
        metric: name or `Metric` of the score; it decides which trial is best. Defaults to the one that `read_trials`
            found.

    Returns:
        Array of Axes, one per knob.

    Raises:
        ValueError: if the metric is unknown, or neither passed nor found.
    """
    metric = trials.attrs.get("metric") if metric is None else metric
    if metric is None:
        raise ValueError("cannot tell what metric the scores are of; pass it with kk.plot_trials(trials, metric=...)")
    metric = find_metric(metric)
    knobs = [column for column in trials.columns if column not in ("trial", "score")]
    figure, axes = plt.subplots(
        1, len(knobs), figsize=(3.2 * len(knobs), 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    start = trials["trial"] == "start"
    best = trials["score"] == trials["score"][metric.best(trials["score"])]
    for ax, knob in zip(axes[0], knobs, strict=True):
        ax.scatter(
            trials[knob][best],
            trials["score"][best],
            s=190,
            facecolor="none",
            edgecolor=SECOND_COLOUR,
            label="best",
        )
        ax.scatter(trials[knob][~start], trials["score"][~start], color=COLOUR, label="trial")
        ax.scatter(trials[knob][start], trials["score"][start], color="black", marker="s", label="start")
        if knob == "learning_rate":
            ax.set_xscale("log")
            ends = [trials[knob].min(), trials[knob].max()]
            ax.set_xticks(ends, [f"{value:.1e}" for value in ends])
            ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel(knob)
        sns.despine(ax=ax)
    axes[0][0].set_ylabel(metric.name)
    axes[0][-1].legend(frameon=False, bbox_to_anchor=(1, 1))
    figure.suptitle(f"{len(trials)} trials")
    return axes[0]


def _mark_stages(ax, history):
    """A dashed line where a stage begins, with its name along it: names side by side would overlap."""
    fold_history = history[history["fold"] == history["fold"].iloc[0]]
    if fold_history["stage"].nunique() < 2:
        return
    for stage, epochs in fold_history.groupby("stage", sort=False)["epoch"]:
        start = epochs.min() - 0.5
        ax.axvline(start, color="grey", linestyle="--", linewidth=0.8, zorder=0)
        ax.annotate(
            stage, (start, 1), xycoords=ax.get_xaxis_transform(), xytext=(3, -3), textcoords="offset points",
            rotation=90, fontsize=8, color="grey", ha="left", va="top", zorder=0,
        )  # fmt: skip
