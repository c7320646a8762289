"""From a feature map to class probabilities, and which layers are trained."""

import math

import keras
from keras import layers, ops

from kagglekit._checks import check_choice
from kagglekit.models.backbones import build_backbone, flat_layers
from kagglekit.models.pooling import POOLINGS, pool
from kagglekit.tasks import SINGLE_LABEL, find_task

HEAD = {"kind": "linear", "multi_dropout": 1, "neck": "none"}
KINDS = ("linear", "cosine", "ordinal")
NECKS = ("none", "batch_norm")
# For the ordinal head. Of the gains 10, 20 and 40, 20 did best on toy datasets of 96 and 1280 features, 3 to 10 grades,
# AdamW and SGD: a smaller one is slow, a larger one overshoots.
_GAIN, _STEP = 20.0, 2.0


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
    """Build an image classifier from raw pixels to probabilities.

    The model consists of Keras's own layers alone, the normalisation included, so that it loads and predicts wherever
    Keras is installed, without this library. Its layer `backbone` gives the feature map, its layer `features` the
    pooled vector.

    It is short for `add_head(build_extractor(...), num_classes, ...)`, which take the other knobs of a `Recipe` as
    well: activation and initialiser of a network from scratch, parallel dropouts, a neck, a cosine or an ordinal head.

    Args:
        num_classes: number of classes, 2 or more.
        backbone: a name that `list_backbones` lists, or any other that `build_backbone` takes.
        weights: `"imagenet"`, `None`, a file or a folder, see `kagglekit.models.backbones.build_backbone`.
        image_size: `(height, width)` in pixels, or an integer for a square.
        channels: number of channels.
        pooling: `"avg"`, `"max"`, `"concat"` (both) or `"gem"` (generalised mean) over the feature map.
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


def build_extractor(
    backbone="efficientnet_lite0",
    *,
    weights="imagenet",
    image_size=224,
    channels=3,
    pooling="avg",
    activation="relu",
    initializer="he_normal",
):
    """Build a network from raw pixels to a feature vector.

    Args:
        backbone, weights, image_size, channels, pooling: as in `build_classifier`.
        activation, initializer: of a network from scratch, as in `build_backbone`.

    Returns:
        `keras.Model` with the layers `pixels`, `backbone` and `features`, not compiled.
    """
    check_choice("pooling", pooling, POOLINGS)
    extractor = build_backbone(
        backbone, image_size, channels=channels, weights=weights, activation=activation, initializer=initializer
    )
    inputs = keras.Input(extractor.input_shape[1:], name="pixels")
    return keras.Model(inputs, pool(extractor(inputs), pooling), name=_model_name(backbone))


def add_head(extractor, outputs, *, task=SINGLE_LABEL, dropout=0.2, offset=0.0, scale=1.0, head=None):
    """Put a head on an extractor.

    Args:
        extractor: a model of `build_extractor`, or of `kagglekit.models.metadata.add_metadata`.
        outputs: number of classes, labels or values.
        task: a `kagglekit.tasks.Task` or its name, such as `"single_label"` (softmax), `"multi_label"` (sigmoids) or
            `"regression"` (numbers).
        dropout: share of the features that is dropped in training, 0 to less than 1.
        offset, scale: for a regression: the head starts with values around `offset` and learns in units of `scale`
            (the targets' mean and standard deviation), floats or one for each output.
        head: dict of further knobs; a knob that is left out keeps its default:

            - `kind`: `"linear"`, `"cosine"` (its outputs are cosines, for a loss with a margin such as ArcFace; see
              `with_probabilities`) or `"ordinal"` (classes that are numbered in their natural order, such as the
              grades of a disease: it cuts one severity into classes, so it learns less from any other numbering).
            - `multi_dropout`: number of parallel dropouts whose results are averaged, 1 to 16; five of 0.5 won the
              melanoma competition.
            - `neck`: `"none"` or `"batch_norm"` between features and head (https://arxiv.org/abs/1903.07071).

    Returns:
        `keras.Model`, not compiled: pixels to float32 `(batch, outputs)`.

    Raises:
        ValueError: for an unknown task or knob, or a kind that does not suit the task.

    Example:

    >>> extractor = build_extractor("small_cnn", weights=None, image_size=16)
    >>> add_head(extractor, 3, task="multi_label").output_shape
    (None, 3)
    >>> add_head(extractor, 5, dropout=0.5, head={"kind": "ordinal", "multi_dropout": 5}).output_shape
    (None, 5)
    """
    task = find_task(task)
    knobs = HEAD | (head or {})
    for knob in knobs:
        check_choice("a knob of head", knob, HEAD)
    check_choice("kind", knobs["kind"], KINDS)
    check_choice("neck", knobs["neck"], NECKS)
    if knobs["kind"] not in task.heads:
        raise ValueError(
            f"a head of kind {knobs['kind']!r} is not for the task {task!r}; expected one of {list(task.heads)}"
        )
    x = extractor.output
    if knobs["neck"] == "batch_norm":
        x = layers.BatchNormalization(center=False, momentum=0.9, name="neck")(x)
    x = _dropout(x, dropout, knobs["multi_dropout"])
    if knobs["kind"] == "ordinal":
        x = _ordinal(x, outputs)
    elif knobs["kind"] == "cosine":
        x = _cosines(x, outputs)
    else:
        # float32 whatever the policy: under mixed precision the softmax would be half precision
        x = layers.Dense(outputs, activation=task.activation, dtype="float32", name="probabilities")(x)
    if task.activation is None:
        x = layers.Rescaling(scale, offset, dtype="float32", name="values")(x)
    return keras.Model(extractor.input, x, name=f"{extractor.name}_classifier")


def with_probabilities(model, scale=30.0):
    """Return a network with a cosine head as one that gives probabilities; other networks are returned unchanged.

    Train the network of cosines (the margin is part of the loss), evaluate and save this one; they share their layers.

    Args:
        model: a model of `add_head`.
        scale: the loss's factor on the cosines; 30 in https://arxiv.org/abs/1801.09414 and in Recursion's winner.

    Example:

    >>> model = add_head(build_extractor("small_cnn", weights=None, image_size=16), 3, head={"kind": "cosine"})
    >>> model.layers[-1].name, with_probabilities(model).layers[-1].name
    ('cosines', 'probabilities')
    """
    if model.layers[-1].name != "cosines":
        return model
    x = layers.Rescaling(scale, dtype="float32", name="scaled_cosines")(model.output)
    return keras.Model(model.input, layers.Softmax(dtype="float32", name="probabilities")(x), name=model.name)


def _model_name(name):
    """Return a model name made from a backbone's name: Keras allows no slash in it."""
    return str(name).replace("/", "_").replace(":", "_")


def _dropout(x, rate, count):
    """Dropout, or the average of several: before a linear layer that equals the average of the layer's results."""
    if type(count) is not int or not 1 <= count <= 16:
        raise ValueError(f"expected multi_dropout to be a whole number from 1 to 16, got {count!r}")
    if count == 1:
        return layers.Dropout(rate, name="dropout")(x)
    return layers.Average(name="dropout")([layers.Dropout(rate, name=f"dropout{n}")(x) for n in range(count)])


def _cosines(x, outputs):
    """The cosines of the angles between the features and a direction for each class.

    The directions are the columns of a Dense layer's kernel; a constraint keeps them at length 1.

    Reference: the normalised softmax of https://arxiv.org/abs/1801.07698 (ArcFace), section 2.1.
    """
    x = layers.UnitNormalization(dtype="float32", name="directions")(x)
    unit_length = keras.constraints.UnitNorm(axis=0)
    dense = layers.Dense(outputs, use_bias=False, kernel_constraint=unit_length, dtype="float32", name="cosines")
    cosines = dense(x)
    dense.kernel.assign(unit_length(dense.kernel))  # a constraint acts after a step, so not on the initial values
    return cosines


def _ordinal(x, outputs):
    """Proportional odds: one severity, cut into classes at learnt cut points that keep their order.

    `P(class > k) = sigmoid(severity - cut_k)`; the cuts are sums of positive steps, the weights of a Dense layer that
    sees ones. Three things let it learn at the learning rates that suit a linear head:

    - The steps start at 2. Up to 2 ln 2 = 1.39 a class between two others is nowhere the most probable one.
    - A linear head tells classes apart by small differences of its outputs, but the severity has to travel across all
      steps: it starts in their middle for every image and is multiplied by `_GAIN` / sqrt(features).
    - The probabilities are the softmax of their logarithms, for which Keras computes an exact gradient. Differences
      of sigmoids are 0 in float32 for an image far on the wrong side, and so is their gradient.

    Reference: P. McCullagh, "Regression models for ordinal data", 1980. The logarithm of a difference is that of
    `sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))`.
    """
    severity = layers.Dense(1, kernel_initializer="zeros", dtype="float32", name="severity")(x)
    gain, middle = _GAIN / math.sqrt(x.shape[-1]), _STEP * outputs / 2
    severity = layers.Rescaling(gain, middle, dtype="float32", name="severity_in_steps")(severity)
    initializer = keras.initializers.Constant(math.log(math.expm1(_STEP)))
    steps = layers.Dense(
        outputs - 1, use_bias=False, kernel_initializer=initializer, dtype="float32", name="ordinal_steps"
    )
    steps = ops.softplus(steps(ops.ones_like(severity)))
    margins = severity - ops.cumsum(steps, axis=-1)
    log_above, log_below = ops.log_sigmoid(margins), ops.log_sigmoid(-margins)
    log_between = log_above[:, :-1] + log_below[:, 1:] + ops.log(-ops.expm1(-steps[:, 1:]))
    log_probabilities = ops.concatenate([log_below[:, :1], log_between, log_above[:, -1:]], axis=-1)
    return layers.Activation("softmax", dtype="float32", name="probabilities")(log_probabilities)


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
            of a small dataset would spoil ImageNet's statistics. A network that starts from random weights needs True.

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
