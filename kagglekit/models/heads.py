"""From a feature map to class probabilities, and which layers are trained."""

import keras
from keras import layers

from kagglekit._checks import check_choice
from kagglekit.models.backbones import build_backbone, flat_layers

# task -> what makes probabilities, or numbers, of the head's sums
ACTIVATIONS = {"single_label": "softmax", "multi_label": "sigmoid", "distribution": "softmax", "regression": None}


def build_classifier(
    num_classes,
    *,
    backbone="efficientnet_lite0",
    weights="imagenet",
    image_size=224,
    channels=3,
    pooling="avg",
    dropout=0.2,
):
    """Build an image classifier that takes raw pixels and gives probabilities.

    The model consists of Keras's own layers alone, the normalisation included, so that it loads and predicts wherever
    Keras is, without this library. Its layer `backbone` gives the feature map, its layer `features` the pooled vector.

    Args:
        num_classes: number of classes, 2 or more.
        backbone: a name that `list_backbones` lists.
        weights: `"imagenet"`, `None` or a file, see `kagglekit.models.backbones.build_backbone`.
        image_size: `(height, width)` in pixels, or an integer for a square.
        channels: 1 or 3.
        pooling: `"avg"` or `"max"` over the feature map.
        dropout: share of the pooled features that is dropped in training, 0 to less than 1.

    Returns:
        `keras.Model`, not compiled: `(batch, height, width, channels)` float pixels in `[0, 255]` to float32
        probabilities `(batch, num_classes)`.

    Example:

    >>> model = build_classifier(10, backbone="small_cnn", weights=None, image_size=16, channels=1)
    >>> model.input_shape, model.output_shape
    ((None, 16, 16, 1), (None, 10))
    """
    if num_classes < 2:
        raise ValueError(f"expected num_classes of 2 or more, got {num_classes}")
    extractor = build_extractor(backbone, weights=weights, image_size=image_size, channels=channels, pooling=pooling)
    return add_head(extractor, num_classes, dropout=dropout)


def build_extractor(backbone="efficientnet_lite0", *, weights="imagenet", image_size=224, channels=3, pooling="avg"):
    """Build a network from raw pixels to a feature vector; the arguments are those of `build_classifier`.

    Returns:
        `keras.Model` with the layers `pixels`, `backbone` and `features`, not compiled.
    """
    check_choice("pooling", pooling, ("avg", "max"))
    extractor = build_backbone(backbone, image_size, channels=channels, weights=weights)
    inputs = keras.Input(extractor.input_shape[1:], name="pixels")
    pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
    return keras.Model(inputs, pool(name="features")(extractor(inputs)), name=backbone)


def add_head(extractor, outputs, *, task="single_label", dropout=0.2, offset=0.0, scale=1.0):
    """Put a head on an extractor.

    Args:
        extractor: a model of `build_extractor`.
        outputs: number of classes, labels or values.
        task: `"single_label"` or `"distribution"` (softmax), `"multi_label"` (sigmoids) or `"regression"` (numbers).
        dropout: share of the features that is dropped in training, 0 to less than 1.
        offset, scale: of a regression: the head starts with numbers around `offset` and learns in units of `scale`
            (the targets' mean and standard deviation), floats or one for each output.

    Returns:
        `keras.Model`, not compiled: pixels to float32 `(batch, outputs)`.

    Example:

    >>> add_head(build_extractor("small_cnn", weights=None, image_size=16), 3, task="multi_label").output_shape
    (None, 3)
    """
    check_choice("task", task, ACTIVATIONS)
    x = layers.Dropout(dropout, name="dropout")(extractor.output)
    # float32 whatever the policy: under mixed precision the softmax would be half precision
    x = layers.Dense(outputs, activation=ACTIVATIONS[task], dtype="float32", name="probabilities")(x)
    if task == "regression":
        x = layers.Rescaling(scale, offset, dtype="float32", name="values")(x)
    return keras.Model(extractor.input, x, name=f"{extractor.name}_classifier")


def freeze_backbone(model):
    """Train the head alone. Frozen batch normalisation runs in inference mode and keeps its statistics (Keras's rule).

    Compile the model afterwards: `trainable` is read then.
    """
    model.get_layer("backbone").trainable = False


def unfreeze_backbone(model, share=1.0, *, batch_norm=False):
    """Train the head and the last layers of the backbone.

    Args:
        model: a model of `build_classifier`.
        share: share of the backbone's layers, counted from the head, 0 to 1.
        batch_norm: train the batch normalisation of these layers too. False keeps it in inference mode: small batches
            of a small data set would spoil ImageNet's statistics. A network that starts from random weights needs True.

    Returns:
        Number of the backbone's layers with weights that are now trained.

    Example:

    >>> model = build_classifier(3, backbone="small_cnn", weights=None, image_size=16)
    >>> unfreeze_backbone(model, 0.5, batch_norm=True)
    6
    """
    if not 0 <= share <= 1:
        raise ValueError(f"expected share from 0 to 1, got {share}")
    backbone = model.get_layer("backbone")
    backbone.trainable = True
    weighted = [layer for layer in flat_layers(backbone) if layer.weights]
    first = len(weighted) - round(share * len(weighted))
    for number, layer in enumerate(weighted):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number >= first and (batch_norm or not is_norm)
    return sum(layer.trainable for layer in weighted)


def split_at_features(model):
    """Split a classifier at its layer `features` into two models that share its layers.

    While the backbone is frozen the first half gives the same vector in every epoch, so it need be computed only once.

    Returns:
        `(extractor, head)`: pixels to `(batch, filters)`, and those to probabilities.
    """
    features = model.get_layer("features").output
    return keras.Model(model.input, features, name="extractor"), keras.Model(features, model.output, name="head")
