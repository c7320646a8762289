"""Hiding parts of an image: one mask op, and how five papers draw its rectangles.

All channels are hidden alike. Rectangles are rows of `(top, left, bottom, right)` as shares of the image, so that
they can be drawn before the image is decoded; what reaches outside is cut off.
"""

import math

import numpy as np

from kagglekit.augment.pixels import draw_seed, mean_colour, random_bytes

_GREY = 128.0  # the middle of the range, close to the 0 of a normalised image that the papers hide with
_NOTHING = (np.zeros((0, 4)), _GREY)


def hide(image, hidden):
    """Hide rectangles.

    Args:
        image: uint8 or float32 array `(height, width, channels)` with any number of channels.
        hidden: `(rectangles, fill)`: float array `(rectangles, 4)`, see the module's docstring, and what fills them: a
            number in `[0, 255]`, `"mean"` (the image's mean colour), or `("random", seed)` (every value uniform).

    Returns:
        A new array like `image`; the image itself where nothing is hidden.

    Example:

    >>> hide(np.full((2, 4, 1), 9, np.uint8), ([(0, 0.5, 0.5, 1)], 0.0))[..., 0]
    array([[9, 9, 0, 0],
           [9, 9, 9, 9]], dtype=uint8)
    """
    rectangles, fill = hidden
    if len(rectangles) == 0:
        return image
    height, width, _ = image.shape
    edges = np.rint(np.clip(rectangles, 0, 1) * (height, width, height, width)).astype(int).tolist()
    result = image.copy()
    if fill == "mean":
        fill = np.rint(mean_colour(image))
    random = isinstance(fill, tuple)
    for number, (top, left, bottom, right) in enumerate(edges):
        region = result[top:bottom, left:right]
        region[...] = random_bytes([fill[1], number], region.shape) if random else fill
    return result


def draw_cutout(rng, strength):
    """Draw one square of side `strength` (of the image's side), centred anywhere; grey.

    What reaches outside is cut off, so that 0.5 hides 0.19 on average. DeVries and Taylor 2017, "Improved
    regularization of convolutional neural networks with Cutout": 16 of 32 pixels for CIFAR-10.
    """
    return (_squares(rng, 1, strength), _GREY) if strength > 0 else _NOTHING


def draw_erasing(rng, strength):
    """Draw with probability `strength` one rectangle of random values.

    Area uniform in 0.02-0.4, aspect uniform in 0.3-1/0.3, redrawn until it is smaller than the image, then placed
    anywhere within: 0.2 is hidden on average. Zhong et al. 2017, "Random erasing data augmentation" (their probability:
    0.5), as their code and torchvision do it; the paper's own listing redraws the place too, and so hides 0.14.
    """
    if rng.random() >= strength:
        return _NOTHING
    while True:
        area, aspect = rng.uniform(0.02, 0.4), rng.uniform(0.3, 1 / 0.3)
        height, width = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if height < 1 and width < 1:
            top, left = rng.random() * (1 - height), rng.random() * (1 - width)
            return np.array([(top, left, top + height, left + width)]), ("random", draw_seed(rng))


def draw_erasing_mean(rng, strength):
    """Draw as `draw_erasing` does, to be filled with the image's mean colour: for images of few values."""
    rectangles, fill = draw_erasing(rng, strength)
    return rectangles, fill if len(rectangles) == 0 else "mean"


def draw_hide_and_seek(rng, strength):
    """Draw a grid and hide each of its cells with probability `strength`; grey.

    Cells of 16, 32, 44 or 56 pixels of 224, or no cell at all, all equally likely, so that 0.5 hides 0.4 on average.
    Singh and Lee 2017 and Singh et al. 2018, "Hide-and-Seek: a data augmentation technique for weakly-supervised
    localization and beyond", with the cell sizes of the authors' code.
    """
    cell = (0, 16, 32, 44, 56)[rng.integers(5)] / 224
    if cell == 0:
        return _NOTHING
    cells = math.ceil(1 / cell)
    corners = np.argwhere(rng.random((cells, cells)) < strength) * cell
    return np.hstack([corners, corners + cell]), _GREY


def draw_grid_mask(rng, strength):
    """Draw a grid of squares and hide them with probability `strength`; grey.

    A unit's side is uniform in 96-224 pixels of 224, a square takes 0.4 of it, the grid starts anywhere: 0.16 is hidden
    on average. Chen et al. 2020, "GridMask data augmentation", ImageNet: ratio 0.6, hence `(1 - 0.6) ** 2`, no
    rotation, probability up to 0.8.
    """
    if rng.random() >= strength:
        return _NOTHING
    unit = rng.uniform(96, 224) / 224
    starts = [np.arange(first - unit, 1, unit) for first in rng.uniform(0, unit, 2)]
    corners = np.stack(np.meshgrid(*starts), axis=-1).reshape(-1, 2)
    return np.hstack([corners, corners + 0.4 * unit]), _GREY


def draw_coarse_dropout(rng, strength):
    """Draw with probability `strength` ten squares of one side, uniform in 0.1-0.2, centred anywhere; black.

    As in the notebooks of the SIIM-ISIC melanoma competition (C. Deotte 2020), there with probability 0.2-0.4.
    """
    if rng.random() >= strength:
        return _NOTHING
    return _squares(rng, 10, rng.uniform(0.1, 0.2)), 0.0


def _squares(rng, count, side):
    centres = rng.random((count, 2))
    return np.hstack([centres - side / 2, centres + side / 2])
