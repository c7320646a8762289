"""What the ops share: values one by one, channels in groups of four, random bytes.

An image is an array `(height, width, channels)` of uint8, or of float32 in `[0, 255]`, with any number of channels.
"""

import math

import cv2
import numpy as np

_LEVELS = np.arange(256, dtype=np.float32).reshape(256, 1, 1)  # every uint8 value, shaped as an image


def pointwise(image, formula):
    """Apply a formula to every value: through a table of 256 entries for uint8, directly for float32.

    Args:
        image: uint8 or float32 array `(height, width, channels)`.
        formula: function of a float32 array that broadcasts against the image; it may hold an array of one number a
            channel. Its values are rounded (uint8 only) and clipped to `[0, 255]`.

    Returns:
        A new array like `image`.

    Example:

    >>> pointwise(np.full((1, 1, 2), 100, np.uint8), lambda values: values * np.float32([1.5, 3]))
    array([[[150, 255]]], dtype=uint8)
    """
    if image.dtype == np.uint8:
        return apply_table(image, to_uint8(formula(_LEVELS)))
    return np.clip(formula(image), 0, 255).astype(np.float32, copy=False)


def apply_table(image, table):
    """Replace every value of a uint8 image by its entry in a table `(256, 1, 1)` or `(256, 1, channels)`."""
    return cv2.LUT(image, table).reshape(image.shape)


def to_uint8(values):
    """Round to uint8, clipped to `[0, 255]`."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def in_channel_groups(image, function):
    """Apply an OpenCV function to at most four channels at a time: many of its functions take no more.

    Args:
        image: array `(height, width, channels)`.
        function: maps `(height, width, up to 4)` to an image of any size, whose channel axis may be lost if it is 1.

    Returns:
        Array `(new height, new width, channels)`.
    """
    channels = image.shape[2]
    if channels <= 4:
        result = function(image)
        return result.reshape(*result.shape[:2], channels)
    groups = [function(np.ascontiguousarray(image[..., first : first + 4])) for first in range(0, channels, 4)]
    return np.concatenate([group.reshape(*group.shape[:2], -1) for group in groups], axis=2)


def mean_colour(image):
    """Return the mean of each channel, float64 `(channels,)`."""
    if image.shape[2] <= 4:
        return np.array(cv2.mean(image)[: image.shape[2]])
    return image.mean(axis=(0, 1), dtype=np.float64)


def random_bytes(seed, shape):
    """Return uniform uint8 values drawn from a seed, an integer or a list of integers."""
    count = math.prod(shape)
    # Whole 64-bit words take a fifth of the time of Generator.bytes, and the GIL is free meanwhile.
    words = np.random.default_rng(seed).integers(0, 2**64, -(-count // 8), np.uint64)
    return words.astype("<u8", copy=False).view(np.uint8)[:count].reshape(shape)


def draw_seed(rng):
    """Draw a seed of 63 bits, for what is too large to be drawn as parameters: a texture of random values."""
    return int(rng.integers(2**63))


def draw_chance(rng, strength):
    """Draw True with probability `strength`, at most 1."""
    return rng.random() < strength


def draw_factor(rng, strength):
    """Draw a factor, uniform in `[1 - strength, 1 + strength]` and never below 0 (torchvision's ColorJitter)."""
    return rng.uniform(max(0.0, 1 - strength), 1 + strength)
