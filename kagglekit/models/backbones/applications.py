"""The networks of keras.applications, from their first convolution on."""

import inspect
import os
import re
from pathlib import Path

import keras

# class -> (native size, smallest size, normalisation, file of the weights without head in Keras's cache). The pattern's
# group, in small letters, stands in the file's name. Sources: `preprocess_input`, `min_size` and the file names in
# https://github.com/keras-team/keras/tree/master/keras/src/applications.
_KERNELS = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
FAMILIES = {
    r"ConvNeXt(\w+)": (224, 32, "imagenet", "convnext_{}_notop.h5"),
    r"DenseNet(\d+)": (224, 32, "imagenet", "densenet{}" + _KERNELS),
    r"EfficientNet(B\d)": (224, 32, "imagenet", "efficientnet{}_notop.h5"),
    r"EfficientNetV2(B\d)": (224, 32, "imagenet", "efficientnetv2-{}_notop.h5"),
    r"EfficientNetV2([SML])": (384, 32, "half", "efficientnetv2-{}_notop.h5"),
    r"InceptionResNetV2()": (299, 75, "symmetric", "inception_resnet_v2" + _KERNELS),
    r"InceptionV3()": (299, 75, "symmetric", "inception_v3" + _KERNELS),
    r"MobileNet()": (224, 32, "symmetric", "mobilenet_1_0_224_tf_no_top.h5"),
    r"MobileNetV2()": (224, 32, "symmetric", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
    r"MobileNetV3(\w+)": (224, 32, "symmetric", "weights_mobilenet_v3_{}_224_1.0_float_no_top_v2.h5"),
    r"NASNet(Mobile)": (224, 32, "symmetric", "nasnet_{}_no_top.h5"),
    r"NASNet(Large)": (331, 32, "symmetric", "nasnet_{}_no_top.h5"),
    r"ResNet(\d+)": (224, 32, "caffe", "resnet{}" + _KERNELS),
    r"ResNet(\d+V2)": (224, 32, "symmetric", "resnet{}" + _KERNELS),
    r"VGG(\d+)": (224, 32, "caffe", "vgg{}" + _KERNELS),
    r"Xception()": (299, 71, "symmetric", "xception" + _KERNELS),
}
CLASSES = sorted(name for name in dir(keras.applications) if any(re.fullmatch(pattern, name) for pattern in FAMILIES))


def find_class(name):
    """Return the class of a name, whatever its capitals and underscores (`resnet_101_v2`), or None."""
    plain = str(name).replace("_", "").replace("-", "").lower()
    return next((cls for cls in CLASSES if cls.lower() == plain), None)


def facts(cls):
    """Return `(native size, smallest size, normalisation, file name)` of a class."""
    for pattern, (size, minimum, normalisation, file) in FAMILIES.items():
        match = re.fullmatch(pattern, cls)
        if match:
            return size, minimum, normalisation, file.format(match[1].lower())
    raise ValueError(f"keras.applications.{cls} is of no family that is known here: {', '.join(FAMILIES)}")


def cached_file(cls):
    """Path where keras.applications keeps the weights of a class; Keras has no public name for the folder."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / facts(cls)[3]


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
