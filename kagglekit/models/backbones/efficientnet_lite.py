"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation and with ReLU6, made for phones and CPUs.

References: M. Tan, Q. Le, "EfficientNet" (https://arxiv.org/abs/1905.11946); the Lite variants (fixed stem and head,
first and last stage not deepened): https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

import math

import keras
from keras import layers

from kagglekit.models.torch_weights import read_state_dict

# name -> width factor, depth factor
VARIANTS = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
# kernel, repeats, filters, expansion, stride: table 1 of the paper
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)


def efficientnet_lite(variant, inputs, *, include_top=False):
    """Build the network on a tensor that is already normalised as `(pixel - 127) / 128`.

    Args:
        variant: a key of `VARIANTS`.
        inputs: Keras tensor of shape `(batch, height, width, channels)`.
        include_top: add ImageNet's pooling and 1,000-way softmax. Defaults to False.

    Returns:
        Keras tensor: the feature map `(batch, height / 32, width / 32, 1280)`, or probabilities `(batch, 1000)`.
    """
    width, depth = VARIANTS[variant]
    x = _conv(inputs, 32, 3, strides=2, name="stem_conv")
    x = _relu6(_norm(x, "stem_bn"))
    block = 0
    for number, (kernel, repeats, filters, expansion, stride) in enumerate(_STAGES):
        if 0 < number < len(_STAGES) - 1:
            repeats = math.ceil(repeats * depth)
        for repeat in range(repeats):
            x = _block(x, f"block{block}", kernel, _rounded(filters * width), expansion, stride if repeat == 0 else 1)
            block += 1
    x = _relu6(_norm(_conv(x, 1280, 1, name="head_conv"), "head_bn"))
    if include_top:
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dense(1000, activation="softmax", name="fc")(x)
    return x


def load_torch_weights(model, path):
    """Load a PyTorch state dict into a model made of `efficientnet_lite`, by name; `fc` is not needed.

    Raises:
        ValueError: naming the tensor that is missing or whose shape does not fit.
    """
    tensors = read_state_dict(path)
    for layer in model.layers:
        if not layer.weights:
            continue
        torch_name = _torch_name(layer.name)
        suffixes = ("weight", "bias", "running_mean", "running_var")
        names = [f"{torch_name}.{suffix}" for suffix in suffixes if f"{torch_name}.{suffix}" in tensors]
        values = [_to_keras_order(tensors[name], layer) for name in names]
        expected = [tuple(weight.shape) for weight in layer.weights]
        if [value.shape for value in values] != expected:
            raise ValueError(
                f"{path}: {torch_name} has shapes {[tensors[name].shape for name in names]}, the network's layer "
                f"{layer.name!r} needs {expected}; does the file belong to another variant?"
            )
        layer.set_weights(values)


def _torch_name(layer_name):
    torch_names = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "head_conv": "_conv_head",
        "head_bn": "_bn1",
        "fc": "_fc",
    }
    if layer_name in torch_names:
        return torch_names[layer_name]
    block, _, part = layer_name.partition("_")
    return f"_blocks.{block.removeprefix('block')}._{part}"


def _to_keras_order(tensor, layer):
    if tensor.ndim == 4:  # (out, in, height, width); a depthwise kernel has in = 1
        return tensor.transpose((2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0))
    return tensor.T


def _block(inputs, name, kernel, filters, expansion, stride):
    x = inputs
    if expansion != 1:
        x = _conv(x, x.shape[-1] * expansion, 1, name=f"{name}_expand_conv")
        x = _relu6(_norm(x, f"{name}_bn0"))
    x = layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise_conv",
    )(x)
    x = _relu6(_norm(x, f"{name}_bn1"))
    x = _norm(_conv(x, filters, 1, name=f"{name}_project_conv"), f"{name}_bn2")
    return layers.Add()([x, inputs]) if stride == 1 and inputs.shape[-1] == filters else x


def _conv(x, filters, kernel, *, name, strides=1):
    convolution = layers.Conv2D(
        filters, kernel, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )
    return convolution(x)


def _norm(x, name):
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)(x)


def _relu6(x):
    return keras.layers.ReLU(max_value=6.0)(x)


def _rounded(filters, divisor=8):
    """Round to a multiple of 8, never more than a tenth down."""
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * filters else rounded
