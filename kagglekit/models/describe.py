"""The layers and size of a network, and what it costs to predict one image."""

import math

import keras
import pandas as pd

from kagglekit.models.backbones import flat_layers
from kagglekit.models.keras_graph import calls

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def describe(model):
    """Return a table of a network's input and output, its size and what one image costs.

    Args:
        model: a `keras.Model` whose height and width are fixed, such as `build_classifier` makes.

    Returns:
        DataFrame with `part`, `value` and `unit`: input and final feature map (rule of thumb: 3x3 to 7x7), features,
        parameters, megabytes as float32, and billions of multiply-adds (GMACs) and of operations (GFLOPs, two per
        multiply-add) for one image; a last row names the layers that are not counted, if any.

    Example:

    >>> from kagglekit.models.heads import build_classifier
    >>> table = describe(build_classifier(10, backbone="small_cnn", weights=None, image_size=16))
    >>> table.set_index("part").loc["final feature map", "value"]
    '4 x 4 x 96'
    """
    costs = layer_costs(model)
    trained_parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    multiply_adds = costs["multiply_adds"].sum() / 1e9
    rows = [
        ("input", _shape_text(max((tensor.shape for tensor in model.inputs), key=len)), "pixels"),
        ("final feature map", _shape_text(_feature_map(model)), ""),
        ("output", _shape_text(model.outputs[0].shape), ""),
        ("layers with weights", int((costs["parameters"] > 0).sum()), ""),
        ("parameters", round(model.count_params() / 1e6, 2), "millions"),
        ("trained parameters", round(trained_parameters / 1e6, 2), "millions"),
        ("size as float32", round(model.count_params() * 4 / 2**20, 1), "MB"),
        ("multiply-adds", round(multiply_adds, 3), "GMACs"),
        ("operations", round(2 * multiply_adds, 3), "GFLOPs"),
    ]
    uncounted = costs.loc[costs["multiply_adds"].isna(), "layer"].tolist()
    if uncounted:
        rows.append(("not counted", ", ".join(uncounted), ""))
    return pd.DataFrame(rows, columns=["part", "value", "unit"])


def layer_costs(model):
    """Count the parameters and multiply-adds of each layer from its shapes.

    Convolutions and matrix products count; normalisation, activations and pooling do not, nor do they in published
    figures (https://arxiv.org/abs/1905.11946 and others call the same number FLOPS).

    Args:
        model: a `keras.Model` whose height and width are fixed.

    Returns:
        DataFrame with `layer`, `kind`, `output` (shape without the batch), `parameters` and `multiply_adds` (for one
        image; NaN for a layer with matrices of an unknown kind, such as one made of other layers).

    Raises:
        ValueError: if the model's height or width is not fixed.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same", name="a")])
    >>> layer_costs(model)[["layer", "parameters", "multiply_adds"]].values.tolist()
    [['a', 112, 6912.0]]
    """
    rows = []
    for layer in flat_layers(model):
        shapes = _call_shapes(layer)
        if not shapes:
            continue
        output = shapes[0][1][1:]
        multiply_adds = [_multiply_adds(layer, inputs, outputs) for inputs, outputs in shapes]
        parameters = sum(math.prod(weight.shape) for weight in layer.weights)
        rows.append((layer.name, type(layer).__name__, output, parameters, float(sum(multiply_adds))))
    return pd.DataFrame(rows, columns=["layer", "kind", "output", "parameters", "multiply_adds"])


def _call_shapes(layer):
    """Return the shapes `(input, output)` of each call of a layer, the batch dimension (None) included."""
    # An input layer has a call without an input
    return [(tuple(call.inputs[0].shape), tuple(call.outputs[0].shape)) for call in calls(layer) if call.inputs]


def _multiply_adds(layer, inputs, outputs):
    matrix_sizes = [math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1]
    if not matrix_sizes or isinstance(layer, keras.layers.Embedding):
        return 0.0
    if isinstance(layer, _CONVOLUTIONS):
        positions = outputs[1:-1]
    elif isinstance(layer, keras.layers.Dense):
        positions = inputs[1:-1]
    else:
        return math.nan
    if None in positions:
        raise ValueError(
            f"expected a fixed height and width, but {layer.name} gives the shape {outputs}; build the network with a "
            "fixed height and width"
        )
    return float(sum(matrix_sizes) * math.prod(positions))


def _feature_map(model):
    names = [layer.name for layer in model.layers]
    if "backbone" in names:
        return model.get_layer("backbone").output.shape
    map_shapes = [shape for layer in flat_layers(model) for _, shape in _call_shapes(layer) if len(shape) == 4]
    return map_shapes[-1] if map_shapes else model.outputs[0].shape


def _shape_text(shape):
    return " x ".join(str(side) for side in shape[1:])
