"""Augmentation ops. Each has a function that draws its parameters from a seed and one that applies them.

Images are `(height, width, channels)` with values in `[0, 255]`; any number of channels. A seed is an int pair; the
same seed draws the same parameters, in eager mode and inside tf.data.
"""

import tensorflow as tf


def draw_flip(seed, strength):
    """Draw True with probability `strength`, at most 1. Default strength: 0.5."""
    return tf.random.stateless_uniform([], seed) < strength


def apply_flip_horizontal(image, flip):
    """Mirror left and right where `flip` is True."""
    return _mirrored(image, flip, axis=1)


def apply_flip_vertical(image, flip):
    """Mirror top and bottom where `flip` is True."""
    return _mirrored(image, flip, axis=0)


def _mirrored(image, flip, axis):
    """A gather along one axis; `tf.reverse` and a slice with step -1 take five times as long on a CPU."""
    places = tf.range(tf.shape(image)[axis])
    return tf.gather(image, tf.where(flip, places[::-1], places), axis=axis)


def draw_window(seed, strength):
    """Draw a window of the picture: its share of the area is uniform in `[1 - strength, 1]`, its shape the picture's.

    Returns:
        `(top, left, side)` as shares of the picture's height and width, float32 in `[0, 1]`.
    """
    area, top, left = tf.unstack(tf.random.stateless_uniform([3], seed))
    side = tf.sqrt(1 - area * tf.minimum(strength, 0.95))
    return top * (1 - side), left * (1 - side), side


def window_box(box, window):
    """Return the window of a box `(top, left, height, width)` as such a box, in whole pixels, one at the least."""
    size = tf.stack(box[2:])
    top, left, side = window
    lengths = tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float32) * side), tf.int32), 1)
    start = tf.cast(tf.round(tf.cast(size, tf.float32) * tf.stack([top, left])), tf.int32)
    start = tf.minimum(start, size - lengths)
    return box[0] + start[0], box[1] + start[1], lengths[0], lengths[1]


def apply_window(image, window):
    """Cut the window out of a picture of any size."""
    height, width = tf.unstack(tf.shape(image)[:2])
    top, left, height, width = window_box((0, 0, height, width), window)
    return image[top : top + height, left : left + width]


def draw_shift(seed, strength):
    """Draw a shift down and to the right, each uniform in `[-strength, strength]` of the side."""
    return tf.random.stateless_uniform([2], seed, -strength, strength)


def apply_shift(image, shift):
    """Shift by whole pixels; what comes in from outside repeats the border."""
    size = tf.shape(image)[:2]
    moved = tf.cast(tf.round(shift * tf.cast(size, tf.float32)), tf.int32)
    rows = tf.clip_by_value(tf.range(size[0]) - moved[0], 0, size[0] - 1)
    columns = tf.clip_by_value(tf.range(size[1]) - moved[1], 0, size[1] - 1)
    return tf.gather(tf.gather(image, rows, axis=0), columns, axis=1)


def draw_brightness(seed, strength):
    """Draw what is added to every value, uniform in `[-255 strength, 255 strength]`."""
    return tf.random.stateless_uniform([], seed, -255 * strength, 255 * strength)


def apply_brightness(image, delta):
    """Add `delta` to every value and clip to `[0, 255]`."""
    return tf.clip_by_value(image + delta, 0.0, 255.0)


def draw_contrast(seed, strength):
    """Draw a factor, uniform in `[1 - strength, 1 + strength]`."""
    return tf.random.stateless_uniform([], seed, 1 - strength, 1 + strength)


def apply_contrast(image, factor):
    """Scale the distance from each channel's mean (`tf.image.adjust_contrast`'s definition) and clip to `[0, 255]`."""
    mean = tf.reduce_mean(image, axis=(0, 1), keepdims=True)
    return tf.clip_by_value(image * factor + mean * (1 - factor), 0.0, 255.0)


# name -> draw(seed, strength), apply(image, parameters)
OPS = {
    "flip_horizontal": (draw_flip, apply_flip_horizontal),
    "flip_vertical": (draw_flip, apply_flip_vertical),
    "window": (draw_window, apply_window),
    "shift": (draw_shift, apply_shift),
    "brightness": (draw_brightness, apply_brightness),
    "contrast": (draw_contrast, apply_contrast),
}
