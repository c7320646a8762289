"""Colour: brightness, contrast, saturation and hue as matrices that are multiplied first, then applied once.

A colour matrix has the shape `(channels, channels + 1)` and maps a colour to a colour, the last column being added.
Intermediate results are not clipped, which is where a chain of these ops differs from PIL's one after another.
"""

import math

import cv2
import numpy as np

from kagglekit.inputs.augment.pixels import mean_colour, pointwise

LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, what PIL's and torchvision's grey picture weighs with
_TO_YIQ = np.array([LUMINANCE, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # NTSC, 1953
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def brightness_matrix(factor, mean):
    """Multiply every channel by `factor` (PIL's ImageEnhance.Brightness). Any number of channels."""
    return _scaled(factor, 0.0, len(mean))


def brightness_shift_matrix(delta, mean):
    """Add `delta` to every channel (`tf.image.adjust_brightness`, in values of 0-255). Any number of channels."""
    return _scaled(1.0, delta, len(mean))


def contrast_matrix(factor, mean):
    """Scale the distance from the mean of the grey picture (ImageEnhance.Contrast, torchvision; it is not rounded).

    Any number of channels: all are scaled about one value, which for other numbers than 3 is the mean of all channels.
    """
    return _scaled(factor, (1 - factor) * float(_grey_weights(len(mean)) @ mean), len(mean))


def saturation_matrix(factor, mean):
    """Scale the distance from the grey picture (ImageEnhance.Color, torchvision); 0 is grey. 3 channels; else nothing.

    Reference: Haeberli and Voorhies 1994, "Image processing by interpolation and extrapolation".
    """
    if len(mean) != 3:
        return _scaled(1.0, 0.0, len(mean))
    return _linear(factor * np.eye(3) + (1 - factor) * LUMINANCE)


def grey_matrix(grey, mean):
    """Put the grey picture into all three channels where `grey` is True. 3 channels; else nothing."""
    return saturation_matrix(0.0 if grey else 1.0, mean)


def hue_matrix(turn, mean):
    """Turn the colours about the grey axis, in turns of a circle. 3 channels; other numbers stay as they are.

    A rotation of the I-Q plane of NTSC's YIQ, which keeps the luminance; PIL and torchvision add to the hue of HSV
    instead, which keeps the largest channel, so that the colours differ from theirs for the same turn.
    """
    if len(mean) != 3:
        return _scaled(1.0, 0.0, len(mean))
    cosine, sine = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return _linear(_FROM_YIQ @ rotation @ _TO_YIQ)


def composed(steps, mean):
    """Multiply colour matrices into one.

    Args:
        steps: pairs of a function of this module and its value, the first applied first.
        mean: float64 `(channels,)`, the picture's mean colour. Each step receives the mean colour that the steps before
            it leave, which is exact because they are linear.

    Returns:
        float64 array `(channels, channels + 1)`.

    Example:

    >>> composed([(brightness_matrix, 2.0), (contrast_matrix, 0.5)], np.array([10.0]))  # 2 x, then half way to 20
    array([[ 1., 10.]])
    """
    total = _scaled(1.0, 0.0, len(mean))
    for make, value in steps:
        matrix = make(value, total @ [*mean, 1.0])
        total = matrix[:, :-1] @ total
        total[:, -1] += matrix[:, -1]
    return total


def recolour(image, steps):
    """Apply brightness, contrast, saturation and hue at once.

    Args:
        image: uint8 or float32 array `(height, width, channels)`; what each step does to other numbers of channels than
            3 stands in its docstring.
        steps: pairs of a matrix function of this module and its value, see `composed`.

    Returns:
        A new array like `image`, rounded (uint8) and clipped to `[0, 255]` once, at the end.

    Example:

    >>> recolour(np.full((1, 1, 3), 100, np.uint8), [(brightness_matrix, 1.2), (saturation_matrix, 0.0)])
    array([[[120, 120, 120]]], dtype=uint8)
    """
    matrix = composed(steps, mean_colour(image))
    if image.shape[2] != 3:  # without saturation and hue all channels are scaled alike
        gain, offset = np.float32(matrix[0, 0]), np.float32(matrix[0, -1])
        return pointwise(image, lambda values: gain * values + offset)
    result = cv2.transform(image, matrix)
    return result if image.dtype == np.uint8 else np.clip(result, 0, 255, out=result)


def _scaled(gain, offset, channels):
    matrix = gain * np.eye(channels, channels + 1)
    matrix[:, -1] = offset
    return matrix


def _linear(matrix):
    return np.concatenate([matrix, np.zeros((3, 1))], axis=1)


def _grey_weights(channels):
    return LUMINANCE if channels == 3 else np.full(channels, 1 / channels)


def draw_brightness_shift(rng, strength):
    """Draw what is added to every value, uniform in `[-255 strength, 255 strength]`."""
    return float(rng.uniform(-255 * strength, 255 * strength))


def draw_hue(rng, strength):
    """Draw turns of a circle, uniform in `[-strength, strength]`, half a turn at the most."""
    return float(rng.uniform(-1, 1) * min(strength, 0.5))
