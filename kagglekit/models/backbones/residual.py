"""Residual networks for tiny images, trained from scratch: the next steps up from `small_cnn`."""

from keras import layers


def resnet18(inputs, *, activation="relu", initializer="he_normal"):
    """Build ResNet-18 with a first layer for tiny images: 3x3, without stride and pooling.

    Args:
        inputs: Keras tensor of shape `(batch, height, width, channels)`, 8x8 pixels or more, near `[-1, 1]`.
        activation: name of a Keras activation.
        initializer: name of a Keras initialiser of the kernels.

    Returns:
        Keras tensor of shape `(batch, height / 8, width / 8, 512)`.

    Reference: https://arxiv.org/abs/1512.03385 (table 1; the first layer of section 4.2), pre-activation blocks of
    https://arxiv.org/abs/1603.05027.
    """
    make = _LayerMaker(activation, initializer)
    x = make.conv(inputs, 64, "stem_conv")
    for stage, filters in enumerate((64, 128, 256, 512)):
        x = make.stage(x, filters, 2, 2 if stage else 1, f"stage{stage}")
    return make.norm(x, "top")


def wide_resnet(inputs, *, activation="relu", initializer="he_normal"):
    """Build the Wide-ResNet WRN-16-4: few, wide blocks, quicker to train than a deep and narrow network.

    Args:
        inputs: Keras tensor of shape `(batch, height, width, channels)`, 8x8 pixels or more, near `[-1, 1]`.
        activation: name of a Keras activation.
        initializer: name of a Keras initialiser of the kernels.

    Returns:
        Keras tensor of shape `(batch, height / 4, width / 4, 256)`.

    Reference: https://arxiv.org/abs/1605.07146 (table 1 with depth 16 and width 4).
    """
    make = _LayerMaker(activation, initializer)
    x = make.conv(inputs, 16, "stem_conv")
    for stage, filters in enumerate((64, 128, 256)):
        x = make.stage(x, filters, 2, 2 if stage else 1, f"stage{stage}")
    return make.norm(x, "top")


def residual_attention(inputs, *, activation="relu", initializer="he_normal"):
    """Build a small residual attention network: a mask, seen at half the size, weighs the features of each stage.

    Args:
        inputs: Keras tensor of shape `(batch, height, width, channels)`, 8x8 pixels or more, near `[-1, 1]`.
        activation: name of a Keras activation.
        initializer: name of a Keras initialiser of the kernels.

    Returns:
        Keras tensor of shape `(batch, height / 4, width / 4, 128)`.

    Reference: https://arxiv.org/abs/1704.06904: `(1 + mask) * trunk` (equation 3), one block before and one after the
    trunk of two and one on each side of the mask's middle (p = 1, t = 2, r = 1), one step down and up in a mask.
    """
    make = _LayerMaker(activation, initializer)
    x = make.conv(inputs, 16, "stem_conv")
    for stage, filters in enumerate((32, 64, 128)):
        x = make.stage(x, filters, 1, 2 if stage else 1, f"stage{stage}")
        x = make.attention(x, filters, f"stage{stage}_attention")
    return make.norm(x, "top")


class _LayerMaker:
    """Layers with the activation and initialiser of one network."""

    def __init__(self, activation, initializer):
        self.activation, self.initializer = activation, initializer

    def conv(self, x, filters, name, *, kernel=3, stride=1):
        convolution = layers.Conv2D(
            filters, kernel, stride, padding="same", use_bias=False, kernel_initializer=self.initializer, name=name
        )
        return convolution(x)

    def norm(self, x, name):
        # 0.9: runs of a few hundred steps must settle the moving averages
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        return layers.Activation(self.activation, name=f"{name}_{self.activation}")(x)

    def block(self, x, filters, stride, name):
        """Two 3x3 convolutions beside a shortcut, normalised and activated before each (pre-activation)."""
        y = self.norm(x, f"{name}_1")
        shortcut = x
        if stride != 1 or x.shape[-1] != filters:
            shortcut = self.conv(y, filters, f"{name}_shortcut", kernel=1, stride=stride)
        y = self.conv(y, filters, f"{name}_conv1", stride=stride)
        y = self.conv(self.norm(y, f"{name}_2"), filters, f"{name}_conv2")
        return layers.Add(name=f"{name}_add")([shortcut, y])

    def stage(self, x, filters, blocks, stride, name):
        for number in range(blocks):
            x = self.block(x, filters, 1 if number else stride, f"{name}_block{number}")
        return x

    def attention(self, x, filters, name):
        trunk = self.stage(x, filters, 2, 1, f"{name}_trunk")
        mask = layers.MaxPooling2D(3, 2, padding="same", name=f"{name}_down")(x)
        mask = self.stage(mask, filters, 2, 1, f"{name}_mask")
        mask = layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_up")(mask)
        excess = [up - side for up, side in zip(mask.shape[1:3], x.shape[1:3], strict=True)]  # 1 for odd sides
        mask = layers.Cropping2D(((0, excess[0]), (0, excess[1])), name=f"{name}_crop")(mask)
        mask = self.conv(self.norm(mask, f"{name}_out"), filters, f"{name}_out_conv", kernel=1)
        mask = layers.Activation("sigmoid", name=f"{name}_sigmoid")(mask)
        weighted = layers.Multiply(name=f"{name}_weighted")([mask, trunk])
        return self.block(layers.Add(name=f"{name}_add")([trunk, weighted]), filters, 1, f"{name}_last")
