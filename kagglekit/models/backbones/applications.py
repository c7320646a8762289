"""The networks of keras.applications, from their first convolution on."""

import inspect
import os
import re
from pathlib import Path

import keras

from kagglekit._backbones import APPLICATIONS


def cached_file(cls):
    """Path where keras.applications keeps the weights of a class; Keras has no public name for the folder."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / APPLICATIONS[cls].file


def build_body(cls, shape, weights=None):
    """Build a network without head and without the scaling that Keras puts into some of them.

    Keras adds a Rescaling layer to EfficientNet-B only for `weights="imagenet"` (tensorflow#62193) and drops the
    Normalization of EfficientNetV2-B and ConvNeXt beside three channels, so the scaling is ours for all of them.

    Args:
        cls: name of a class in keras.applications.
        shape: `(height, width, channels)`.
        weights: None, `"imagenet"` or the path of a "notop" file.

    Returns:
        `keras.Model` from normalised pixels to the feature map.
    """
    make = getattr(keras.applications, cls)
    plain = {"include_preprocessing": False} if "include_preprocessing" in inspect.signature(make).parameters else {}
    network = make(include_top=False, weights=weights, input_shape=tuple(shape), **plain)
    scaled_inside = re.fullmatch(r"EfficientNetB\d", cls)
    first = network.get_layer("stem_conv_pad").input if scaled_inside else network.input
    return keras.Model(first, network.output, name=cls.lower())
