"""Pictures of what a network is fed in training, and of every op by itself."""

import matplotlib.pyplot as plt
import numpy as np

from kagglekit._checks import check_choice
from kagglekit.augment import OPS
from kagglekit.pipeline.samples import Samples
from kagglekit.reports.drawing import bare, short, show

# op -> a strength at which the eye sees what it does; a chance of 1 where the strength is one
_STRENGTHS = {
    "window": 0.7, "random_resized_crop": 0.7, "flip_horizontal": 1, "flip_vertical": 1, "dihedral": 1, "rotation": 30,
    "shear_x": 0.3, "shear_y": 0.3, "zoom": 0.5, "shift": 0.2, "rotation_normal": 30, "shear_normal": 15,
    "zoom_normal": 0.3, "shift_normal": 20, "brightness": 0.5, "brightness_shift": 0.3, "contrast": 0.7,
    "saturation": 0.9, "hue": 0.3, "grey": 1, "posterize": 6, "solarize": 0.6, "solarize_add": 0.4, "invert": 1,
    "autocontrast": 1, "equalize": 1, "sharpness": 1, "blur": 3, "noise": 0.15, "jpeg": 0.95, "channel_jitter": 0.4,
    "channel_dropout": 1, "cutout": 0.4, "erasing": 1, "erasing_mean": 1, "hide_and_seek": 0.4, "grid_mask": 1,
    "coarse_dropout": 1, "autoaugment_imagenet": 1, "autoaugment_cifar10": 1, "autoaugment_svhn": 1, "randaugment": 9,
    "trivialaugment": 1, "augmix": 5,
}  # fmt: skip
_TRIES = 8


def plot_augmentations(records, recipe, *, images=6, epochs=3):
    """Draw pictures as they are stored, and below exactly what `train_dataset` makes of them in the first epochs.

    A recipe's `mix` comes after that and is not drawn. Of more than 3 channels the first 3 are shown as red, green and
    blue; pictures of 16 bits are brightened, each column by one factor.

    Args:
        records: `Records`.
        recipe: a `Recipe`; its size, channels, policy and strength are shown.
        images: number of pictures, spread over the first fold, a column each.
        epochs: number of epochs, a row each.

    Returns:
        Array of Axes `(1 + epochs, images)`; fewer columns where the fold has fewer pictures.
    """
    samples = Samples(records, recipe, records.folds[0])
    rows = samples.spread(images)
    axes = plt.subplots(
        1 + epochs, len(rows), figsize=(1.5 * len(rows), 1.6 * (1 + epochs)), squeeze=False, layout="constrained"
    )[1]
    for column, row in zip(axes.T, rows, strict=True):
        stored = samples.stored(row)
        column[0].set_title(short(samples.index["image_id"][row], 14), fontsize=7)
        for ax, image in zip(column, [stored, *(samples.trained(row, epoch) for epoch in range(epochs))], strict=True):
            _draw(ax, image, _gain(samples, stored))
    for number, ax in enumerate(axes[:, 0]):
        ax.set_ylabel(f"epoch {number}" if number else "stored", fontsize=8)
    policy = (
        recipe.policy if isinstance(recipe.policy, str) else ", ".join(f"{op} {value:g}" for op, value in recipe.policy)
    )
    mixed = "" if recipe.mix == "none" else f" (before {recipe.mix})"
    title = f"Policy {short(policy, 70)} at strength {recipe.augment_strength:g}{mixed}"
    axes[0, 0].figure.suptitle(title, fontsize=10)
    return axes


def plot_ops(records, recipe, *, image_id=None, ops=None, columns=9):
    """Draw what each op makes of a picture, at a strength that shows it: a catalogue to choose a policy from.

    Of eight draws the one that changes the picture most is shown. An op that is not defined for the picture's channels
    (hue of 6 channels) leaves it as it is and says so.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels` and `seed` are used.
        image_id: the picture. Defaults to the first one.
        ops: names of `kagglekit.augment.OPS` to draw. Defaults to all.
        columns: pictures side by side.

    Returns:
        Array of Axes, the unchanged picture first, then one for each op.

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
    lines = -(-(1 + len(ops)) // columns)
    width = min(columns, 1 + len(ops))
    axes = plt.subplots(lines, width, figsize=(1.55 * width, 1.95 * lines), squeeze=False, layout="constrained")[
        1
    ].ravel()
    gain = _gain(samples, plain)
    _draw(axes[0], plain, gain)
    axes[0].set_title(f"{short(ids[row], 18)}\nas it is", fontsize=8)
    for ax, op in zip(axes[1:], ops, strict=False):
        image = _most_changed(samples, row, op, plain)
        _draw(ax, image, gain)
        said = f"{_STRENGTHS[op]:g}" if samples.differ(image, plain) else "leaves it"
        ax.set_title(f"{op.replace('autoaugment', 'autoaug')}\n{said}", fontsize=8)
    for ax in axes[1 + len(ops) :]:
        ax.set_axis_off()
    return axes[: 1 + len(ops)]


def _most_changed(samples, row, op, plain):
    rng = np.random.default_rng(samples.recipe.seed)
    drawn = [samples.augmented(row, [(op, _STRENGTHS[op])], rng) for _ in range(_TRIES)]
    return max(drawn, key=lambda image: np.abs(image - plain).mean())


def _gain(samples, image):
    """What pixels are multiplied with: scanners seldom use the whole range of 16 bits."""
    return 255 / max(float(image.max()), 1) if samples.decoder.deep else 1


def _draw(ax, image, gain):
    show(ax, np.rint(np.clip(np.asarray(image, np.float32) * gain, 0, 255)))
    bare(ax)
