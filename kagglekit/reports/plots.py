"""Pictures of a competition and of a run. Each function draws on given or new Axes and returns them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import NullFormatter
from PIL import Image

from kagglekit.predictions import metrics

COLOUR = "#3b6ea5"


def plot_class_counts(comp, *, most=40, ax=None):
    """Draw the number of training images per class, most frequent first.

    Args:
        comp: a `Competition`.
        most: classes to show; of more, the rarest half and the most frequent half of them are shown.
        ax: Axes to draw on. Defaults to a new figure.

    Returns:
        matplotlib Axes.
    """
    counts = comp.train["label"].value_counts()
    shown = counts if len(counts) <= most else pd.concat([counts.iloc[: most // 2], counts.iloc[-(most // 2) :]])
    ax = ax or plt.subplots(figsize=(7, 0.8 + 0.24 * len(shown)))[1]
    sns.barplot(x=shown.to_numpy(), y=shown.index.astype(str), ax=ax, color=COLOUR)
    ax.bar_label(ax.containers[0], padding=3, fontsize=8)
    ratio = counts.iloc[0] / counts.iloc[-1]
    hidden = f", {len(counts) - len(shown)} classes between not shown" if len(shown) < len(counts) else ""
    ax.set(
        title=f"{len(comp.train)} images of {len(counts)} classes; most frequent : rarest = {ratio:.1f}{hidden}",
        xlabel="training images",
        ylabel="",
    )
    ax.margins(x=0.08)
    sns.despine(ax=ax)
    return ax


def plot_image_sizes(report, *, ax=None):
    """Draw width against height of train and test images; a dot's area is the number of images of that size.

    Args:
        report: what `kk.check_images` returned.
        ax: Axes to draw on. Defaults to a new figure.
    """
    ax = ax or plt.subplots(figsize=(6, 4.5))[1]
    readable = report[report["width"] > 0]
    sizes = readable.groupby(["part", "width", "height"]).size().rename("images").reset_index()
    # Test as a ring around train's disc: both stay visible where they have the same size.
    for part, style in (
        ("train", {"alpha": 0.6, "color": COLOUR}),
        ("test", {"facecolor": "none", "edgecolor": "#d1495b"}),
    ):
        rows = sizes[sizes["part"] == part]
        area = 30 + 300 * rows["images"] / max(sizes["images"].max(), 1)
        ring = 1.6 if part == "test" else 1.0
        ax.scatter(
            rows["width"],
            rows["height"],
            s=area * ring,
            label=f"{part} ({rows['images'].sum()} images)",
            **style,
        )
    sides = readable[["width", "height"]].to_numpy()
    ax.set(
        title=f"Image sizes: {len(sizes[['width', 'height']].drop_duplicates())} different, median "
        f"{int(np.median(sides[:, 0]))} x {int(np.median(sides[:, 1]))}",
        xlabel="width, pixels",
        ylabel="height, pixels",
        xlim=(0, sides[:, 0].max() * 1.15),
        ylim=(0, sides[:, 1].max() * 1.15),
    )
    ax.legend(frameon=False, loc="lower right")
    sns.despine(ax=ax)
    return ax


def plot_images(comp, *, per_class=4, most=12, seed=0):
    """Draw some training images of each class, a class per row.

    Args:
        comp: a `Competition`.
        per_class: images of each class.
        most: classes to show, the most frequent first.
        seed: integer that chooses the images.

    Returns:
        Array of Axes `(classes, per_class)`.
    """
    classes = comp.train["label"].value_counts().index[:most]
    figure, axes = plt.subplots(
        len(classes),
        per_class,
        figsize=(1.2 * per_class + 1, 1.2 * len(classes)),
        squeeze=False,
        layout="constrained",
    )
    for row, name in zip(axes, classes, strict=True):
        chosen = comp.train[comp.train["label"] == name]
        chosen = chosen.sample(min(per_class, len(chosen)), random_state=seed)["source"]
        for place, ax in enumerate(row):
            _bare(ax)
            if place < len(chosen):
                try:
                    with Image.open(comp.root / chosen.iloc[place]) as image:
                        _show(ax, np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")))
                except (OSError, SyntaxError, ValueError):
                    ax.text(0.5, 0.5, "unreadable", ha="center", va="center", transform=ax.transAxes, color="red")
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle(
        "Training images" + (f" of the {most} most frequent classes" if len(comp.class_names) > most else "")
    )
    return axes


def plot_augmentations(records, recipe, *, images=6, epochs=3):
    """Draw a batch as it is stored and as the network sees it in several epochs.

    Args:
        records: `Records`.
        recipe: a `Recipe`; its policy and strength are shown.
        images: number of images, a column each.
        epochs: number of augmented rows.

    Returns:
        Array of Axes `(1 + epochs, images)`.
    """
    import tensorflow as tf

    from kagglekit.inputs.augment import augmented, random_box
    from kagglekit.inputs.pipeline import eval_dataset

    figure, axes = plt.subplots(
        1 + epochs, images, figsize=(1.5 * images, 1.6 * (1 + epochs)), squeeze=False, layout="constrained"
    )
    pixels, _, ids = next(iter(eval_dataset(records, recipe.replace(batch_size=images), records.folds[0])))
    size = pixels.shape[1:3]
    for row, line in enumerate(axes):
        for column, ax in enumerate(line):
            _bare(ax)
            if column >= len(pixels):
                continue
            image = pixels[column]
            if row:
                seed = tf.constant([recipe.seed + row, column], tf.int64)
                box = random_box((0, 0, *size), seed, recipe.policy, recipe.augment_strength)
                image = image[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
                image = augmented(tf.image.resize(image, size), seed, recipe.policy, recipe.augment_strength)
            else:
                ax.set_title(ids[column].numpy().decode()[:14], fontsize=7)
            _show(ax, np.asarray(image).astype(np.uint8).squeeze())
        line[0].set_ylabel("stored" if row == 0 else f"augmented {row}")
    figure.suptitle(f"Policy {recipe.policy!r} at strength {recipe.augment_strength:g}")
    return axes


def plot_history(run, *, axes=None):
    """Draw the learning curves of all folds: loss and metric, training against held out.

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
        for (column, label), colour in zip(columns, (COLOUR, "#d1495b"), strict=True):
            for _, part in history.groupby("fold"):
                ax.plot(part["epoch"], part[column], color=colour, alpha=0.25, linewidth=1)
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
    if metric == "log_loss":
        axes[0].set_yscale("log")
    return axes


def plot_confusion(predictions, *, most=25, ax=None):
    """Draw the out-of-fold confusion matrix: a row is a true class, a column what was predicted, in images.

    Args:
        predictions: `Predictions`.
        most: classes to show; of more, those with the most mistakes.
        ax: Axes to draw on. Defaults to a new figure.
    """
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


def plot_trials(trials, *, metric="score"):
    """Draw the score of each trial against each knob that was searched; the best trial is marked.

    Args:
        trials: what `kagglekit.training.tuning.read_trials` returned.
        metric: what the score is called on the axis.

    Returns:
        Array of Axes, one per knob.
    """
    knobs = [column for column in trials.columns if column not in ("trial", "score")]
    figure, axes = plt.subplots(
        1, len(knobs), figsize=(3.2 * len(knobs), 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    start = trials["trial"] == "start"
    best = trials["score"] == (trials["score"].min() if metric == "log_loss" else trials["score"].max())
    for ax, knob in zip(axes[0], knobs, strict=True):
        ax.scatter(
            trials[knob][best],
            trials["score"][best],
            s=190,
            facecolor="none",
            edgecolor="#d1495b",
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
    axes[0][0].set_ylabel(metric)
    axes[0][-1].legend(frameon=False, bbox_to_anchor=(1, 1))
    figure.suptitle(f"{len(trials)} trials")
    return axes[0]


def _mark_stages(ax, history):
    """A dashed line with a name where a stage begins."""
    first = history[history["fold"] == history["fold"].iloc[0]]
    for stage, epochs in first.groupby("stage", sort=False)["epoch"]:
        if first["stage"].nunique() > 1:
            ax.axvline(epochs.min() - 0.5, color="grey", linestyle="--", linewidth=0.8)
            ax.text(
                epochs.min() - 0.4,
                1.0,
                stage,
                transform=ax.get_xaxis_transform(),
                fontsize=8,
                color="grey",
                va="bottom",
            )


def _bare(ax):
    ax.set(xticks=[], yticks=[])
    sns.despine(ax=ax, left=True, bottom=True)


def _show(ax, pixels):
    ax.imshow(pixels, cmap="gray" if pixels.ndim == 2 else None, vmin=0, vmax=255)
