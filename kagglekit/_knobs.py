"""What the knobs of a recipe may be: names, ranges, and combinations that are refused."""

import dataclasses
import re

from kagglekit._backbones import check_backbone
from kagglekit._checks import check_choice
from kagglekit.augment import check_policy
from kagglekit.augment.mix import MIXES

# The names that the stages know; listed here so that a recipe is checked without loading any framework.
CHOICES = {
    "resize": ("squash", "short_side_crop", "letterbox"),
    "mix": MIXES,
    "sampling": ("none", "label_shuffling", "balanced", "square_root"),
    "class_weights": ("none", "inverse_frequency", "effective_number"),
    "pooling": ("avg", "max", "concat", "gem"),
    "head": ("linear", "cosine", "ordinal"),
    "neck": ("none", "batch_norm"),
    "activation": ("relu", "swish", "gelu"),
    "loss": (
        "auto", "cross_entropy", "focal", "sparsemax", "generalized_cross_entropy", "symmetric_cross_entropy",
        "bi_tempered", "quadratic_kappa", "earth_movers", "kl_divergence", "binary_cross_entropy", "binary_focal",
        "asymmetric", "soft_f1", "mean_squared_error", "mean_absolute_error", "smooth_l1", "arcface", "arcface_mixture",
    ),
    "initializer": (
        "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "orthogonal",
        "random_normal", "random_uniform", "truncated_normal", "variance_scaling",
    ),
    "optimizer": ("adamw", "adam", "sgd", "lamb", "lion", "muon", "radam"),
    "schedule": ("cosine", "one_cycle", "exponential", "step", "constant"),
}  # fmt: skip
PREPROCESS = (
    "ben_graham", "circle_crop", "crop_grey_border", "hsv_mask", "crop_to_box", "standardise_per_image", "grey_to_rgb",
)  # fmt: skip

RANGES = (
    ("channels", 1, 64),
    ("record_size", 8, 4096),
    ("batch_size", 1, 65536),
    ("augment_strength", 0, 4),
    ("augment_warmup", 0, 10000),
    ("unmixed_epochs", 0, 10000),
    ("subset", 0.001, 1),
    ("frozen_epochs", 0, 10000),
    ("frozen_learning_rate", 0, 10),
    ("frozen_views", 0, 64),
    ("patience", 0, 10000),
    ("epochs", 0, 10000),
    ("learning_rate", 0, 10),
    ("unfrozen_layers", 0, 1),
    ("cached_views", 0, 64),
    ("dropout", 0, 0.99),
    ("multi_dropout", 1, 16),
    ("label_smoothing", 0, 0.99),
    ("weight_decay", 0, 1),
    ("clip", 0, 1e6),
    ("layer_decay", 0.01, 1),
    ("ema", 0, 0.99999),
    ("warmup", 0, 1),
    ("seed", 0, 2**31 - 1),
)


def canonical_values(recipe):
    """Return the knobs that can be written in several ways, each in its canonical form: a dict.

    Raises:
        ValueError: for a value that has no such form.
    """
    size, shares = recipe.image_size, recipe.unfrozen_layers
    sides = _sides(size)
    if len(sides) != 2 or not all(map(_is_side, sides)):
        raise ValueError(f"expected image_size to be an integer or (height, width), 8 pixels or more, got {size!r}")
    if not isinstance(recipe.first_sizes, list | tuple) or not all(map(_is_side, recipe.first_sizes)):
        raise ValueError(
            f"expected first_sizes to be a list of integers of 8 pixels or more, got {recipe.first_sizes!r}"
        )
    values = {
        "image_size": sides[0] if sides[0] == sides[1] else tuple(sides),
        "first_sizes": tuple(recipe.first_sizes),
    }
    if isinstance(shares, list | tuple):
        if not shares or not all(type(share) in (int, float) for share in shares) or list(shares) != sorted(shares):
            raise ValueError(
                "expected several unfrozen_layers to be numbers from 0 to 1 in ascending order, such as [0.2, 0.5], "
                f"got {list(shares)!r}"
            )
        values["unfrozen_layers"] = tuple(shares)
    if recipe.weights is not None:
        values["weights"] = str(recipe.weights)  # a Path is not a plain value
    ops = check_policy(recipe.policy)
    values["policy"] = recipe.policy if isinstance(recipe.policy, str) else ops
    for knob, example in (("preprocess", "circle_crop"), ("numeric", "age"), ("categorical", "site")):
        names = getattr(recipe, knob)
        pairs = knob == "preprocess"
        if not isinstance(names, list | tuple) or not all(
            isinstance(name, str) or (pairs and _is_step(name)) for name in names
        ):
            alternative = ", or of pairs of a name and a dict of arguments" if pairs else ""
            raise ValueError(f"expected {knob} to be a list of names like [{example!r}]{alternative}, got {names!r}")
        values[knob] = tuple(name if isinstance(name, str) else tuple(plain(name)) for name in names)
    return values


def check_knobs(recipe):
    """Raise a ValueError, naming what is allowed, if a knob or a combination of knobs is not allowed."""
    if not isinstance(recipe.name, str) or not re.fullmatch(r"[\w.-]+", recipe.name):
        raise ValueError(f"expected name to be letters, digits, '-', '_' and '.', got {recipe.name!r}")
    check_backbone(recipe.backbone)
    for step in recipe.preprocess:
        check_choice("each step of preprocess", step if isinstance(step, str) else step[0], PREPROCESS)
    for knob, choices in CHOICES.items():
        if not isinstance(getattr(recipe, knob), dict):  # factors per class
            check_choice(knob, getattr(recipe, knob), choices)
    types = {field.name: field.type for field in dataclasses.fields(recipe)}
    for knob, low, high in RANGES:
        value, kind = getattr(recipe, knob), types[knob]
        values = several(value) if kind == float | tuple else (value,)
        fits = all(type(single) is int or (kind is not int and isinstance(single, float)) for single in values)
        if not fits or not low <= min(values) <= max(values) <= high:
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"expected {knob} to be {what} from {low:g} to {high:g}, got {value!r}")
    if recipe.metadata and recipe.mix != "none":
        raise ValueError(f"{list(recipe.metadata)} cannot be mixed as images are; use mix='none', not {recipe.mix!r}")
    if recipe.loss != "auto" and recipe.loss.startswith("arcface") != (recipe.head == "cosine"):
        raise ValueError(
            "expected the losses 'arcface' and 'arcface_mixture' with head='cosine' alone, got "
            f"loss={recipe.loss!r} and head={recipe.head!r}"
        )
    largest = max(_sides(recipe.image_size))
    if recipe.first_sizes and max(recipe.first_sizes) > largest:
        raise ValueError(
            f"expected first_sizes of at most image_size, {largest}, got {list(recipe.first_sizes)}; change both, or "
            "use first_sizes=()"
        )
    steps = {"first_sizes": len(recipe.first_sizes) + 1, "unfrozen_layers": len(several(recipe.unfrozen_layers))}
    epochs = recipe.epochs + (recipe.frozen_epochs if recipe.weights is None else 0)
    for knob, count in steps.items():
        if 0 < epochs < count:
            raise ValueError(f"expected epochs of {count} or more, one for each step of {knob}, got {epochs}")
    whole = recipe.weights is None or 1 in several(recipe.unfrozen_layers)
    if recipe.cached_views and (whole or recipe.first_sizes or recipe.mix != "none"):
        raise ValueError(
            "expected cached_views=0 where all layers are trained (weights=None or unfrozen_layers of 1), sizes change "
            "(first_sizes) or images are mixed (mix): cached features would not stay valid"
        )
    if recipe.frozen_epochs + recipe.epochs == 0:
        raise ValueError("expected frozen_epochs or epochs to be at least 1, got 0 for both")


def plain(value):
    """Return a value with lists in place of tuples, which YAML shows readably."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def python_numbers(value):
    """Return a value with Python's numbers and lists in place of numpy's."""
    if isinstance(value, dict):
        return {name: python_numbers(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(python_numbers, value))
    return value.tolist() if hasattr(value, "tolist") else value


def _sides(size):
    return size if isinstance(size, list | tuple) else (size, size)


def _is_side(size):
    return type(size) is int and size >= 8


def _is_step(entry):
    pair = isinstance(entry, list | tuple) and len(entry) == 2
    return pair and isinstance(entry[0], str) and isinstance(entry[1], dict)


def several(value):
    """Return a knob's values where it may have one or a tuple of them."""
    return value if isinstance(value, tuple) else (value,)
