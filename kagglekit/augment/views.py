"""Test-time (TTA) views: changes of an image that may leave its class as it is; the scores decide.

A view is a part of the box that evaluation shows (chosen before an image is decoded, so that it costs nothing and loses
no detail) and a symmetry of the square (applied to the finished image).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kagglekit._checks import check_choice, nearest


def _unchanged(image):
    return image


class View(NamedTuple):
    """A symmetry of `(height, width, channels)` arrays, and the part of the box that is shown.

    `part` is `(top, left, height, width)` in shares of the box.
    """

    symmetry: Callable = _unchanged
    part: tuple = (0.0, 0.0, 1.0, 1.0)


def _centre(share):
    return View(part=((1 - share) / 2, (1 - share) / 2, share, share))


VIEWS = {
    "identity": View(),
    "hflip": View(np.fliplr),
    "vflip": View(np.flipud),
    "rot180": View(lambda image: np.rot90(image, 2)),
    "rot90": View(np.rot90),  # counterclockwise
    "rot270": View(lambda image: np.rot90(image, 3)),
    "transpose": View(lambda image: image.swapaxes(0, 1)),  # mirrored at the diagonal from the upper left
    "transverse": View(lambda image: np.rot90(image, 2).swapaxes(0, 1)),  # mirrored at the other diagonal
    "zoom": _centre(7 / 8),
    "five_crop_top_left": View(part=(0.0, 0.0, 7 / 8, 7 / 8)),
    "five_crop_top_right": View(part=(0.0, 1 / 8, 7 / 8, 7 / 8)),
    "five_crop_bottom_left": View(part=(1 / 8, 0.0, 7 / 8, 7 / 8)),
    "five_crop_bottom_right": View(part=(1 / 8, 1 / 8, 7 / 8, 7 / 8)),
    "five_crop_centre": _centre(7 / 8),
    "scale_90": _centre(0.9),
    "scale_75": _centre(0.75),
    "scale_60": _centre(0.6),
}
DIHEDRAL = ("identity", "hflip", "vflip", "rot180", "rot90", "rot270", "transpose", "transverse")
VIEW_SETS = {
    "none": ("identity",),
    "flips": ("identity", "hflip", "vflip"),
    "d4": DIHEDRAL,
    "five_crop": ("identity", *(name for name in VIEWS if name.startswith("five_crop"))),
    "scales": ("identity", "scale_90", "scale_75", "scale_60"),
}


def named_views(views, size):
    """Return the test-time views that names and sets stand for, the unchanged image always first.

    Args:
        views: a key of `VIEW_SETS`, a key of `VIEWS`, or a list of these.
        size: `(height, width)` of the network's input, or an integer for a square.

    Returns:
        List of keys of `VIEWS`, each once.

    Raises:
        ValueError: for an unknown name, or a view that swaps the sides of an input that is not square.

    Example:

    >>> named_views("flips", 224), named_views(["zoom", "hflip"], (96, 128))
    (['identity', 'hflip', 'vflip'], ['identity', 'zoom', 'hflip'])
    """
    names = [views] if isinstance(views, str) else views
    if not isinstance(names, list | tuple):
        raise ValueError(f"expected views to be a name or a list of names such as ['hflip', 'zoom'], got {views!r}")
    expanded = ["identity"]
    for name in names:
        if name not in (*VIEW_SETS, *VIEWS):
            raise ValueError(
                f"expected the views to be sets ({', '.join(VIEW_SETS)}) or single views ({', '.join(VIEWS)}), got "
                f"{name!r}.{nearest(name, [*VIEW_SETS, *VIEWS])}"
            )
        expanded += VIEW_SETS.get(name, (name,))
    for view in expanded:
        check_view(view, size)
    return list(dict.fromkeys(expanded))


def check_view(view, size):
    """Check a view before anything is computed.

    Args:
        view: a name of `VIEWS`, or the number of an augmented pass, from 0.
        size: `(height, width)` of the network's input, or an integer for a square.

    Raises:
        ValueError: if it is neither, or swaps the sides of an input that is not square.
    """
    if isinstance(view, int) and not isinstance(view, bool):
        if not 0 <= view < 2**31:
            raise ValueError(f"expected a view's name or the number of an augmented pass, 0 or more, got {view}")
    else:
        _check_name(view, size)


def _check_name(view, size):
    check_choice("view", view, VIEWS)
    if not keeps_shape(view, size):
        raise ValueError(
            f"view {view!r} swaps the sides and needs a square image, got {size[0]}x{size[1]}; "
            f"use a square image_size, or {', '.join(name for name in DIHEDRAL if keeps_shape(name, size))}"
        )


def keeps_shape(view, size):
    """Return whether a view keeps the shape of an image of this size, as all but quarter turns do."""
    height, width = (size, size) if isinstance(size, int) else size
    return height == width or VIEWS[view].symmetry(np.empty((1, 2, 1))).shape == (1, 2, 1)


def view_box(view, box):
    """Return the part of a box that a view shows.

    Args:
        view: a name of `VIEWS`.
        box: `(top, left, height, width)` in pixels.

    Returns:
        `(top, left, height, width)`, floats, within the box.

    Raises:
        ValueError: for an unknown view.

    Example:

    >>> view_box("scale_75", (100, 0, 80, 40))
    (110.0, 5.0, 60.0, 30.0)
    """
    check_choice("view", view, VIEWS)
    top, left, height, width = VIEWS[view].part
    return box[0] + top * box[2], box[1] + left * box[3], height * box[2], width * box[3]


def apply_view(image, view):
    """Return an image as a view shows it, once the view's box has been cut out.

    Args:
        image: array `(height, width, channels)` of any dtype.
        view: a name of `VIEWS`.

    Returns:
        Array of the same shape and dtype, contiguous; it shares its memory with `image` where nothing is turned.

    Raises:
        ValueError: for an unknown view, or one that swaps the sides of an image that is not square.

    Example:

    >>> apply_view(np.array([[[1], [2]], [[3], [4]]]), "rot90")[..., 0].tolist()
    [[2, 4], [1, 3]]
    """
    _check_name(view, image.shape[:2])
    # A pixel's channels as one item: they lie side by side and are copied at once.
    pixels = np.ascontiguousarray(image).view((np.void, image.itemsize * image.shape[2]))
    return np.ascontiguousarray(VIEWS[view].symmetry(pixels)).view(image.dtype)
