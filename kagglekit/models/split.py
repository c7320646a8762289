"""Split a network into two halves that share its layers: a frozen lower one and a trained upper one."""

import math
import warnings

import keras

from kagglekit.models.keras_graph import calls, source_of


def split_at_features(model):
    """Split a classifier at its layer `features` into its backbone and its head.

    While the backbone is frozen, the first half gives the same vector in every epoch, so it is computed only once.

    Args:
        model: a model of `build_classifier`.

    Returns:
        `(extractor, head)`: pixels to `(batch, filters)`, and those to probabilities. Where `model` takes metadata
        beside the pixels, the head takes a dict of the metadata and of `features`.
    """
    features = model.get_layer("features").output
    head = _upper_network(model, features)
    if not isinstance(model.input, dict):
        return keras.Model(model.input, features, name="extractor"), head
    inputs = keras.Input(features.shape[1:], name="features")
    named_head = keras.Model(_upper_inputs(model, inputs), head(_upper_inputs(model, inputs)), name="head")
    return keras.Model(model.input["pixels"], features, name="extractor"), named_head


def split_below_trained(model):
    """Split a classifier inside its backbone, below the first layer that is trained.

    The cut is made where a single tensor connects the halves. Of all such places it is the last whose tensor is at most
    twice as large as the smallest one, since these activations are cached. Layers between the cut and the first trained
    one are computed again in each step.

    Args:
        model: a model of `build_classifier`, its layers made trainable or not.

    Returns:
        `(lower, upper)`: pixels to activations, and those to the model's output; metadata as in `split_at_features`.

    Raises:
        ValueError: if no layer with weights is below such a place, or layers below the backbone are trained.

    Example:

    >>> from kagglekit.models.heads import build_classifier, unfreeze_backbone
    >>> model = build_classifier(3, backbone="small_cnn", weights=None, image_size=16)
    >>> layers = unfreeze_backbone(model, 0.4)
    >>> [half.output_shape for half in split_below_trained(model)]
    [(None, 4, 4, 48), (None, 3)]
    """
    backbone = model.get_layer("backbone")
    lower, upper = _cut(backbone)
    if lower is None:
        raise ValueError(
            "the backbone has no place below its first trained layer where a single tensor connects both halves; use a "
            "smaller unfrozen_layers, or cached_views=0"
        )
    pixels = model.input["pixels"] if isinstance(model.input, dict) else model.input
    backbone_input = calls(backbone)[-1].inputs[0]
    if backbone_input is not pixels:  # a custom network may transform the pixels first
        trained_below = keras.Model(pixels, backbone_input).trainable_variables
        if trained_below:
            raise ValueError(
                f"layers below the backbone are trained ({trained_below[0].path}), so nothing above them can be "
                "cached; set trainable = False on them, or use cached_views=0"
            )
        lower = keras.Model(pixels, lower(backbone_input))
    head = _upper_network(model, _output_of(backbone))
    inputs = keras.Input(lower.output_shape[1:], name="features")
    return lower, keras.Model(_upper_inputs(model, inputs), head(_upper_inputs(model, upper(inputs))), name="upper")


def _upper_inputs(model, features):
    """Return the inputs of an upper half: features alone, or a dict of them and of the metadata that `model` takes."""
    if not isinstance(model.input, dict):
        return features
    return {name: tensor for name, tensor in model.input.items() if name != "pixels"} | {"features": features}


def _upper_network(model, features):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")  # features are not an input yet
        return keras.Model(_upper_inputs(model, features), model.output, name="head")


def _cut(network):
    """Return the halves of a network with one input and one output, or `(None, None)` if it has no place to cut."""
    operations = getattr(network, "operations", [])  # a Sequential has none
    first_trained = next(
        (n for n, operation in enumerate(operations) if getattr(operation, "trainable_variables", ())), len(operations)
    )
    bottlenecks = [n for n in _bottlenecks(operations) if n < first_trained]
    nested = operations[first_trained] if first_trained < len(operations) else None
    # A network of keras.applications is nested: cut it inside
    if isinstance(nested, keras.Model) and first_trained - 1 in bottlenecks:
        lower, upper = _cut(nested)
        if lower is not None:
            inputs = keras.Input(lower.output_shape[1:])
            outputs = upper(inputs)
            if nested is not operations[-1]:
                outputs = keras.Model(_output_of(nested), network.output)(outputs)
            nested_input = operations[first_trained - 1].output
            return keras.Model(network.input, lower(nested_input)), keras.Model(inputs, outputs)
    with_weights = [n for n, operation in enumerate(operations) if getattr(operation, "weights", ())]
    tensors = [operations[position].output for position in bottlenecks if with_weights and position >= with_weights[0]]
    if not tensors:
        return None, None
    sizes = [math.prod(tensor.shape[1:]) for tensor in tensors]
    cut = next(tensor for tensor, size in zip(tensors[::-1], sizes[::-1], strict=True) if size <= 2 * min(sizes))
    return keras.Model(network.input, cut), keras.Model(cut, network.output)


def _bottlenecks(operations):
    """Return the positions, in the order of the graph, of operations whose output is all that later ones use."""
    position_of = {id(operation): position for position, operation in enumerate(operations)}
    last_use = list(range(len(operations)))
    for position, operation in enumerate(operations):
        for tensor in calls(operation)[0].inputs:
            last_use[position_of[id(source_of(tensor))]] = position
    bottlenecks, furthest_use = [], 0
    for position, used_until in enumerate(last_use):
        if furthest_use <= position:
            bottlenecks.append(position)
        furthest_use = max(furthest_use, used_until)
    return bottlenecks


def _output_of(network):
    """Return the output of a nested network in the graph around it."""
    return calls(network)[-1].outputs[0]
