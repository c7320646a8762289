"""Moving pixels: 3x3 matrices that are multiplied first, then one warp.

A matrix maps points of the input image to points of the output image, in pixels, x to the right, y down, each
measured from its image's centre: pixel `i` of `n` lies at `i + 0.5 - n / 2`. So `b @ a` is first `a`, then `b`, and
a flip, a rotation or a zoom needs no size.
"""

import math

import cv2
import numpy as np

from kagglekit._checks import check_choice
from kagglekit.augment.pixels import in_channel_groups

_BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "replicate": cv2.BORDER_REPLICATE, "constant": cv2.BORDER_CONSTANT}
_EXACT = 1e-6  # pixels; nearer to a whole number than this is a whole number


def flip_matrix(*, horizontal=False, vertical=False):
    """Mirror left and right (horizontal), top and bottom (vertical)."""
    return zoom_matrix(-1.0 if vertical else 1.0, -1.0 if horizontal else 1.0)


def dihedral_matrix(number):
    """The eight symmetries of a square: `number % 4` quarter turns counter-clockwise, from 4 on mirrored sideways."""
    return np.rint(flip_matrix(horizontal=number >= 4) @ rotation_matrix(90 * (number % 4)))


def rotation_matrix(degrees):
    """Turn counter-clockwise about the centre, as `PIL.Image.rotate` does."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])


def shear_matrix(*, x=0.0, y=0.0):
    """Move every pixel right by `x` times its y and down by `y` times its x; the centre stays."""
    return np.array([[1, x, 0], [y, 1, 0], [0, 0, 1]])


def zoom_matrix(down, right=None):
    """Enlarge by a factor (above 1) or shrink (below 1) about the centre; `right` defaults to `down`."""
    return np.array([[down if right is None else right, 0, 0], [0, down, 0], [0, 0, 1.0]])


def shift_matrix(down, right):
    """Move down and to the right, in pixels."""
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def crop_matrix(box, shape, size):
    """Cut a box out of an image and bring it to a size.

    Args:
        box: `(top, left, height, width)` in pixels of the image, floats.
        shape: `(height, width)` of the image that the box refers to.
        size: `(height, width)` of the output.

    Returns:
        float64 array `(3, 3)`.

    Example:

    >>> crop_matrix((0, 2, 4, 2), shape=(4, 4), size=(8, 8)).round(1)  # the right half, twice as high, 4 times as wide
    array([[ 4.,  0., -4.],
           [ 0.,  2.,  0.],
           [ 0.,  0.,  1.]])
    """
    top, left, height, width = box
    down, right = shape[0] / 2 - (top + height / 2), shape[1] / 2 - (left + width / 2)
    return zoom_matrix(size[0] / height, size[1] / width) @ shift_matrix(down, right)


def warp(image, matrix, size=None, *, border="reflect", fill=128.0):
    """Move the pixels of an image with a matrix: bilinear, antialiased, exact where whole pixels stay whole.

    A crop, flip or quarter turn of whole pixels that lie inside the image is cut, turned and resized (see `resize`);
    without a change of size its pixels stay as they are. Everything else is one `cv2.warpAffine`; a matrix that
    reduces by more than 2 along an axis first reduces the image along this axis.

    Args:
        image: uint8 or float32 array `(height, width, channels)` with any number of channels, all moved alike.
        matrix: float64 array `(3, 3)`, from input to output, both measured from their centres.
        size: `(height, width)` of the output. Defaults to the input's.
        border: what comes in from outside: `"reflect"` (without repeating the edge), `"replicate"` (the edge) or
            `"constant"` (`fill`).
        fill: value for `border="constant"`.

    Returns:
        Array `(*size, channels)` of the same dtype. It may share its memory with `image`, which is never written to.

    Raises:
        ValueError: if `border` is unknown.

    Example:

    >>> image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    >>> warp(image, flip_matrix(horizontal=True))[..., 0]
    array([[2, 1, 0],
           [5, 4, 3]], dtype=uint8)
    """
    check_choice("border", border, _BORDERS)
    size = image.shape[:2] if size is None else tuple(size)
    exact = _warp_whole_pixels(image, matrix, size)
    if exact is not None:
        return exact
    image, matrix = _reduce_first(image, matrix)
    # From a pixel's index in the output to its index in the input
    inverse = cv2.invertAffineTransform(matrix[:2])
    inverse[:, 2] += inverse[:, :2] @ _first_pixel(size) - _first_pixel(image.shape)

    def warp_group(group):
        pad = group.shape[2] == 3 and group.dtype == np.uint8  # OpenCV 5 takes half the time for four that three take
        result = cv2.warpAffine(
            cv2.cvtColor(group, cv2.COLOR_RGB2RGBA) if pad else group,
            inverse,
            size[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=_BORDERS[border],
            borderValue=(fill,) * 4,
        )
        return cv2.cvtColor(result, cv2.COLOR_RGBA2RGB) if pad else result

    return in_channel_groups(image, warp_group)


def resize(image, size):
    """Bring an image to `(height, width)`: bilinear; an axis that shrinks by more than 2 is reduced in several steps.

    Such an axis is first brought to a power of two times its new length, then halved by averaging pairs: for factors of
    2, 4 and 8 this is the mean of the pixels that each new one covers, and close to it between these. OpenCV's area
    interpolation takes three times as long. Large reductions are made earlier, when records are written.

    Pixels are areas: the outer edges of input and output coincide. Any number of channels, all alike. An image that
    has the size already is returned itself.
    """
    size = tuple(size)
    halvings = [max(0, math.ceil(math.log2(old / new)) - 1) for old, new in zip(image.shape[:2], size, strict=True)]
    for level in range(max(halvings), -1, -1):
        step_size = tuple(new << min(level, count) for new, count in zip(size, halvings, strict=True))
        if step_size != image.shape[:2]:
            channels = image.shape[2]
            image = cv2.resize(image, step_size[::-1], interpolation=cv2.INTER_LINEAR).reshape(*step_size, channels)
    return image


def _reduce_first(image, matrix):
    """Reduce the image along the axes that the matrix reduces by more than 2; return it with the remaining matrix."""
    # The length that one pixel's step along y and along x has in the output, 1 / reduction
    (a, b, _), (c, d, _), _ = matrix.tolist()
    steps = math.hypot(b, d), math.hypot(a, c)
    if min(steps) >= 0.5:
        return image, matrix
    lengths = [
        max(1, round(pixels * step)) if step < 0.5 else pixels
        for pixels, step in zip(image.shape[:2], steps, strict=True)
    ]
    remaining = matrix @ zoom_matrix(image.shape[0] / lengths[0], image.shape[1] / lengths[1])
    return resize(image, lengths), remaining


def _warp_whole_pixels(image, matrix, size):
    """The output of a crop, flip or quarter turn of whole pixels inside the image; None for any other matrix."""
    (a, b, right), (c, d, down), _ = matrix.tolist()
    if abs(a) + abs(d) < 1e-9:
        image, a, b, c, d = image.swapaxes(0, 1), b, a, d, c
    if abs(b) + abs(c) > 1e-9:
        return None
    columns = _whole_slice(a, right, image.shape[1], size[1])
    rows = _whole_slice(d, down, image.shape[0], size[0])
    if columns is None or rows is None:
        return None
    image = resize(image[rows, columns], size)
    if a < 0 or d < 0:
        image = cv2.flip(image, -1 if a < 0 and d < 0 else 1 if a < 0 else 0).reshape(image.shape)
    return np.ascontiguousarray(image)


def _whole_slice(factor, shift, length, size):
    """The pixels of one axis that `factor * x + shift` shows in an output of `size`, or None if they are not whole."""
    first, last = sorted((edge - shift) / factor + length / 2 for edge in (-size / 2, size / 2))
    start, stop = round(first), round(last)
    whole = abs(first - start) < _EXACT and abs(last - stop) < _EXACT
    return slice(start, stop) if whole and 0 <= start < stop <= length else None


def _first_pixel(shape):
    """The first pixel's place `(x, y)`, measured from the centre."""
    return np.array([0.5 - shape[1] / 2, 0.5 - shape[0] / 2])


def draw_dihedral(rng, strength):
    """Draw with probability `strength` one of the eight symmetries of a square, else 0."""
    chosen = int(rng.integers(8))
    return chosen if rng.random() < strength else 0


def draw_rotation(rng, strength):
    """Draw degrees, uniform in `[-strength, strength]`."""
    return rng.uniform(-strength, strength)


def draw_shear(rng, strength):
    """Draw a shear, uniform in `[-strength, strength]`: pixels sideways for each pixel from the centre."""
    return rng.uniform(-strength, strength)


def draw_zoom(rng, strength):
    """Draw a factor from `1 / (1 + strength)` to `1 + strength`, uniform in its logarithm."""
    most = math.log1p(strength)
    return math.exp(rng.uniform(-most, most))


def draw_shift(rng, strength):
    """Draw a shift down and to the right, each uniform in `[-strength, strength]` of the side."""
    down, right = rng.uniform(-strength, strength, 2)
    return float(down), float(right)


def draw_rotation_normal(rng, strength):
    """Draw degrees from a normal distribution with the standard deviation `strength`."""
    return rng.normal(0, strength)


def draw_zoom_normal(rng, strength):
    """Draw factors down and right, each 1 plus a normal number times `strength`, at least 0.1."""
    down, right = np.maximum(1 + rng.normal(0, strength, 2), 0.1)
    return float(down), float(right)


def draw_shift_normal(rng, strength):
    """Draw pixels down and right, each from a normal distribution with the standard deviation `strength`."""
    down, right = rng.normal(0, strength, 2)
    return float(down), float(right)


def draw_window(rng, strength):
    """Draw a window of the image's shape: its share of the area is uniform in `[1 - strength, 1]`, at least 0.05.

    Returns:
        `(top, left, height, width)` as shares of the box it is drawn in.
    """
    area, top, left = rng.random(3).tolist()
    side = math.sqrt(1 - area * min(strength, 0.95))
    return top * (1 - side), left * (1 - side), side, side


def draw_random_resized_crop(rng, strength):
    """Draw a window as `draw_window` does, wider or narrower by 3/4 to 4/3 (uniform in the logarithm).

    The shape is relative to the box's: a box that evaluation squeezes is squeezed here too. Where the window would
    leave the box, its area is kept and its shape gives way. torchvision's RandomResizedCrop with
    `scale=(1 - strength, 1)`; Szegedy et al. 2015, "Going deeper with convolutions". Strength 0 is the whole box.

    Returns:
        `(top, left, height, width)` as shares of the box it is drawn in.
    """
    area, aspect, top, left = rng.random(4).tolist()
    area = 1 - area * min(strength, 0.95)
    width = math.sqrt(area * (4 / 3) ** (2 * aspect - 1))
    width = min(max(width, area), 1.0)
    height = area / width
    return top * (1 - height), left * (1 - width), height, width


def window_to_pixels(box, window):
    """Return a window, given as shares of a box in pixels, as a box `(top, left, height, width)` of whole pixels.

    Whole pixels are cut without interpolation; each side has at least one.
    """
    lengths = [max(1, min(side, round(side * share))) for side, share in zip(box[2:], window[2:], strict=True)]
    corner = [
        first + min(round(side * share), side - length)
        for first, side, share, length in zip(box[:2], box[2:], window[:2], lengths, strict=True)
    ]
    return (*corner, *lengths)
