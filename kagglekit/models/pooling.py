"""From a feature map to a vector, with Keras's own layers alone."""

import keras
from keras import layers, ops

POOLINGS = ("avg", "max", "concat", "gem")


def pool(feature_map, pooling):
    """Pool a feature map over its positions; the last layer is named `features`.

    Args:
        feature_map: Keras tensor of shape `(batch, height, width, filters)`.
        pooling: `"avg"`, `"max"`, `"concat"` (both, twice as many features) or `"gem"` (generalised mean).

    Returns:
        Keras tensor of shape `(batch, filters)`, for `"concat"` `(batch, 2 * filters)`.
    """
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name="features")(feature_map)
    if pooling == "max":
        return layers.GlobalMaxPooling2D(name="features")(feature_map)
    if pooling == "gem":
        return _generalised_mean(feature_map)
    both = [
        layers.GlobalAveragePooling2D(name="average")(feature_map),
        layers.GlobalMaxPooling2D(name="maximum")(feature_map),
    ]
    return layers.Concatenate(name="features")(both)


def _generalised_mean(feature_map):
    """`mean(x ** p) ** (1 / p)` with one learnable p, at first 3: 1 is the average, infinity the maximum.

    `x ** p` is `exp(p log x)`, so p is the one weight of a Dense layer without bias; applied to ones it gives p. Values
    below 1e-6 count as 1e-6: the formula is for activations of at least 0. All in float32, since the cubes of small
    activations vanish in half precision.

    Reference: F. Radenovic et al., https://arxiv.org/abs/1711.02512, equation 3.
    """
    power = layers.Dense(
        1, use_bias=False, kernel_initializer=keras.initializers.Constant(3.0), dtype="float32", name="gem_power"
    )
    logarithm = ops.log(ops.maximum(ops.cast(feature_map, "float32"), 1e-6))
    mean = ops.mean(ops.exp(power(ops.expand_dims(logarithm, -1))), axis=(1, 2))
    root = ops.log(mean) / power(ops.ones_like(mean))
    return layers.Activation("linear", name="features")(ops.squeeze(ops.exp(root), -1))
