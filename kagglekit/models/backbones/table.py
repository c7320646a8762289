"""Which backbones there are: a curated table, and by name every class of keras.applications and preset of keras-hub."""

import csv
import dataclasses
import importlib.util
from pathlib import Path

from kagglekit._checks import check_choice
from kagglekit.models.backbones import applications


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


def find_backbone(name):
    """Return the row of a name: of the table, or made up for another class of keras.applications or keras-hub preset.

    Raises:
        ValueError: for an unknown name, with the nearest.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    application = applications.find_class(name)
    if application is not None:
        size, minimum, normalisation, _ = applications.facts(application)
        return _unlisted(name, "applications", application, size, minimum, normalisation)
    if importlib.util.find_spec("keras_hub"):
        from kagglekit.models.backbones import hub  # imported when such a name is asked for: it takes seconds

        if hub.is_preset(name):
            return _unlisted(name, "keras_hub", name, 224, 32, hub.normalisation_of(name))
    check_choice("backbone", name, [*BACKBONES, *applications.CLASSES, "a preset of keras-hub (where it is installed)"])


def _unlisted(name, builder, target, size, minimum, normalisation):
    return Backbone(name, target, builder, target, size, minimum, None, None, (), normalisation, "", "")
