"""Backbones by name: the same graph and the same input scale wherever the weights come from."""

import importlib.util

import keras

from kagglekit._backbones import APPLICATIONS, BACKBONES, Backbone, find_application, unknown_backbone
from kagglekit._checks import check_choice
from kagglekit.models.backbones import applications, loading
from kagglekit.models.backbones.efficientnet_lite import efficientnet_lite
from kagglekit.models.backbones.loading import flat_layers as flat_layers
from kagglekit.models.backbones.normalisation import normalise
from kagglekit.models.backbones.residual import residual_attention, resnet18, wide_resnet
from kagglekit.models.backbones.small_cnn import small_cnn

DEPLOY = ("server", "mobile", "cpu")
ACTIVATIONS = ("relu", "swish", "gelu")
_FROM_SCRATCH = {
    "small_cnn": small_cnn,
    "resnet18": resnet18,
    "wide_resnet": wide_resnet,
    "residual_attention": residual_attention,
}


def list_backbones(*, max_parameters=None, max_megabytes=None, deploy=None):
    """List the curated backbones; a recipe can also name any other class of keras.applications or preset of keras-hub.

    Args:
        max_parameters: leave out those with more parameters, millions. Defaults to no bound.
        max_megabytes: leave out those whose float32 weights take more, megabytes. Defaults to no bound.
        deploy: only those that suit a `"server"`, a `"mobile"` phone or a `"cpu"`. Defaults to all.

    Returns:
        DataFrame with `name`, `family`, `native_size` and `minimum_size` (pixels), `parameters` (millions, without a
        head), `megabytes` (of float32 weights), `top1` (published ImageNet accuracy at the native size, percent),
        `deploy`, `licence` (of the weights), `source`, `needs` (a package beside this one) and `weights_found`: whether
        the published weights are on this machine.

    Example:

    >>> list_backbones(max_parameters=4, deploy="mobile")["name"].tolist()[:3]
    ['small_cnn', 'efficientnet_lite0', 'efficientnet_b0']
    """
    import pandas as pd

    if deploy is not None:
        check_choice("deploy", deploy, DEPLOY)
    rows = []
    for row in BACKBONES.values():
        megabytes = round(row.parameters * 4e6 / 2**20, 1)
        if (
            row.parameters <= (max_parameters or float("inf"))
            and megabytes <= (max_megabytes or float("inf"))
            and (deploy is None or deploy in row.deploy)
        ):
            rows.append(
                {
                    "name": row.name,
                    "family": row.family,
                    "native_size": row.size,
                    "minimum_size": row.minimum,
                    "parameters": row.parameters,
                    "megabytes": megabytes,
                    "top1": row.top1,
                    "deploy": " ".join(row.deploy),
                    "licence": row.licence,
                    "source": row.source,
                    "needs": "keras-hub" if row.builder == "keras_hub" else "",
                    "weights_found": weights_found(row.name),
                }
            )
    return pd.DataFrame(rows)


def build_backbone(name, image_size, *, channels=3, weights="imagenet", activation="relu", initializer="he_normal"):
    """Build a backbone from raw pixels to a feature map.

    Args:
        name: a name that `list_backbones` lists, a class of keras.applications (`"ResNet101"`, `"vgg16"`) or an image
            preset of keras-hub.
        image_size: `(height, width)` in pixels, or an integer for a square.
        channels: number of channels. For another number than 3, pretrained weights of the first layer are inflated, see
            `kagglekit.models.backbones.loading.inflate`.
        weights: `"imagenet"` (the published ones), `None` (random), or the path of a file: a `.pth` for
            EfficientNet-Lite, a `.h5` of keras.applications (the "notop" kind), the `.weights.h5` of such a backbone, a
            `.keras` model made by `build_classifier`; or of a folder that holds one of these or a preset of keras-hub,
            such as an input attached on Kaggle.
        activation: `"relu"`, `"swish"` or `"gelu"`, of a network from scratch.
        initializer: name of a Keras initialiser of the convolutions, of a network from scratch.

    Returns:
        `keras.Model` named `backbone`: float pixels in `[0, 255]` of shape `(batch, height, width, channels)`, colours
        as RGB, to features of shape `(batch, h, w, filters)`. The normalisation is its first layer.

    Raises:
        ValueError: for an unknown name, an image size that is too small, or weights that do not fit, naming the file.
        FileNotFoundError: if the weights are not on this machine and cannot be fetched; says how to attach them.
        ImportError: if the network is keras-hub's and that is not installed.

    Example:

    >>> build_backbone("small_cnn", (32, 48), channels=5, weights=None, activation="gelu").output_shape
    (None, 8, 12, 96)
    """
    row = find_backbone(name)
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if min(height, width) < row.minimum:
        raise ValueError(
            f"expected image_size of {row.minimum} pixels or more for {name}, got {image_size}; use a larger "
            "image_size or a network for small images, such as small_cnn"
        )
    check_choice("activation", activation, ACTIVATIONS)
    if row.builder != "scratch" and (activation, initializer) != ("relu", "he_normal"):
        raise ValueError(
            f"expected activation='relu' and initializer='he_normal' for {name}, which has its own, got "
            f"{activation!r} and {initializer!r}; only {', '.join(_FROM_SCRATCH)} can be changed"
        )
    options = {"activation": activation, "initializer": initializer} if row.builder == "scratch" else {}
    backbone = _build(row, (height, width, channels), options)
    if weights is not None:
        loading.load_weights(backbone, row, weights, lambda: _build(row, (height, width, 3), options))
    return backbone


def find_backbone(name):
    """Return a backbone's row: from the table, or made for another class of keras.applications or keras-hub preset.

    Raises:
        ValueError: for an unknown name, suggesting the nearest.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    application = find_application(name)
    if application is not None:
        size, minimum, normalisation, _ = APPLICATIONS[application]
        return _unlisted_backbone(name, "applications", application, size, minimum, normalisation)
    if importlib.util.find_spec("keras_hub"):
        from kagglekit.models.backbones import hub  # imported only when needed: it takes seconds

        if hub.is_preset(name):
            return _unlisted_backbone(name, "keras_hub", name, 224, 32, hub.normalisation_of(name))
    raise unknown_backbone(name)


def _unlisted_backbone(name, builder, target, size, minimum, normalisation):
    return Backbone(name, target, builder, target, size, minimum, None, None, (), normalisation, "", "")


def weights_found(name):
    """Return whether the published weights of a backbone are on this machine."""
    return loading.weights_found(find_backbone(name))


def _build(row, shape, options):
    inputs = keras.Input(shape, name="pixels")
    x = normalise(inputs, row.normalisation)
    if row.builder == "scratch":
        return keras.Model(inputs, _FROM_SCRATCH[row.target](x, **options), name="backbone")
    if row.builder == "lite":
        return keras.Model(inputs, efficientnet_lite(row.target, x), name="backbone")
    if row.builder == "applications":
        return keras.Model(inputs, applications.build_body(row.target, shape)(x), name="backbone")
    from kagglekit.models.backbones import hub

    return keras.Model(inputs, hub.build_body(row.target, shape)(x), name="backbone")
