"""A small convolutional network for images that are too small for a pretrained backbone."""

from keras import layers


def small_cnn(inputs, filters=(24, 48, 96), *, activation="relu", initializer="he_normal"):
    """Build stages of two 3x3 convolutions with batch normalisation, halved in size between them.

    Args:
        inputs: Keras tensor of shape `(batch, height, width, channels)`, 8x8 pixels or more, near `[-1, 1]`.
        filters: filters of each stage.
        activation: name of a Keras activation.
        initializer: name of a Keras initialiser of the kernels.

    Returns:
        Keras tensor of shape `(batch, height / 4, width / 4, filters[-1])`.

    Reference: the stage design of VGG (https://arxiv.org/abs/1409.1556) with batch normalisation
    (https://arxiv.org/abs/1502.03167).
    """
    x = inputs
    for stage, width in enumerate(filters):
        if stage:
            x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
        for number in (1, 2):
            name = f"stage{stage}_conv{number}"
            x = layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer=initializer, name=name)(x)
            # 0.9: runs of a few hundred steps must settle the moving averages
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
            x = _activate(x, activation, f"{name}_{activation}")
    return x


def _activate(x, activation, name):
    return layers.ReLU(name=name)(x) if activation == "relu" else layers.Activation(activation, name=name)(x)
