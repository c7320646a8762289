"""Test-time views: what a picture may be turned into without changing its class, if the scores agree.

A view is a part of the box that would be looked at (chosen before a picture is decoded, so that it costs nothing and
loses no detail) and a symmetry of the square (done to the finished picture).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kagglekit._checks import check_choice


def _same(image):
    return image


class View(NamedTuple):
    """A symmetry of `(height, width, channels)` arrays, the view that undoes it, and the part of the box looked at.

    `inverse` is None where a part is left out, which nothing brings back. `part` is `(top, left, height, width)` in
    shares of the box.
    """

    symmetry: Callable = _same
    inverse: str | None = None
    part: tuple = (0.0, 0.0, 1.0, 1.0)


def _middle(share):
    return View(part=((1 - share) / 2, (1 - share) / 2, share, share))


VIEWS = {
    "identity": View(_same, "identity"),
    "hflip": View(np.fliplr, "hflip"),
    "vflip": View(np.flipud, "vflip"),
    "rot180": View(lambda image: np.rot90(image, 2), "rot180"),
    "rot90": View(np.rot90, "rot270"),  # counterclockwise
    "rot270": View(lambda image: np.rot90(image, 3), "rot90"),
    "transpose": View(lambda image: image.swapaxes(0, 1), "transpose"),  # mirrored at the diagonal from the upper left
    "transverse": View(lambda image: np.rot90(image, 2).swapaxes(0, 1), "transverse"),  # mirrored at the other diagonal
    "zoom": _middle(7 / 8),
    "five_crop_top_left": View(part=(0.0, 0.0, 7 / 8, 7 / 8)),
    "five_crop_top_right": View(part=(0.0, 1 / 8, 7 / 8, 7 / 8)),
    "five_crop_bottom_left": View(part=(1 / 8, 0.0, 7 / 8, 7 / 8)),
    "five_crop_bottom_right": View(part=(1 / 8, 1 / 8, 7 / 8, 7 / 8)),
    "five_crop_centre": _middle(7 / 8),
    "scale_90": _middle(0.9),
    "scale_75": _middle(0.75),
    "scale_60": _middle(0.6),
}
DIHEDRAL = ("identity", "hflip", "vflip", "rot180", "rot90", "rot270", "transpose", "transverse")
FIVE_CROP = tuple(name for name in VIEWS if name.startswith("five_crop"))
MULTI_SCALE = ("identity", "scale_90", "scale_75", "scale_60")


def check_view(view):
    """Raise a ValueError unless the view is a name of `VIEWS` or the number of an augmented pass, from 0."""
    if not isinstance(view, int) or isinstance(view, bool):
        check_choice("view", view, VIEWS)
    elif not 0 <= view < 2**31:
        raise ValueError(f"expected a view's name or the number of an augmented pass, 0 or more, got {view}")


def view_box(view, box):
    """Return the part of a box that a view looks at.

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
    """Return a picture as a view shows it, once the view's box has been cut out.

    Args:
        image: array `(height, width, channels)` of any dtype.
        view: a name of `VIEWS`.

    Returns:
        array of the same shape and dtype, contiguous; it shares its memory with `image` where nothing is turned.

    Raises:
        ValueError: for an unknown view, or one that swaps the sides of a picture that is not square.

    Example:

    >>> apply_view(np.array([[[1], [2]], [[3], [4]]]), "rot90")[..., 0].tolist()
    [[2, 4], [1, 3]]
    """
    check_choice("view", view, VIEWS)
    # A pixel's channels as one item: they lie side by side and are copied at once.
    pixels = np.ascontiguousarray(image).view((np.void, image.itemsize * image.shape[2]))
    seen = VIEWS[view].symmetry(pixels)
    if seen.shape != pixels.shape:
        raise ValueError(
            f"view {view!r} swaps the sides and needs a square picture, got {image.shape[0]}x{image.shape[1]}; "
            f"use a square image_size, or {', '.join(DIHEDRAL[:4])}"
        )
    return np.ascontiguousarray(seen).view(image.dtype)


def invert_view(image, view):
    """Return a picture as it was before `apply_view`; for maps of what a network looked at, for instance.

    Args:
        image: array `(height, width, channels)` of any dtype.
        view: a name of `VIEWS`, without a part.

    Returns:
        array of the same shape and dtype, contiguous; it shares its memory with `image` where nothing is turned.

    Raises:
        ValueError: as `apply_view`, and for views that show a part of the picture.

    Example:

    >>> image = np.arange(12).reshape(2, 2, 3)
    >>> bool((invert_view(apply_view(image, "rot90"), "rot90") == image).all())
    True
    """
    check_choice("view", view, VIEWS)
    if VIEWS[view].inverse is None:
        raise ValueError(f"view {view!r} shows a part of the picture, so nothing inverts it; use one of {DIHEDRAL}")
    return apply_view(image, VIEWS[view].inverse)
