"""The backbones: a curated table, the classes of keras.applications, keras-hub's presets. No framework."""

import csv
import dataclasses
import difflib
import functools
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from kagglekit._checks import nearest


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One row of `backbones.csv`.

    Args:
        name: what a recipe calls it.
        family: networks that share their building blocks.
        builder: `"scratch"`, `"lite"`, `"applications"` (keras.applications) or `"keras_hub"`.
        target: the class or preset that the builder asks for.
        size: height and width that the published weights were trained at, pixels.
        minimum: smallest height and width, pixels.
        parameters: without a head, millions; None where it was not looked up.
        top1: published ImageNet top-1 accuracy at `size`, percent; None where none is published.
        deploy: where it is a sensible choice: `"server"`, `"mobile"`, `"cpu"`.
        normalisation: a key of `NORMALISATIONS`.
        licence: of the weights.
        source: of network and weights.
    """

    name: str
    family: str
    builder: str
    target: str
    size: int
    minimum: int
    parameters: float | None
    top1: float | None
    deploy: tuple
    normalisation: str
    licence: str
    source: str


def _read():
    # Accuracies: https://keras.io/api/applications; for keras-hub's, PaddleClas (resnet_vd, hgnetv2) and timm (cspnet).
    with open(Path(__file__).with_name("backbones.csv"), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            numbers = {"size": int(row["size"]), "minimum": int(row["minimum"])}
            optional = {key: float(row[key]) if row[key] else None for key in ("parameters", "top1")}
            yield Backbone(**row | numbers | optional | {"deploy": tuple(row["deploy"].split())})


BACKBONES = {backbone.name: backbone for backbone in _read()}


class Application(NamedTuple):
    """A class of keras.applications: native and smallest size in pixels, normalisation, and the file of its weights.

    The normalisation is a key of `NORMALISATIONS`; the file, of a network without head, is in Keras's cache.
    """

    size: int
    minimum: int
    normalisation: str
    file: str


_KERNELS = "_weights_tf_dim_ordering_tf_kernels"
# Family, its members, and their data; the file's name holds the member's in lower case. Sources:
# `preprocess_input`, `min_size` and the file names in
# https://github.com/keras-team/keras/tree/master/keras/src/applications.
_FAMILIES = (
    ("ConvNeXt{}", "Tiny Small Base Large XLarge", 224, 32, "imagenet", "convnext_{}_notop.h5"),
    ("DenseNet{}", "121 169 201", 224, 32, "imagenet", "densenet{}" + _KERNELS + "_notop.h5"),
    ("EfficientNet{}", "B0 B1 B2 B3 B4 B5 B6 B7", 224, 32, "imagenet", "efficientnet{}_notop.h5"),
    ("EfficientNetV2{}", "B0 B1 B2 B3", 224, 32, "imagenet", "efficientnetv2-{}_notop.h5"),
    ("EfficientNetV2{}", "S M L", 384, 32, "half", "efficientnetv2-{}_notop.h5"),
    ("InceptionResNetV2", "", 299, 75, "symmetric", "inception_resnet_v2" + _KERNELS + "_notop.h5"),
    ("InceptionV3", "", 299, 75, "symmetric", "inception_v3" + _KERNELS + "_notop.h5"),
    ("MobileNet", "", 224, 32, "symmetric", "mobilenet_1_0_224_tf_no_top.h5"),
    ("MobileNetV2", "", 224, 32, "symmetric", "mobilenet_v2" + _KERNELS + "_1.0_224_no_top.h5"),
    ("MobileNetV3{}", "Small Large", 224, 32, "symmetric", "weights_mobilenet_v3_{}_224_1.0_float_no_top_v2.h5"),
    ("NASNet{}", "Mobile", 224, 32, "symmetric", "nasnet_{}_no_top.h5"),
    ("NASNet{}", "Large", 331, 32, "symmetric", "nasnet_{}_no_top.h5"),
    ("ResNet{}", "50 101 152", 224, 32, "caffe", "resnet{}" + _KERNELS + "_notop.h5"),
    ("ResNet{}", "50V2 101V2 152V2", 224, 32, "symmetric", "resnet{}" + _KERNELS + "_notop.h5"),
    ("VGG{}", "16 19", 224, 32, "caffe", "vgg{}" + _KERNELS + "_notop.h5"),
    ("Xception", "", 299, 71, "symmetric", "xception" + _KERNELS + "_notop.h5"),
)
APPLICATIONS = {
    family.format(member): Application(size, minimum, normalisation, file.format(member.lower()))
    for family, members, size, minimum, normalisation, file in _FAMILIES
    for member in members.split(" ")
}


def find_application(name):
    """Return the class of keras.applications with this name, ignoring case and underscores, or None.

    Example:

    >>> find_application("resnet_101_v2")
    'ResNet101V2'
    """
    return next((cls for cls in APPLICATIONS if _letters(cls) == _letters(name)), None)


def check_backbone(name):
    """Raise a ValueError, with the nearest name, unless there may be a backbone of this name.

    Nothing is imported. keras-hub's presets are read from its source files where it is installed. Where it is not, the
    recipe may be meant for a machine that has it: a name in the form of its presets (`vit_base_patch16_224_imagenet`:
    words in lower case, joined by underscores) passes, unless it is spelt much like a known name. Handles such as
    `kaggle://...` always pass.

    Example:

    >>> check_backbone("EfficientNetB0")
    >>> check_backbone("efficientnet_lite_0")
    Traceback (most recent call last):
    ValueError: there is no backbone 'efficientnet_lite_0'. Did you mean 'efficientnet_lite0'? ...
    """
    if isinstance(name, str):
        if name in BACKBONES or find_application(name) or "://" in name or name in hub_presets():
            return
        if not hub_presets() and re.fullmatch(r"[a-z][a-z0-9.]*(_[a-z0-9.]+)+", name):
            curated = map(_letters, (*BACKBONES, *APPLICATIONS))
            if not difflib.get_close_matches(_letters(name), curated, n=1, cutoff=0.85):
                return
    raise unknown_backbone(name)


def unknown_backbone(name):
    """Return the error for an unknown name."""
    return ValueError(
        f"there is no backbone {name!r}.{nearest(name, [*BACKBONES, *APPLICATIONS, *hub_presets()])} A recipe may name "
        f"{', '.join(BACKBONES)}; any class of keras.applications; or, where keras-hub is installed, one of its presets"
    )


@functools.cache
def hub_presets():
    """Return the names of keras-hub's presets, its networks for text included; none where it is not installed.

    Importing it takes seconds, so they are read from the files that list them (0.26: 423 names in 12 ms).
    """
    package = importlib.util.find_spec("keras_hub")
    if package is None:
        return frozenset()
    texts = (path.read_text("utf-8") for path in Path(package.origin).parent.glob("src/models/*/*_presets.py"))
    return frozenset(name for text in texts for name in re.findall(r'^    "([^"]+)": \{', text, re.MULTILINE))


def _letters(name):
    return re.sub("[_-]", "", str(name)).lower()
