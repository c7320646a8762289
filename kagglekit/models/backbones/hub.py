"""Networks of keras-hub, which is optional: only these networks need it.

A saved model with a network of keras-hub's own layers (HGNetV2, ViT) needs keras-hub, imported, where it is loaded;
ResNet-vd and CSPNet consist of Keras's layers alone.
"""

import os
from pathlib import Path

import keras
from keras import ops

# preset -> (class in keras_hub.models, its arguments), so that the listed ones build without a network. Sources: the
# conversion scripts in https://github.com/keras-team/keras-hub and, for HGNetV2, https://github.com/huggingface/
# pytorch-image-models/blob/main/timm/models/hgnet.py.
_ARGUMENTS = {
    "resnet_vd_50_ssld_v2_imagenet": (
        "ResNetBackbone",
        {
            "input_conv_filters": [32, 32, 64],
            "input_conv_kernel_sizes": [3, 3, 3],
            "stackwise_num_filters": [64, 128, 256, 512],
            "stackwise_num_blocks": [3, 4, 6, 3],
            "stackwise_num_strides": [1, 2, 2, 2],
            "block_type": "bottleneck_block_vd",
        },
    ),
    "hgnetv2_b4_ssld_stage2_ft_in1k": (
        "HGNetV2Backbone",
        {
            "depths": [1, 1, 3, 1],
            "embedding_size": 48,
            "hidden_sizes": [128, 512, 1024, 2048],
            "stem_channels": [3, 32, 48],
            "hidden_act": "relu",
            "use_learnable_affine_block": False,
            "stackwise_stage_filters": [
                (48, 48, 128, 1, 6, 3),
                (128, 96, 512, 1, 6, 3),
                (512, 192, 1024, 3, 6, 5),
                (1024, 384, 2048, 1, 6, 5),
            ],
            "apply_downsample": [False, True, True, True],
            "use_lightweight_conv_block": [False, False, True, True],
        },
    ),
    "csp_resnet_50_ra_imagenet": (
        "CSPNetBackbone",
        {
            "stem_filters": 64,
            "stem_kernel_size": 7,
            "stem_strides": 4,
            "stackwise_depth": [3, 3, 5, 2],
            "stackwise_strides": [1, 2, 2, 2],
            "stackwise_num_filters": [128, 256, 512, 1024],
            "block_type": "bottleneck_block",
            "stage_type": "csp",
            "bottle_ratio": [0.5],
            "block_ratio": [1.0],
            "expand_ratio": [2.0],
            "stem_padding": "valid",
            "stem_pooling": "max",
            "cross_linear": True,
        },
    ),
    "vit_base_patch16_224_imagenet": (
        "ViTBackbone",
        {"patch_size": 16, "num_layers": 12, "num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072},
    ),
}


def is_preset(name):
    """Return whether keras-hub has an image backbone of this name, or the name is a handle such as `kaggle://...`."""
    backbones = _keras_hub().models.Backbone.presets
    return name in backbones or "://" in str(name)


def normalisation_of(preset):
    """Return `(scale, offset)` of a preset's image converter."""
    try:
        converter = _keras_hub().layers.ImageConverter.from_preset(preset)
    except Exception as error:  # kagglehub and the connection raise many classes
        raise FileNotFoundError(
            f"the preset {preset} of keras-hub is neither in the cache folder {cache_folder()} nor could it be "
            "fetched. Offline, choose one that kk.list_backbones() lists, attach its model and give the folder as "
            f"weights=. The download said: {error}"
        ) from error
    return converter.scale or 1.0, converter.offset or 0.0


def build_body(preset, shape):
    """Build a network of keras-hub with random weights from normalised pixels to a feature map.

    Raises:
        ImportError: if keras-hub is not installed.
        ValueError: if a transformer's patches do not fill the image.
    """
    models = _keras_hub().models
    shape = tuple(shape)
    if preset not in _ARGUMENTS:
        return _ending_in_map(models.Backbone.from_preset(preset, load_weights=False, image_shape=shape))
    cls, arguments = _ARGUMENTS[preset]
    if cls == "HGNetV2Backbone":  # where it reads the number of channels
        arguments = arguments | {"stem_channels": [shape[-1], *arguments["stem_channels"][1:]]}
    return _ending_in_map(getattr(models, cls)(**arguments, image_shape=shape))


def pretrained_body(row, folder=None):
    """Build a network of keras-hub as it was published, with its weights, from a preset's name or folder."""
    source = str(folder or preset_folder(row.target) or row.target)
    return _ending_in_map(_keras_hub().models.Backbone.from_preset(source))


def cache_folder():
    """Return the folder where keras-hub keeps its downloads."""
    return Path(os.environ.get("KAGGLEHUB_CACHE", "~/.cache/kagglehub")).expanduser() / "models"


def preset_folder(preset):
    """Return the folder of the newest version of a downloaded preset, or None."""
    folders = [path.parent for path in cache_folder().glob(f"keras/*/keras/{preset}/*/model.weights.h5")]
    return max(folders, key=lambda path: int(path.name) if path.name.isdigit() else 0, default=None)


def _ending_in_map(network):
    """Return a model that ends in one feature map: the last of a pyramid, or a transformer's tokens laid out as a map.

    Where all layers are Keras's own, the model consists of them, so it loads without keras-hub. Otherwise it holds the
    network as a whole: some of keras-hub's layers alone do not load (0.26: ViTPatchingAndEmbedding's configuration has
    entries that it does not take).
    """
    inputs, output = network.input, network.output
    if not all(type(layer).__module__.startswith("keras.") for layer in network.layers):
        inputs = keras.Input(network.image_shape, name="normalised")
        output = network(inputs)
    if isinstance(output, dict):
        output = list(output.values())[-1]
    if len(output.shape) == 3:
        height, width = (
            side // size for side, size in zip(network.image_shape, _pair(network.patch_size), strict=False)
        )
        tokens = output[:, output.shape[1] - height * width :]  # behind the class token
        output = ops.reshape(tokens, (-1, height, width, output.shape[-1]))
    return keras.Model(inputs, output, name=f"{type(network).__name__.lower()}_map")


def _pair(size):
    return (size, size) if isinstance(size, int) else tuple(size)


def _keras_hub():
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(
            "this backbone is built by keras-hub, which is not installed here (Kaggle has it); `pip install keras-hub`"
        ) from error
    return keras_hub
