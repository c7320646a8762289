"""Figures of what a run predicts, for every task."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from kagglekit import metrics
from kagglekit.audit.thumbnails import read_small
from kagglekit.reports.drawing import COLOUR, SECOND, bare, short, show


def plot_mistakes(predictions, *, most=25, ax=None):
    """Draw the out-of-fold mistakes in the form of the task.

    One label: the confusion matrix, a row is a true class, a column what was predicted, in images. Several labels: how
    often each label was found, and how often it was right where it was given. Numbers and shares: the truth against
    what was predicted (of shares, the mean of the classes, by their names where these are numbers).

    Args:
        predictions: `Predictions` with out-of-fold rows.
        most: classes to show; of more, those with the most mistakes.
        ax: Axes to draw on. Defaults to a new figure.

    Returns:
        matplotlib Axes.
    """
    draw = {"confusion": _confusion, "labels": _labels, "scatter": _scatter}[predictions.task.mistakes_plot]
    return draw(predictions, most, ax)


def plot_shares(comp, predictions, *, most=40, ax=None):
    """Draw what training labels and test predictions are like in the mean: shares of the classes, or the number.

    Args:
        comp: a `Competition`.
        predictions: `Predictions` with test rows.
        most: classes to show, the most frequent ones.
        ax: Axes to draw on. Defaults to a new figure.

    Returns:
        matplotlib Axes.
    """
    names = comp.class_names
    targets, test = comp.task.one_hot(comp.targets, len(names)), comp.task.decided(predictions.fitted_to(comp).test)
    table = pd.DataFrame({"training labels": targets.mean(axis=0), "test predictions": test.mean(axis=0)}, index=names)
    shown = table[table.index.isin(table["training labels"].nlargest(most).index)]
    ax = ax or plt.subplots(figsize=(max(6, 0.5 * len(shown)), 3.5))[1]
    shown.rename(index=short).plot.bar(ax=ax, color=[COLOUR, SECOND], width=0.8)
    ax.set(ylabel=comp.task.mean_is, xlabel="")
    ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    sns.despine(ax=ax)
    return ax


def plot_examples(comp, run, fold, *, most=8):
    """Draw held-out images of a fold with what the run's network says of them, and the truth where it is wrong.

    Args:
        comp: the run's `Competition`.
        run: a `Run`.
        fold: number of the fold.
        most: images to show.

    Returns:
        Array of Axes `(images,)`.
    """
    arrays = run.oof_arrays()
    rows = np.flatnonzero(arrays["folds"] == fold)[:most]
    source, names = comp.train.set_index("image_id")["source"], run.info["class_names"]
    names = [short(name, 14) for name in names] if run.task.has_classes else names
    figure, axes = plt.subplots(1, len(rows), figsize=(1.8 * len(rows), 2.5), squeeze=False, layout="constrained")
    for ax, row in zip(axes[0], rows, strict=True):
        show(ax, read_small(comp.root, source[arrays["image_ids"][row]], 160).squeeze())
        ax.set_title(
            run.task.describe_prediction(names, arrays["probabilities"][row], arrays["labels"][row]), fontsize=9
        )
        bare(ax)
    figure.suptitle(f"Held out of fold {fold}")
    return axes[0]


def _confusion(predictions, most, ax):
    from sklearn.metrics import confusion_matrix

    names = np.array(predictions.class_names)
    matrix = confusion_matrix(predictions.oof_labels, predictions.oof.argmax(axis=1), labels=range(len(names)))
    mistakes = matrix.sum(axis=1) + matrix.sum(axis=0) - 2 * matrix.diagonal()
    chosen = np.sort(np.argsort(-mistakes, kind="stable")[:most])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    part = np.ix_(chosen, chosen)
    side = 2.5 + 0.42 * len(chosen)
    ax = ax or plt.subplots(figsize=(side + 1, side), layout="constrained")[1]
    labels = np.where(matrix[part] > 0, matrix[part].astype(str), "")
    sns.heatmap(
        shares[part], annot=labels, fmt="", cmap="Blues", vmin=0, vmax=1, square=True, ax=ax, linewidths=0.5,
        xticklabels=names[chosen], yticklabels=names[chosen], cbar_kws={"label": "share of the true class", "shrink":
        0.7},
    )  # fmt: skip
    accuracy = metrics.accuracy(predictions.oof_labels, predictions.oof)
    some = f" ({most} of {len(names)} classes, most mistakes)" if len(chosen) < len(names) else ""
    ax.set(title=f"Out-of-fold accuracy {accuracy:.4f}{some}", xlabel="predicted", ylabel="true")
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(axis="y", rotation=0)
    return ax


def _labels(predictions, most, ax):
    truth, given = predictions.oof_labels > 0.5, predictions.oof >= 0.5
    right = (truth & given).sum(axis=0)
    mistakes = (truth != given).sum(axis=0)
    chosen = np.sort(np.argsort(-mistakes, kind="stable")[:most])
    counted = zip(predictions.class_names, truth.sum(axis=0), strict=True)
    table = pd.DataFrame(
        {
            "of those with the label, found": right / np.maximum(truth.sum(axis=0), 1),
            "of those found, right": right / np.maximum(given.sum(axis=0), 1),
        },
        index=[f"{short(name)} ({count})" for name, count in counted],
    ).iloc[chosen[::-1]]
    ax = ax or plt.subplots(figsize=(7, 1 + 0.4 * len(chosen)))[1]
    table.plot.barh(ax=ax, color=[COLOUR, SECOND], width=0.8)
    ax.set(title="Out-of-fold, labels of probability 0.5 and more", xlabel="share of the images", xlim=(0, 1))
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)
    sns.despine(ax=ax)
    return ax


def _scatter(predictions, most, ax):
    task, names = predictions.task, predictions.class_names
    truth, values = task.values(predictions.oof_labels, names), task.values(predictions.oof, names)
    what = short(task.value_name(names))
    ax = ax or plt.subplots(figsize=(4.8, 4.8))[1]
    ax.scatter(truth, values, s=12, alpha=0.4, color=COLOUR, edgecolor="none")
    ends = [min(truth.min(), values.min()), max(truth.max(), values.max())]
    ax.plot(ends, ends, color="grey", linewidth=1)
    ax.annotate("right", ends[1:] * 2, ha="right", va="bottom", color="grey", fontsize=8)
    ax.set(title=f"Out-of-fold {predictions.metric} {predictions.score:.4g}", xlabel=f"true {what}", ylabel="predicted")
    sns.despine(ax=ax)
    return ax
