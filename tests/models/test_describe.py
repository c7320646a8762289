"""Sizes and costs of networks: against published figures and by hand."""

import keras
import pytest

import kagglekit as kk
from kagglekit.models.describe import describe, layer_costs

# Billions of multiply-adds for one image of 224 x 224 with ImageNet's head:
# https://arxiv.org/abs/1905.11946 (table 2), 1801.04381 (table 4), 1704.04861 (table 8), 1905.02244 (table 3),
# 1512.03385 (table 1; the variant with the stride in the 3x3 convolution, not Keras's, has 4.1), and for VGG-16, which
# is given as 15.3 without its last layers, 15.3 + 0.124.
PUBLISHED = {
    "EfficientNetB0": 0.39,
    "MobileNetV2": 0.30,
    "MobileNet": 0.569,
    "MobileNetV3Large": 0.219,
    "ResNet50": 3.8,
    "VGG16": 15.424,
}


QUICK = ("MobileNet", "MobileNetV2")


@pytest.mark.parametrize(
    "cls", [*QUICK, *(pytest.param(cls, marks=pytest.mark.slow) for cls in PUBLISHED if cls not in QUICK)]
)
def test_multiply_adds_are_the_published_ones_within_two_percent(cls):
    network = getattr(keras.applications, cls)(weights=None, input_shape=(224, 224, 3))
    costs = layer_costs(network)
    assert costs["multiply_adds"].sum() / 1e9 == pytest.approx(PUBLISHED[cls], rel=0.02)
    assert costs["parameters"].sum() == network.count_params()


def test_every_kind_of_layer_is_counted_as_by_hand():
    network = keras.Sequential(
        [
            keras.Input((10, 12, 6)),
            keras.layers.Conv2D(8, 3, strides=2, padding="same", groups=2, name="grouped"),  # 5 x 6 places
            keras.layers.DepthwiseConv2D(3, padding="valid", name="depthwise"),  # 3 x 4
            keras.layers.SeparableConv2D(5, 3, padding="same", name="separable"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(7, name="everywhere"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
            keras.layers.Dense(2, name="last"),
        ]
    )
    costs = layer_costs(network).set_index("layer")["multiply_adds"].to_dict()
    assert costs == {
        "grouped": 5 * 6 * 8 * 3 * 3 * 3,
        "depthwise": 3 * 4 * 8 * 3 * 3,
        "separable": 3 * 4 * (8 * 3 * 3 + 8 * 5),
        "norm": 0,
        "everywhere": 3 * 4 * 5 * 7,
        "pool": 0,
        "last": 7 * 2,
    }


def test_a_layer_that_is_called_twice_costs_twice():
    inputs = keras.Input((4,))
    layer = keras.layers.Dense(4, name="shared")
    model = keras.Model(inputs, layer(layer(inputs)))
    assert layer_costs(model)["multiply_adds"].tolist() == [32]


def test_the_description_of_a_classifier():
    model = kk.build_classifier(10, backbone="small_cnn", weights=None, image_size=(16, 24), channels=1)
    kk.freeze_backbone(model)
    table = describe(model).set_index("part")["value"]
    assert table["input"] == "16 x 24 x 1"
    assert table["final feature map"] == "4 x 6 x 96"
    assert table["output"] == "10"
    assert table["layers with weights"] == 13
    assert table["parameters"] == round(model.count_params() / 1e6, 2)
    assert table["trained parameters"] == round(97 * 10 / 1e6, 2)
    assert table["operations"] == pytest.approx(2 * table["multiply-adds"], abs=0.002)
    assert "not counted" not in table


def test_what_is_not_understood_is_named_and_open_sizes_are_refused():
    inputs = keras.Input((8, 16))
    attention = keras.layers.MultiHeadAttention(2, 8, name="attention")
    table = describe(keras.Model(inputs, attention(inputs, inputs))).set_index("part")["value"]
    assert table["not counted"] == "attention"
    with pytest.raises(ValueError, match="conv gives the shape .*build the network with a fixed height and width"):
        layer_costs(keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, name="conv")]))
