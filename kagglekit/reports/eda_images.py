"""Figures made of the images themselves: a grid, a mean image per class, duplicates side by side."""

import matplotlib.pyplot as plt
import numpy as np

from kagglekit.audit.scan import scan
from kagglekit.audit.thumbnails import rows_of_class, small_images, with_channels
from kagglekit.reports.drawing import SECOND, bare, say, short, show

_SIDE = 160  # pixels of an image in a grid


def plot_images(comp, *, per_class=4, most=12, seed=0):
    """Draw some training images of each class, a class per row; of numeric targets, a fifth of the images per row.

    Args:
        comp: a `Competition`.
        per_class: images of each class.
        most: classes to show, the most frequent first.
        seed: integer that chooses the images.

    Returns:
        Array of Axes `(classes, per_class)`.
    """
    rows = _shown_classes(comp, most)
    if not rows:
        return np.array([[say(None, "no training image has a label")]])
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(part)[:per_class] for part in rows.values()]
    sources = comp.train["source"].iloc[np.concatenate(chosen)]
    images = small_images(comp.root, sources.tolist(), _SIDE, title="reading some of each class")
    figure, axes = plt.subplots(
        len(rows), per_class, figsize=(1.2 * per_class + 1.6, 1.25 * len(rows) + 0.4), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for line, name, part in zip(axes, rows, chosen, strict=True):
        for place, ax in enumerate(line):
            bare(ax)
            if place < len(part):
                _show_or_say(ax, next(images))
        line[0].set_ylabel(short(name, 20), rotation=0, ha="right", va="center")
    some = f", the {most} most frequent of {len(comp.classes)} classes" if len(comp.classes) > most else ""
    figure.suptitle(
        f"Training images{some}" if comp.task.has_classes else "Training images, from the lowest values to the highest"
    )
    return axes


def plot_mean_images(comp, *, per_class=100, most=24, seed=0):
    """Draw the mean image of each class: where the object stands, and whether a background gives the class away.

    Args:
        comp: a `Competition`.
        per_class: images of each class that the mean is taken of, drawn at random.
        most: classes to show, the most frequent first.
        seed: integer that chooses the images.

    Returns:
        Array of Axes, one for each class.
    """
    rows = _shown_classes(comp, most)
    if not rows:
        return np.array([say(None, "no training image has a label")])
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(part)[:per_class] for part in rows.values()]
    sources = comp.train["source"].iloc[np.concatenate(chosen)].tolist()
    images = (facts.colours for facts in scan(comp, sources))
    columns = min(6, len(rows))
    lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(1.9 * columns + 0.4, 2.15 * lines + 0.5), squeeze=False, layout="constrained"
    )
    for ax in axes.ravel():
        bare(ax)
    for ax, name, part in zip(axes.ravel(), rows, chosen, strict=False):
        mean, number = _mean_of(images, len(part))
        _show_or_say(ax, mean, smooth=True)
        ax.set_title(f"{short(name, 22)}\nmean of {number}", fontsize=8)
    some = f" of the {most} most frequent of {len(comp.classes)} classes" if len(comp.classes) > most else ""
    figure.suptitle(f"Mean images{some}")
    return axes.ravel()[: len(rows)]


def plot_duplicates(comp, groups, *, most=6):
    """Draw duplicates side by side, those with different labels or across train and test first.

    Args:
        comp: a `Competition`.
        groups: what `kk.duplicate_groups(comp)` returned.
        most: pairs to show.

    Returns:
        Array of Axes `(pairs, 2)`; a single Axes with a sentence where there are no duplicates.
    """
    pairs = groups.attrs["pairs"]
    if not pairs:
        return np.array([[say(None, "no duplicates: no two images are the same")]])
    tables = {part: table.set_index("image_id") for part, table in (("train", comp.train), ("test", comp.test))}

    def label_of(part, image_id):
        return tables[part].at[image_id, "label"] if part == "train" else "test"

    def rank(pair):
        first, second, _, _, first_part, second_part = pair
        return label_of(first_part, first) == label_of(second_part, second), first_part == second_part

    shown = sorted(pairs, key=rank)[:most]
    sources = [tables[part].at[name, "source"] for a, b, *_, c, d in shown for name, part in ((a, c), (b, d))]
    images = small_images(comp.root, sources, 2 * _SIDE, title="reading duplicates")
    across = min(3, len(shown))
    lines = -(-len(shown) // across)
    figure = plt.figure(figsize=(4.4 * across, 2.85 * lines + 0.4), layout="constrained")
    figure.suptitle(f"Duplicates: {len(shown)} of {len(pairs)} pairs")
    axes = []
    places = figure.subfigures(lines, across, wspace=0.06, hspace=0.06, squeeze=False).ravel()
    for place, (first, second, kind, similarity, first_part, second_part) in zip(places, shown, strict=False):
        labels = [label_of(first_part, first), label_of(second_part, second)]
        words = ": train and test" if first_part != second_part else ": labels differ" if labels[0] != labels[1] else ""
        alike = kind if similarity is None or kind == "exact" else f"{kind}, {similarity:.3f} alike"
        place.suptitle(f"{alike}{words}", fontsize=9, color=SECOND if words else "black")
        axes.append(place.subplots(1, 2))
        for ax, name, label in zip(axes[-1], (first, second), labels, strict=True):
            bare(ax)
            _show_or_say(ax, next(images))
            ax.set_title(f"{short(name, 22)}\n{short(_one_line(label), 22)}", fontsize=8)
    return np.array(axes)


def _shown_classes(comp, most):
    """The rows of the most frequent classes; all in their own order where they fit."""
    rows = rows_of_class(comp)
    if len(rows) <= most and comp.task.has_classes:
        return {name: rows[name] for name in comp.class_names if name in rows}
    return dict(list(rows.items())[:most])


def _mean_of(images, number):
    """Return the mean of the next `number` images as they come, and how many could be read."""
    total, count = None, 0
    for pixels in (next(images) for _ in range(number)):
        if pixels.size:  # else unreadable
            pixels = pixels.astype(np.float64)
            channels = pixels.shape[-1] if total is None else max(pixels.shape[-1], total.shape[-1])
            pixels = with_channels(pixels, channels)
            total = pixels if total is None else with_channels(total, channels) + pixels
            count += 1
    return (None if total is None else total / count), count


def _show_or_say(ax, pixels, *, smooth=False):
    if pixels is None:
        ax.text(0.5, 0.5, "unreadable", ha="center", va="center", transform=ax.transAxes, color=SECOND)
    else:
        show(ax, pixels, smooth=smooth)


def _one_line(label):
    if isinstance(label, tuple):
        return ", ".join(f"{part:.2g}" if isinstance(part, float) else str(part) for part in label)
    return f"{label:.4g}" if isinstance(label, float) else str(label)
