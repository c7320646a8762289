"""A network in two halves gives what it gives as one, and nothing below the cut is trained."""

import keras
import numpy as np
import pytest

from kagglekit.models.heads import build_classifier, unfreeze_backbone
from kagglekit.models.split import split_below_trained

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)


@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("name", ["small_cnn", "efficientnet_lite0", "resnet50", "densenet121", "mobilenet_v3_small"])
def test_the_halves_are_the_network(name, share):
    model = build_classifier(3, backbone=name, weights=None, image_size=64)
    unfreeze_backbone(model, share)
    lower, upper = split_below_trained(model)
    assert lower.count_params() > 0
    assert not lower.trainable_variables
    trained = {variable.path for variable in model.trainable_variables}
    assert {variable.path for variable in upper.trainable_variables} == trained
    np.testing.assert_allclose(upper(lower(PIXELS)), model(PIXELS, training=False), atol=1e-6)


def test_more_layers_are_trained_from_further_below():
    model = build_classifier(3, backbone="efficientnet_lite0", weights=None, image_size=64)
    shapes = []
    for share in (0.2, 0.5, 0.8):
        unfreeze_backbone(model, share)
        shapes.append(split_below_trained(model)[0].output_shape[1:])
    assert shapes == [(2, 2, 192), (4, 4, 80), (16, 16, 24)]  # ends of blocks, where Lite0 is narrow


@pytest.mark.parametrize("name", ["small_cnn", "resnet50"])
def test_a_network_that_is_trained_whole_has_no_lower_half(name):
    model = build_classifier(3, backbone=name, weights=None, image_size=64)
    unfreeze_backbone(model, 1.0)
    with pytest.raises(ValueError, match="no place below its first trained layer .*; use a smaller unfrozen_layers"):
        split_below_trained(model)


def test_branches_are_not_cut():
    inputs = keras.Input((8, 8, 3))
    left = keras.layers.Conv2D(4, 3, padding="same", name="left")(inputs)
    right = keras.layers.Conv2D(4, 3, padding="same", name="right")(left)
    joined = keras.layers.Conv2D(2, 1, name="joined")(keras.layers.Add(name="sum")([left, right]))
    backbone = keras.Model(inputs, joined, name="backbone")
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(backbone(pixels)))
    backbone.trainable = True
    for name in ("left", "right"):
        backbone.get_layer(name).trainable = False
    lower, _ = split_below_trained(model)
    assert lower.layers[-1].name == "sum"
    backbone.get_layer("right").trainable = True
    lower, _ = split_below_trained(model)
    assert lower.layers[-1].name == "left"


def test_what_is_done_to_the_pixels_before_the_backbone_belongs_to_the_lower_half():
    pixels = keras.Input((16, 16, 3))
    backbone = build_classifier(3, backbone="small_cnn", weights=None, image_size=16).get_layer("backbone")
    features = keras.layers.GlobalAveragePooling2D()(backbone(keras.layers.Rescaling(0.5, name="half")(pixels)))
    model = keras.Model(pixels, keras.layers.Dense(3)(features))
    unfreeze_backbone(model, 0.4)
    lower, upper = split_below_trained(model)
    few = PIXELS[:, :16, :16]
    np.testing.assert_allclose(upper(lower(few)), model(few, training=False), atol=1e-5)
    stem = keras.Model(pixels, keras.layers.Dense(3)(model.get_layer("backbone")(keras.layers.Dense(3)(pixels))))
    with pytest.raises(ValueError, match="layers below the backbone are trained"):
        split_below_trained(stem)
