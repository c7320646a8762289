"""The networks of keras.applications, from their first convolution on."""

import inspect
import os
import re
from pathlib import Path

import keras

from kagglekit._backbones import APPLICATIONS


def cached_file(cls):
    """Return where keras.applications keeps the weights of a class; Keras has no public name for the folder."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / APPLICATIONS[cls].file


def build_body(cls, shape, weights=None):
    """Build a network without head and without the scaling that Keras puts into some of them.

    Keras adds a Rescaling layer to EfficientNet-B only for `weights="imagenet"` (tensorflow#62193) and drops the
    Normalization of EfficientNetV2-B and ConvNeXt for other than three channels, so all of them get our own scaling.

    Args:
        cls: name of a class in keras.applications.
        shape: `(height, width, channels)`.
        weights: None, `"imagenet"` or the path of a "notop" file.

    Returns:
        `keras.Model` from normalised pixels to the feature map.
    """
    network_class = getattr(keras.applications, cls)
    arguments = inspect.signature(network_class).parameters
    options = {"include_preprocessing": False} if "include_preprocessing" in arguments else {}
    network = network_class(include_top=False, weights=weights, input_shape=tuple(shape), **options)
    scaled_inside = re.fullmatch(r"EfficientNetB\d", cls)
    first = network.get_layer("stem_conv_pad").input if scaled_inside else network.input
    return keras.Model(first, network.output, name=cls.lower())
