"""What the figures share: colours, bare Axes for images, short names."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

COLOUR = "#3b6ea5"  # training images, and what is learnt from them
SECOND = "#d1495b"  # test or held-out images
PARTS = {"train": COLOUR, "test": SECOND}


def bare(ax):
    """Take ticks and frame away."""
    ax.set(xticks=[], yticks=[])
    sns.despine(ax=ax, left=True, bottom=True)


def show(ax, pixels, *, smooth=False):
    """Draw pixels 0 to 255: `(height, width)` or with a last axis of channels.

    Of more than 3 channels the first 3 are drawn as red, green and blue; of 2, their mean in grey. `smooth` hides the
    edges of the pixels of an image that has few.
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


def short(name, most=28):
    """Return a name of at most so many characters: the middle of a long one becomes a dot-dot-dot."""
    name = " ".join(str(name).split())
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"


def say(ax, sentence):
    """Write a sentence where a figure would have nothing to draw; without Axes, on a small figure of its own."""
    ax = ax or plt.subplots(figsize=(7, 1.2), layout="constrained")[1]
    ax.set_axis_off()  # not its ticks: Axes that share them would lose theirs
    ax.text(0.5, 0.5, sentence, ha="center", va="center", transform=ax.transAxes, color="dimgrey", wrap=True)
    return ax
