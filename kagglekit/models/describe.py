"""What a network is made of and what one image costs."""

import math

import keras
import pandas as pd

from kagglekit.models.backbones import flat_layers
from kagglekit.models.keras_graph import calls

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def describe(model):
    """Say in a table what a network takes and gives, how large it is and what one image costs.

    Args:
        model: a `keras.Model` whose height and width are fixed, such as `build_classifier` makes.

    Returns:
        DataFrame with `part`, `value` and `unit`: input and final feature map (rule of thumb: 3x3 to 7x7), features,
        parameters, megabytes as float32, and billions of multiply-adds (GMACs) and of operations (GFLOPs, two to a
        multiply-add) for one image; the last line names what is not counted, if anything.

    Example:

    >>> from kagglekit.models.heads import build_classifier
    >>> table = describe(build_classifier(10, backbone="small_cnn", weights=None, image_size=16))
    >>> table.set_index("part").loc["final feature map", "value"]
    '4 x 4 x 96'
    """
    costs = layer_costs(model)
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    multiply_adds = costs["multiply_adds"].sum() / 1e9
    lines = [
        ("input", _shape(max((each.shape for each in model.inputs), key=len)), "pixels"),
        ("final feature map", _shape(_feature_map(model)), ""),
        ("output", _shape(model.outputs[0].shape), ""),
        ("layers with weights", int((costs["parameters"] > 0).sum()), ""),
        ("parameters", round(model.count_params() / 1e6, 2), "millions"),
        ("trained parameters", round(trained / 1e6, 2), "millions"),
        ("size as float32", round(model.count_params() * 4 / 2**20, 1), "MB"),
        ("multiply-adds", round(multiply_adds, 3), "GMACs"),
        ("operations", round(2 * multiply_adds, 3), "GFLOPs"),
    ]
    uncounted = costs.loc[costs["multiply_adds"].isna(), "layer"].tolist()
    if uncounted:
        lines.append(("not counted", ", ".join(uncounted), ""))
    return pd.DataFrame(lines, columns=["part", "value", "unit"])


def layer_costs(model):
    """Count the parameters and multiply-adds of each layer from its shapes.

    Convolutions and matrix products count; normalisation, activations and pooling do not, nor do they in published
    figures (https://arxiv.org/abs/1905.11946 and others call the same number FLOPS).

    Args:
        model: a `keras.Model` whose height and width are fixed.

    Returns:
        DataFrame with `layer`, `kind`, `output` (shape without the batch), `parameters` and `multiply_adds` (for one
        image; NaN for a layer with matrices that is not understood, such as one made of other layers).

    Raises:
        ValueError: if the model's height or width is open.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same", name="a")])
    >>> layer_costs(model)[["layer", "parameters", "multiply_adds"]].values.tolist()
    [['a', 112, 6912.0]]
    """
    lines = []
    for layer in flat_layers(model):
        shapes = _shapes(layer)
        if not shapes:
            continue
        output = shapes[0][1][1:]
        counted = [_multiply_adds(layer, inputs, outputs) for inputs, outputs in shapes]
        parameters = sum(math.prod(weight.shape) for weight in layer.weights)
        lines.append((layer.name, type(layer).__name__, output, parameters, float(sum(counted))))
    return pd.DataFrame(lines, columns=["layer", "kind", "output", "parameters", "multiply_adds"])


def _shapes(layer):
    """Return the shapes `(input, output)` of each call of a layer, those with the batch's None in front."""
    # The call of an input layer has no input
    return [(tuple(call.inputs[0].shape), tuple(call.outputs[0].shape)) for call in calls(layer) if call.inputs]


def _multiply_adds(layer, inputs, outputs):
    matrices = [math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1]
    if not matrices or isinstance(layer, keras.layers.Embedding):
        return 0.0
    if isinstance(layer, _CONVOLUTIONS):
        places = outputs[1:-1]
    elif isinstance(layer, keras.layers.Dense):
        places = inputs[1:-1]
    else:
        return math.nan
    if None in places:
        raise ValueError(f"{layer.name} has the open shape {outputs}; build the network with a fixed height and width")
    return float(sum(matrices) * math.prod(places))


def _feature_map(model):
    names = [layer.name for layer in model.layers]
    if "backbone" in names:
        return model.get_layer("backbone").output.shape
    maps = [shape for layer in flat_layers(model) for _, shape in _shapes(layer) if len(shape) == 4]
    return maps[-1] if maps else model.outputs[0].shape


def _shape(shape):
    return " x ".join(str(side) for side in shape[1:])
