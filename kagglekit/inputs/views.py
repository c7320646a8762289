"""Test-time views: what a picture may be turned into without changing its class, if the scores agree."""

import tensorflow as tf


def _zoom(image):
    """The middle 7/8 of the picture at the picture's size."""
    height, width = image.shape[0], image.shape[1]
    top, left = height // 16, width // 16
    return tf.image.resize(image[top : height - top, left : width - left], (height, width))


# name -> function of a float image (height, width, channels); each keeps the shape
VIEWS = {
    "identity": lambda image: image,
    "hflip": tf.image.flip_left_right,
    "vflip": tf.image.flip_up_down,
    "zoom": _zoom,
}
