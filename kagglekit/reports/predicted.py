"""Figures of what a run predicts, for every task."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from kagglekit import metrics
from kagglekit.audit.thumbnails import read_small
from kagglekit.reports.drawing import COLOUR, SECOND_COLOUR, hide_axes, shorten, show_image


def plot_mistakes(predictions, *, most=25, ax=None):
    """Draw the out-of-fold mistakes in the form of the task.

    One label: the confusion matrix, a row is a true class, a column what was predicted, in images. Several labels: how
    often each label was found, and how often it was right where it was predicted. Numbers and shares: the truth against
    the prediction (of shares, the mean of the classes, using their names as values where these are numbers).

    Args:
        predictions: `Predictions` with out-of-fold rows.
        most: classes to show; of more, those with the most mistakes.
        ax: Axes to draw on. Defaults to a new figure.

    Returns:
        matplotlib Axes.
    """
    draw = {"confusion": _draw_confusion, "labels": _draw_labels, "scatter": _draw_scatter}
    return draw[predictions.task.mistakes_plot](predictions, most, ax)


def plot_shares(comp, predictions, *, most=40, ax=None):
    """Draw the means of training labels and of test predictions: the share of each class, or the number.

    Args:
        comp: a `Competition`.
        predictions: `Predictions` with test rows.
        most: largest number of classes to show, the most frequent ones.
        ax: Axes to draw on. Defaults to a new figure.

    Returns:
        matplotlib Axes.
    """
    names = comp.class_names
    targets, test = comp.task.one_hot(comp.targets, len(names)), comp.task.decided(predictions.fitted_to(comp).test)
    table = pd.DataFrame({"training labels": targets.mean(axis=0), "test predictions": test.mean(axis=0)}, index=names)
    shown = table[table.index.isin(table["training labels"].nlargest(most).index)]
    ax = ax or plt.subplots(figsize=(max(6, 0.5 * len(shown)), 3.5))[1]
    shown.rename(index=shorten).plot.bar(ax=ax, color=[COLOUR, SECOND_COLOUR], width=0.8)
    ax.set(ylabel=comp.task.mean_is, xlabel="")
    ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    sns.despine(ax=ax)
    return ax


def plot_examples(comp, run, fold, *, most=8):
    """Draw held-out images of a fold with the predictions of the run's network, and the truth where it is wrong.

    Args:
        comp: the run's `Competition`.
        run: a `Run`.
        fold: number of the fold.
        most: images to show.

    Returns:
        Array of Axes `(images,)`.
    """
    oof_arrays = run.oof_arrays()
    rows = np.flatnonzero(oof_arrays["folds"] == fold)[:most]
    source_of, names = comp.train.set_index("image_id")["source"], run.info["class_names"]
    names = [shorten(name, 14) for name in names] if run.task.has_classes else names
    figure, axes = plt.subplots(1, len(rows), figsize=(1.8 * len(rows), 2.5), squeeze=False, layout="constrained")
    for ax, row in zip(axes[0], rows, strict=True):
        show_image(ax, read_small(comp.root, source_of[oof_arrays["image_ids"][row]], 160).squeeze())
        predicted = run.task.describe_prediction(names, oof_arrays["probabilities"][row], oof_arrays["labels"][row])
        ax.set_title(predicted, fontsize=9)
        hide_axes(ax)
    figure.suptitle(f"Held out of fold {fold}")
    return axes[0]


def _draw_confusion(predictions, most, ax):
    from sklearn.metrics import confusion_matrix

    class_names = np.array(predictions.class_names)
    matrix = confusion_matrix(predictions.oof_labels, predictions.oof.argmax(axis=1), labels=range(len(class_names)))
    mistakes = matrix.sum(axis=1) + matrix.sum(axis=0) - 2 * matrix.diagonal()
    chosen = np.sort(np.argsort(-mistakes, kind="stable")[:most])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    cells = np.ix_(chosen, chosen)
    side = 2.5 + 0.42 * len(chosen)
    ax = ax or plt.subplots(figsize=(side + 1, side), layout="constrained")[1]
    annotations = np.where(matrix[cells] > 0, matrix[cells].astype(str), "")
    sns.heatmap(
        shares[cells], annot=annotations, fmt="", cmap="Blues", vmin=0, vmax=1, square=True, ax=ax, linewidths=0.5,
        xticklabels=class_names[chosen], yticklabels=class_names[chosen], 
        cbar_kws={"label": "share of the true class", "shrink": 0.7},
    )  # fmt: skip
    accuracy = metrics.accuracy(predictions.oof_labels, predictions.oof)
    subset = f" ({most} of {len(class_names)} classes, most mistakes)" if len(chosen) < len(class_names) else ""
    ax.set(title=f"Out-of-fold accuracy {accuracy:.4f}{subset}", xlabel="predicted", ylabel="true")
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(axis="y", rotation=0)
    return ax


def _draw_labels(predictions, most, ax):
    truth, predicted = predictions.oof_labels > 0.5, predictions.oof >= 0.5
    correct = (truth & predicted).sum(axis=0)
    mistakes = (truth != predicted).sum(axis=0)
    chosen = np.sort(np.argsort(-mistakes, kind="stable")[:most])
    counts = zip(predictions.class_names, truth.sum(axis=0), strict=True)
    table = pd.DataFrame(
        {
            "of those with the label, found": correct / np.maximum(truth.sum(axis=0), 1),
            "of those found, right": correct / np.maximum(predicted.sum(axis=0), 1),
        },
        index=[f"{shorten(name)} ({count})" for name, count in counts],
    ).iloc[chosen[::-1]]
    ax = ax or plt.subplots(figsize=(7, 1 + 0.4 * len(chosen)))[1]
    table.plot.barh(ax=ax, color=[COLOUR, SECOND_COLOUR], width=0.8)
    ax.set(title="Out-of-fold, labels of probability 0.5 and more", xlabel="share of the images", xlim=(0, 1))
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)
    sns.despine(ax=ax)
    return ax


def _draw_scatter(predictions, most, ax):
    task, class_names = predictions.task, predictions.class_names
    truth, predicted = task.values(predictions.oof_labels, class_names), task.values(predictions.oof, class_names)
    target_name = shorten(task.value_name(class_names))
    ax = ax or plt.subplots(figsize=(4.8, 4.8))[1]
    ax.scatter(truth, predicted, s=12, alpha=0.4, color=COLOUR, edgecolor="none")
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    ax.plot(ends, ends, color="grey", linewidth=1)
    ax.annotate("right", ends[1:] * 2, ha="right", va="bottom", color="grey", fontsize=8)
    ax.set(
        title=f"Out-of-fold {predictions.metric} {predictions.score:.4g}",
        xlabel=f"true {target_name}",
        ylabel="predicted",
    )
    sns.despine(ax=ax)
    return ax
