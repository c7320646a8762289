"""Colour: brightness, contrast, saturation and hue, multiplied into one matrix that is applied once.

A colour matrix has the shape `(channels, channels + 1)` and maps a colour to a colour, the last column being added.
Each op here takes the matrix of the ops before it, its own value, and the image's mean colour with a 1 behind it, and
returns the matrix of all. Intermediate results are not clipped, which is where a chain of these ops differs from PIL's
one after another.
"""

import math

import cv2
import numpy as np

from kagglekit.augment.pixels import mean_colour, pointwise

LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, what PIL's and torchvision's grey image weighs with
_TO_YIQ = np.array([LUMINANCE, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # NTSC, 1953
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def brightness(matrix, factor, mean):
    """Multiply every channel by `factor` (PIL's ImageEnhance.Brightness). Any number of channels."""
    return factor * matrix


def brightness_shift(matrix, delta, mean):
    """Add `delta` to every channel (`tf.image.adjust_brightness`, in values of 0-255). Any number of channels."""
    matrix = matrix.copy()
    matrix[:, -1] += delta
    return matrix


def contrast(matrix, factor, mean):
    """Scale the distance from the mean of the grey image (ImageEnhance.Contrast, torchvision; it is not rounded).

    Any number of channels: all are scaled about one value, which for other numbers than 3 is the mean of all channels.
    """
    colour = matrix @ mean  # exact, since everything before is linear
    grey = LUMINANCE @ colour if len(matrix) == 3 else colour.mean()
    return brightness_shift(factor * matrix, (1 - factor) * grey, mean)


def saturation(matrix, factor, mean):
    """Scale the distance from the grey image (ImageEnhance.Color, torchvision); 0 is grey.

    Images without 3 channels stay as they are.

    Reference: Haeberli and Voorhies 1994, "Image processing by linear interpolation and extrapolation".
    """
    return factor * matrix + (1 - factor) * (LUMINANCE @ matrix) if len(matrix) == 3 else matrix


def grey(matrix, to_grey, mean):
    """Put the grey image into all channels where `to_grey` is True. Images without 3 channels stay as they are."""
    return saturation(matrix, 0.0, mean) if to_grey else matrix


def hue(matrix, turn, mean):
    """Rotate the colours about the grey axis, in turns of a circle. Images without 3 channels stay as they are.

    A rotation of the I-Q plane of NTSC's YIQ, which keeps the luminance; PIL and torchvision add to the hue of HSV
    instead, which keeps the largest channel, so that the colours differ from theirs for the same turn.
    """
    if len(matrix) != 3:
        return matrix
    cosine, sine = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return _FROM_YIQ @ rotation @ _TO_YIQ @ matrix


def compose(steps, mean):
    """Multiply colour ops into one matrix.

    Args:
        steps: pairs of an op of this module and its value, the first applied first.
        mean: float64 `(channels,)`, the image's mean colour.

    Returns:
        float64 array `(channels, channels + 1)`.

    Example:

    >>> compose([(brightness, 2.0), (contrast, 0.5)], np.array([10.0]))  # 2 x, then half way to 20
    array([[ 1., 10.]])
    """
    matrix, mean = np.eye(len(mean), len(mean) + 1), np.append(mean, 1.0)
    for op, value in steps:
        matrix = op(matrix, value, mean)
    return matrix


def recolour(image, steps):
    """Apply brightness, contrast, saturation and hue at once.

    Args:
        image: uint8 or float32 array `(height, width, channels)`; each op's docstring says what it does to other
            numbers of channels than 3.
        steps: pairs of an op of this module and its value, see `compose`.

    Returns:
        A new array like `image`, rounded (uint8) and clipped to `[0, 255]` once, at the end.

    Example:

    >>> recolour(np.full((1, 1, 3), 100, np.uint8), [(brightness, 1.2), (saturation, 0.0)])
    array([[[120, 120, 120]]], dtype=uint8)
    """
    matrix = compose(steps, mean_colour(image))
    if image.shape[2] != 3:  # without saturation and hue all channels are scaled alike
        gain, offset = np.float32(matrix[0, 0]), np.float32(matrix[0, -1])
        return pointwise(image, lambda values: gain * values + offset)
    result = cv2.transform(image, matrix)
    return result if image.dtype == np.uint8 else np.clip(result, 0, 255, out=result)


def draw_brightness_shift(rng, strength):
    """Draw the offset of every value, uniform in `[-255 strength, 255 strength]`."""
    return rng.uniform(-255 * strength, 255 * strength)


def draw_hue(rng, strength):
    """Draw turns of a circle, uniform in `[-strength, strength]`, at most half a turn."""
    return rng.uniform(-1, 1) * min(strength, 0.5)
