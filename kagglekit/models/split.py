"""A network in two halves that share its layers: what is frozen below, what is trained above."""

import math
import warnings

import keras

from kagglekit.models.keras_graph import calls, source_of


def split_at_features(model):
    """Split a classifier at its layer `features`: below lies its backbone, above its head.

    While the backbone is frozen the first half gives the same vector in every epoch, so it need be computed only once.

    Args:
        model: a model of `build_classifier`.

    Returns:
        `(extractor, head)`: pixels to `(batch, filters)`, and those to probabilities. Where `model` takes metadata
        beside the pixels, the latter takes a dict of these and of `features`.
    """
    features = model.get_layer("features").output
    head = _above(model, features)
    if not isinstance(model.input, dict):
        return keras.Model(model.input, features, name="extractor"), head
    inputs = keras.Input(features.shape[1:], name="features")
    named = keras.Model(_taken(model, inputs), head(_taken(model, inputs)), name="head")
    return keras.Model(model.input["pixels"], features, name="extractor"), named


def split_below_trained(model):
    """Split a classifier inside its backbone, below the first layer that is trained.

    The cut lies where one tensor carries all: of such places the last whose tensor is at most twice the smallest, since
    activations are to be kept. Layers between it and the first trained one are computed again in each step.

    Args:
        model: a model of `build_classifier`, its layers made trainable or not.

    Returns:
        `(lower, upper)`: pixels to activations, and those to what `model` gives; with metadata as `split_at_features`.

    Raises:
        ValueError: if no layer with weights lies below such a place, or layers below the backbone are trained.

    Example:

    >>> from kagglekit.models.heads import build_classifier, unfreeze_backbone
    >>> model = build_classifier(3, backbone="small_cnn", weights=None, image_size=16)
    >>> layers = unfreeze_backbone(model, 0.4)
    >>> [half.output_shape for half in split_below_trained(model)]
    [(None, 4, 4, 48), (None, 3)]
    """
    backbone = model.get_layer("backbone")
    lower, upper = _halves(backbone)
    if lower is None:
        raise ValueError(
            "the backbone has no place below its first trained layer where one tensor carries all; use a smaller "
            "unfrozen_layers, or cached_views=0"
        )
    pixels = model.input["pixels"] if isinstance(model.input, dict) else model.input
    before = calls(backbone)[-1].inputs[0]
    if before is not pixels:  # a network of one's own may do something to the pixels first
        trained = keras.Model(pixels, before).trainable_variables
        if trained:
            raise ValueError(
                f"layers below the backbone are trained ({trained[0].path}), so nothing above them can be kept; make "
                "them not trainable, or use cached_views=0"
            )
        lower = keras.Model(pixels, lower(before))
    above = _above(model, _called(backbone))
    inputs = keras.Input(lower.output_shape[1:], name="features")
    return lower, keras.Model(_taken(model, inputs), above(_taken(model, upper(inputs))), name="upper")


def _taken(model, features):
    """What an upper half takes: features alone, or a dict of them and of the inputs of `model` beside the pixels."""
    if not isinstance(model.input, dict):
        return features
    return {name: tensor for name, tensor in model.input.items() if name != "pixels"} | {"features": features}


def _above(model, features):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")  # features are no input yet
        return keras.Model(_taken(model, features), model.output, name="head")


def _halves(network):
    """The halves of a network of one input and one output; None for one without a place to cut."""
    operations = getattr(network, "operations", [])  # a Sequential has none
    first = next((n for n, each in enumerate(operations) if getattr(each, "trainable_variables", ())), len(operations))
    bottlenecks = [n for n in _bottlenecks(operations) if n < first]
    mixed = operations[first] if first < len(operations) else None
    if isinstance(mixed, keras.Model) and first - 1 in bottlenecks:  # a network of keras.applications: cut it inside
        lower, upper = _halves(mixed)
        if lower is not None:
            inputs = keras.Input(lower.output_shape[1:])
            outputs = upper(inputs)
            if mixed is not operations[-1]:
                outputs = keras.Model(_called(mixed), network.output)(outputs)
            before = operations[first - 1].output
            return keras.Model(network.input, lower(before)), keras.Model(inputs, outputs)
    weighted = [n for n, each in enumerate(operations) if getattr(each, "weights", ())]
    tensors = [operations[place].output for place in bottlenecks if weighted and place >= weighted[0]]
    if not tensors:
        return None, None
    sizes = [math.prod(tensor.shape[1:]) for tensor in tensors]
    cut = next(tensor for tensor, size in zip(tensors[::-1], sizes[::-1], strict=True) if size <= 2 * min(sizes))
    return keras.Model(network.input, cut), keras.Model(cut, network.output)


def _bottlenecks(operations):
    """Numbers of the operations, in the order of the graph, whose output is all that later ones use."""
    number = {id(operation): place for place, operation in enumerate(operations)}
    last_use = list(range(len(operations)))
    for place, operation in enumerate(operations):
        for tensor in calls(operation)[0].inputs:
            last_use[number[id(source_of(tensor))]] = place
    found, furthest = [], 0
    for place, last in enumerate(last_use):
        if furthest <= place:
            found.append(place)
        furthest = max(furthest, last)
    return found


def _called(network):
    """The tensor that a nested network gives in the graph around it."""
    return calls(network)[-1].outputs[0]
