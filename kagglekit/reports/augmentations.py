"""Figures of what a network sees in training, and of every op on its own."""

import matplotlib.pyplot as plt
import numpy as np

from kagglekit._checks import check_choice
from kagglekit.augment import OPS
from kagglekit.pipeline.samples import Samples
from kagglekit.reports.drawing import hide_axes, shorten, show_image

_DRAWS = 8


def plot_augmentations(records, recipe, *, images=6, epochs=3):
    """Draw images as they are stored, and below them exactly what `train_dataset` makes of them in the first epochs.

    A recipe's `mix` comes after that and is not drawn. Of more than 3 channels the first 3 are shown as red, green and
    blue; 16-bit images are brightened, each column by one factor.

    Args:
        records: `Records`.
        recipe: a `Recipe`; its size, channels, policy and strength are shown.
        images: number of images, spread over the first fold, a column each.
        epochs: number of epochs, a row each.

    Returns:
        Array of Axes `(1 + epochs, images)`; fewer columns where the fold has fewer images.
    """
    samples = Samples(records, recipe, records.folds[0])
    rows = samples.spread(images)
    axes = plt.subplots(
        1 + epochs, len(rows), figsize=(1.5 * len(rows), 1.6 * (1 + epochs)), squeeze=False, layout="constrained"
    )[1]
    for column, row in zip(axes.T, rows, strict=True):
        stored = samples.stored(row)
        column[0].set_title(shorten(samples.index["image_id"][row], 14), fontsize=7)
        for ax, image in zip(column, [stored, *(samples.trained(row, epoch) for epoch in range(epochs))], strict=True):
            _draw_scaled(ax, image, _display_gain(samples, stored))
    for number, ax in enumerate(axes[:, 0]):
        ax.set_ylabel(f"epoch {number}" if number else "stored", fontsize=8)
    policy = (
        recipe.policy if isinstance(recipe.policy, str) else ", ".join(f"{op} {value:g}" for op, value in recipe.policy)
    )
    mixed = "" if recipe.mix == "none" else f" (before {recipe.mix})"
    title = f"Policy {shorten(policy, 70)} at strength {recipe.augment_strength:g}{mixed}"
    axes[0, 0].figure.suptitle(title, fontsize=10)
    return axes


def plot_ops(records, recipe, *, image_id=None, ops=None, columns=9):
    """Draw what each op makes of an image, at a strength that shows it: a catalogue to choose a policy from.

    The one of eight draws that changes the image most is shown. An op that is not defined for the image's channels
    (hue of 6 channels) leaves the image unchanged, and its title says so.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels` and `seed` are used.
        image_id: the image. Defaults to the first one.
        ops: names of `kagglekit.augment.OPS` to draw. Defaults to all.
        columns: number of images in a line.

    Returns:
        Array of Axes: the unchanged image, then one for each op.

    Raises:
        ValueError: if the image or an op is unknown.
    """
    for op in ops or ():
        check_choice("each of ops", op, OPS)
    ops = list(ops or OPS)
    samples = Samples(records, recipe, records.folds)
    ids = samples.index["image_id"]
    row = 0
    if image_id is not None:
        if image_id not in ids:
            raise ValueError(f"the records have no training image {image_id!r}; they begin with {ids[:3].tolist()}")
        row = int(np.flatnonzero(ids == image_id)[0])
    plain = samples.evaluated(row)
    num_lines = -(-(1 + len(ops)) // columns)
    width = min(columns, 1 + len(ops))
    axes = plt.subplots(
        num_lines, width, figsize=(1.55 * width, 1.95 * num_lines), squeeze=False, layout="constrained"
    )[1].ravel()
    gain = _display_gain(samples, plain)
    _draw_scaled(axes[0], plain, gain)
    axes[0].set_title(f"{shorten(ids[row], 18)}\nas it is", fontsize=8)
    for ax, op in zip(axes[1:], ops, strict=False):
        image = _most_changed(samples, row, op, plain)
        _draw_scaled(ax, image, gain)
        note = f"{OPS[op].shown:g}" if samples.differ(image, plain) else "leaves it"
        if recipe.channels not in OPS[op].channels:
            note = f"not for {recipe.channels} channel{'s' * (recipe.channels > 1)}"
        ax.set_title(f"{op.replace('autoaugment', 'autoaug')}\n{note}", fontsize=8)
    for ax in axes[1 + len(ops) :]:
        ax.set_axis_off()
    return axes[: 1 + len(ops)]


def _most_changed(samples, row, op, plain):
    rng = np.random.default_rng(samples.recipe.seed)
    candidates = [samples.augmented(row, [(op, OPS[op].shown)], rng) for _ in range(_DRAWS)]
    return max(candidates, key=lambda image: np.abs(image - plain).mean())


def _display_gain(samples, image):
    """The factor that makes pixels visible: scanners seldom use the whole range of 16 bits."""
    return 255 / max(float(image.max()), 1) if samples.decoder.deep else 1


def _draw_scaled(ax, image, gain):
    show_image(ax, np.rint(np.clip(np.asarray(image, np.float32) * gain, 0, 255)))
    hide_axes(ax)
