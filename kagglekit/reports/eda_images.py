"""Figures of the images themselves: a grid, a mean image per class, duplicates side by side."""

import matplotlib.pyplot as plt
import numpy as np

from kagglekit.audit.scan import scan
from kagglekit.audit.thumbnails import rows_of_class, small_images, with_channels
from kagglekit.reports.drawing import SECOND_COLOUR, hide_axes, shorten, show_image, show_message

_SIDE = 160  # pixels of an image in a grid


def plot_images(comp, *, per_class=4, most=12, seed=0):
    """Draw some training images of each class, one class per row; for numeric targets, one fifth per row.

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
        return np.array([[show_message(None, "no training image has a label")]])
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(class_rows)[:per_class] for class_rows in rows.values()]
    sources = comp.train["source"].iloc[np.concatenate(chosen)]
    images = small_images(comp.root, sources.tolist(), _SIDE, title="reading some images of each class")
    figure, axes = plt.subplots(
        len(rows), per_class, figsize=(1.2 * per_class + 1.6, 1.25 * len(rows) + 0.4), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes_row, name, class_rows in zip(axes, rows, chosen, strict=True):
        for position, ax in enumerate(axes_row):
            hide_axes(ax)
            if position < len(class_rows):
                _show_image_or_unreadable(ax, next(images))
        axes_row[0].set_ylabel(shorten(name, 20), rotation=0, ha="right", va="center")
    subset = f", the {most} most frequent of {len(comp.classes)} classes" if len(comp.classes) > most else ""
    figure.suptitle(
        f"Training images{subset}"
        if comp.task.has_classes
        else "Training images, from the lowest values to the highest"
    )
    return axes


def plot_mean_images(comp, *, per_class=100, most=24, seed=0):
    """Draw the mean image of each class: where the object is, and whether the background gives the class away.

    Args:
        comp: a `Competition`.
        per_class: images of each class to average, chosen at random.
        most: classes to show, the most frequent first.
        seed: integer that chooses the images.

    Returns:
        Array of Axes, one for each class.
    """
    rows = _shown_classes(comp, most)
    if not rows:
        return np.array([show_message(None, "no training image has a label")])
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(class_rows)[:per_class] for class_rows in rows.values()]
    sources = comp.train["source"].iloc[np.concatenate(chosen)].tolist()
    images = (facts.colours for facts in scan(comp, sources))
    columns = min(6, len(rows))
    num_lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        num_lines, columns, figsize=(1.9 * columns + 0.4, 2.15 * num_lines + 0.5), squeeze=False, layout="constrained"
    )
    for ax in axes.ravel():
        hide_axes(ax)
    for ax, name, class_rows in zip(axes.ravel(), rows, chosen, strict=False):
        mean, num_read = _mean_image(images, len(class_rows))
        _show_image_or_unreadable(ax, mean, smooth=True)
        ax.set_title(f"{shorten(name, 22)}\nmean of {num_read}", fontsize=8)
    subset = f" of the {most} most frequent of {len(comp.classes)} classes" if len(comp.classes) > most else ""
    figure.suptitle(f"Mean images{subset}")
    return axes.ravel()[: len(rows)]


def plot_duplicates(comp, groups, *, most=6):
    """Draw duplicates side by side, first those with different labels or across train and test.

    Args:
        comp: a `Competition`.
        groups: what `kk.duplicate_groups(comp)` returned.
        most: pairs to show.

    Returns:
        Array of Axes `(pairs, 2)`; a single Axes with a message if there are no duplicates.
    """
    pairs = groups.attrs["pairs"]
    if not pairs:
        return np.array([[show_message(None, "no duplicates: no two images are the same")]])
    tables = {part: table.set_index("image_id") for part, table in (("train", comp.train), ("test", comp.test))}

    def label_of(part, image_id):
        return tables[part].at[image_id, "label"] if part == "train" else "test"

    def rank(pair):
        first, second, _, _, first_part, second_part = pair
        return label_of(first_part, first) == label_of(second_part, second), first_part == second_part

    shown = sorted(pairs, key=rank)[:most]
    sources = [tables[part].at[name, "source"] for a, b, *_, c, d in shown for name, part in ((a, c), (b, d))]
    images = small_images(comp.root, sources, 2 * _SIDE, title="reading duplicates")
    num_columns = min(3, len(shown))
    num_lines = -(-len(shown) // num_columns)
    figure = plt.figure(figsize=(4.4 * num_columns, 2.85 * num_lines + 0.4), layout="constrained")
    figure.suptitle(f"Duplicates: {len(shown)} of {len(pairs)} pairs")
    axes = []
    subfigures = figure.subfigures(num_lines, num_columns, wspace=0.06, hspace=0.06, squeeze=False).ravel()
    for subfigure, (first, second, kind, similarity, first_part, second_part) in zip(subfigures, shown, strict=False):
        labels = [label_of(first_part, first), label_of(second_part, second)]
        note = ": train and test" if first_part != second_part else ": labels differ" if labels[0] != labels[1] else ""
        title = kind if similarity is None or kind == "exact" else f"{kind}, {similarity:.3f} alike"
        subfigure.suptitle(f"{title}{note}", fontsize=9, color=SECOND_COLOUR if note else "black")
        axes.append(subfigure.subplots(1, 2))
        for ax, name, label in zip(axes[-1], (first, second), labels, strict=True):
            hide_axes(ax)
            _show_image_or_unreadable(ax, next(images))
            ax.set_title(f"{shorten(name, 22)}\n{shorten(_label_text(label), 22)}", fontsize=8)
    return np.array(axes)


def _shown_classes(comp, most):
    """The rows of the most frequent classes, by class name; all classes in their own order if they fit."""
    rows = rows_of_class(comp)
    if len(rows) <= most and comp.task.has_classes:
        return {name: rows[name] for name in comp.class_names if name in rows}
    return dict(list(rows.items())[:most])


def _mean_image(images, number):
    """Return the mean of the next `number` images, and how many of them could be read."""
    pixel_sum, count = None, 0
    for pixels in (next(images) for _ in range(number)):
        if pixels.size:  # empty if unreadable
            pixels = pixels.astype(np.float64)
            channels = pixels.shape[-1] if pixel_sum is None else max(pixels.shape[-1], pixel_sum.shape[-1])
            pixels = with_channels(pixels, channels)
            pixel_sum = pixels if pixel_sum is None else with_channels(pixel_sum, channels) + pixels
            count += 1
    return (None if pixel_sum is None else pixel_sum / count), count


def _show_image_or_unreadable(ax, pixels, *, smooth=False):
    if pixels is None:
        ax.text(0.5, 0.5, "unreadable", ha="center", va="center", transform=ax.transAxes, color=SECOND_COLOUR)
    else:
        show_image(ax, pixels, smooth=smooth)


def _label_text(label):
    if isinstance(label, tuple):
        return ", ".join(f"{value:.2g}" if isinstance(value, float) else str(value) for value in label)
    return f"{label:.4g}" if isinstance(label, float) else str(label)
