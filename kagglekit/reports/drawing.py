"""Shared by all figures: colours, Axes for images, messages and shortened names."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

COLOUR = "#3b6ea5"  # training images, and what is learned from them
SECOND_COLOUR = "#d1495b"  # test or held-out images
PART_COLOURS = {"train": COLOUR, "test": SECOND_COLOUR}


def hide_axes(ax):
    """Remove ticks and frame."""
    ax.set(xticks=[], yticks=[])
    sns.despine(ax=ax, left=True, bottom=True)


def show_image(ax, pixels, *, smooth=False):
    """Draw pixels from 0 to 255, `(height, width)` or `(height, width, channels)`.

    Of more than 3 channels the first 3 are drawn as red, green and blue; of 2, their mean in grey. `smooth`
    interpolates between pixels, for images that have few.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim == 3 and pixels.shape[-1] != 3:
        pixels = pixels[..., :3] if pixels.shape[-1] > 3 else pixels.mean(axis=-1)
    ax.imshow(
        pixels.astype(np.uint8),
        cmap="gray" if pixels.ndim == 2 else None,
        vmin=0,
        vmax=255,
        interpolation="bilinear" if smooth else None,
    )


def shorten(name, max_length=28):
    """Return a name of at most `max_length` characters: an ellipsis replaces the middle of a long one."""
    name = " ".join(str(name).split())
    if len(name) <= max_length:
        return name
    return f"{name[: max_length // 2]}…{name[-(max_length - max_length // 2 - 1) :]}"


def show_message(ax, sentence):
    """Write a sentence where there is nothing to draw; without Axes, on a small new figure."""
    ax = ax or plt.subplots(figsize=(7, 1.2), layout="constrained")[1]
    ax.set_axis_off()  # removing its ticks would remove those of Axes that share them
    ax.text(0.5, 0.5, sentence, ha="center", va="center", transform=ax.transAxes, color="dimgrey", wrap=True)
    return ax
