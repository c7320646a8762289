"""Raw pixels to the range that a network's weights were trained on, as the network's first layer."""

from keras import layers, ops

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# name -> (scale, offset), for all channels or for each of three; the channels of "caffe" are in the order BGR.
# Sources: `preprocess_input` of keras.applications (modes "torch", "tf" and "caffe"), its EfficientNetV2-S, M and L
# (half), and for lite https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
NORMALISATIONS = {
    "imagenet": (
        [1 / (255 * std) for std in _STD],
        [-mean / std for mean, std in zip(_MEAN, _STD, strict=True)],
    ),
    "symmetric": (1 / 127.5, -1.0),
    "half": (1 / 128, -1.0),
    "lite": (1 / 128, -127 / 128),
    "caffe": ([1.0, 1.0, 1.0], [-103.939, -116.779, -123.68]),
}


def normalise(pixels, name):
    """Scale raw pixels with a layer named `normalise`, and put the first three channels in caffe's order where needed.

    Args:
        pixels: Keras tensor of shape `(batch, height, width, channels)`, 0 to 255, colours as RGB.
        name: a key of `NORMALISATIONS`, or a pair `(scale, offset)`.

    Returns:
        Keras tensor of the same shape.
    """
    scale, offset = NORMALISATIONS[name] if isinstance(name, str) else name
    channels = pixels.shape[-1]
    if name == "caffe" and channels >= 3:
        pixels = ops.take(pixels, [2, 1, 0, *range(3, channels)], axis=-1)
    return layers.Rescaling(for_channels(scale, channels), for_channels(offset, channels), name="normalise")(pixels)


def for_channels(values, channels):
    """Extend three channels' values to any number of channels, as `loading.inflate` does with the first layer.

    Fewer than three take green's, the middle of the three; further ones the mean of red's and blue's.

    Example:

    >>> for_channels([1.0, 2.0, 5.0], 4), for_channels([1.0, 2.0, 5.0], 1), for_channels(0.5, 4)
    ([1.0, 2.0, 5.0, 3.0], 2.0, 0.5)
    """
    if not isinstance(values, list | tuple):
        return values
    if channels < 3:
        return values[1]
    return [*values, *[(values[0] + values[2]) / 2] * (channels - 3)]
