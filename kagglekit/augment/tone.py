"""Tone: what PIL.ImageOps does to the values of each channel on its own. All ops take any number of channels."""

import cv2
import numpy as np

from kagglekit.augment.pixels import apply_table, pointwise


def posterize(image, bits):
    """Keep the `bits` highest of each value's 8 bits (`PIL.ImageOps.posterize`); 8 keeps all.

    Example:

    >>> posterize(np.full((1, 1, 1), 255, np.uint8), 3)
    array([[[224]]], dtype=uint8)
    """
    step = np.float32(2 ** (8 - bits))
    return image if bits == 8 else pointwise(image, lambda values: np.floor(values / step) * step)


def solarize(image, threshold):
    """Invert the values from `threshold` on (`PIL.ImageOps.solarize`); 256 inverts none, 0 all."""
    return pointwise(image, lambda values: np.where(values < threshold, values, 255 - values))


def solarize_add(image, addition):
    """Add to the values below 128 (AutoAugment's SolarizeAdd, Cubuk et al. 2019)."""
    return pointwise(image, lambda values: np.where(values < 128, values + np.float32(addition), values))


def invert(image, inverted=True):
    """Turn every value into 255 minus it (`PIL.ImageOps.invert`) where `inverted` is True."""
    return pointwise(image, lambda values: 255 - values) if inverted else image


def autocontrast(image, stretched=True):
    """Stretch each channel so that its values reach from 0 to 255 (`PIL.ImageOps.autocontrast`).

    A channel of one value stays as it is. uint8 values are cut down to whole numbers, as PIL does. False for
    `stretched` leaves the image as it is.
    """
    if not stretched:
        return image
    planes = cv2.split(image)  # numpy is fast along contiguous values only
    low = np.array([plane.min() for plane in planes], np.float64)
    high = np.array([plane.max() for plane in planes], np.float64)
    constant = high <= low
    scale = np.where(constant, 1, 255 / np.where(constant, 1, high - low))
    offset = np.where(constant, 0, -low * scale)
    if image.dtype == np.uint8:
        # In float64 and in PIL's order: 255 / 3 * 3 may be a hair below 255.
        table = np.arange(256.0).reshape(256, 1, 1) * scale + offset
        return apply_table(image, np.clip(np.trunc(table), 0, 255).astype(np.uint8))
    return np.clip(image * np.float32(scale) + np.float32(offset), 0, 255)


def equalize(image, equalized=True):
    """Make the histogram of each channel flat (`PIL.ImageOps.equalize`).

    float32 values lie between the 256 levels and are interpolated in the table of the rounded image. False for
    `equalized` leaves the image as it is.
    """
    if not equalized:
        return image
    levels = image if image.dtype == np.uint8 else np.rint(image).astype(np.uint8)
    tables = [_equal_table(levels, channel) for channel in range(levels.shape[2])]
    if image.dtype == np.uint8:
        return apply_table(image, np.stack(tables, axis=-1).astype(np.uint8).reshape(256, 1, -1))
    channels = [np.interp(image[..., channel], np.arange(256), table) for channel, table in enumerate(tables)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _equal_table(image, channel):
    """PIL's table: the number of darker pixels, in steps of the pixels without the brightest level's over 255."""
    counts = cv2.calcHist([image], [channel], None, [256], [0, 256]).ravel().astype(np.int64)
    present = np.flatnonzero(counts)
    step = (counts.sum() - counts[present[-1]]) // 255
    if len(present) <= 1 or step == 0:
        return np.arange(256)
    darker = np.cumsum(counts) - counts
    return np.minimum((step // 2 + darker) // step, 255)


def draw_posterize(rng, strength):
    """Draw the number of bits kept: a whole number from `8 - strength` (at least 1) to 8, all equally likely."""
    return 8 - min(int(rng.random() * (strength + 1)), 7)


def draw_solarize(rng, strength):
    """Draw the threshold, uniform in `[256 (1 - strength), 256]`."""
    return 256 * (1 - rng.random() * min(strength, 1))


def draw_solarize_add(rng, strength):
    """Draw the offset of the dark values, uniform in `[0, 255 strength]`."""
    return rng.random() * 255 * strength
