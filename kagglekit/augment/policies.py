"""Policies: named lists of ops with their strengths, drawn for one image and applied to it."""

import math
from itertools import groupby
from typing import NamedTuple

import numpy as np

from kagglekit._checks import check_choice
from kagglekit.augment.colour import recolour
from kagglekit.augment.geometry import crop_matrix, warp, zoom_matrix
from kagglekit.augment.ops import OPS
from kagglekit.augment.views import VIEWS, keeps_shape

_PHOTO = (("brightness_shift", 0.1), ("contrast", 0.2))
_CROP = (("random_resized_crop", 0.65), ("flip_horizontal", 0.5))  # area 0.35-1: for pretrained weights

# Erased rectangles get the mean colour: random values cost a frozen pretrained network a quarter of its accuracy
# (EfficientNet-Lite0, photographs of flowers), and fine-tuning some points.
# policy -> ops in the order they are applied, each with the strength that its drawing function explains
POLICIES = {
    "none": (),
    "light": (("window", 0.35), ("flip_horizontal", 0.5), *_PHOTO),
    "light_no_flip": (("window", 0.35), *_PHOTO),
    "all_flips": (("window", 0.35), ("flip_horizontal", 0.5), ("flip_vertical", 0.5), *_PHOTO),
    "tiny": (("shift", 0.13), ("contrast", 0.2)),
    "standard": (
        *_CROP, ("rotation", 15), ("brightness", 0.2), ("contrast", 0.3), ("saturation", 0.3), ("hue", 0.05),
        ("erasing_mean", 0.25),
    ),
    "strong": (*_CROP, ("randaugment", 9), ("erasing_mean", 0.25)),
    # No colour cast, which may be the finding: brightness and contrast act on all channels alike.
    "medical": (("dihedral", 1.0), ("rotation", 20), ("zoom", 0.15), ("brightness", 0.15), ("contrast", 0.15)),
    # C. Deotte's for SIIM-ISIC melanoma 2020
    "melanoma": (
        ("rotation_normal", 180), ("shear_normal", 2), ("zoom_normal", 1 / 8), ("shift_normal", 8),
        ("flip_horizontal", 0.5), ("saturation", 0.3), ("contrast", 0.2), ("brightness_shift", 0.1),
        ("coarse_dropout", 0.3),
    ),
    "autoaugment": (*_CROP, ("autoaugment_imagenet", 1.0)),
    "trivial": (*_CROP, ("trivialaugment", 1.0)),
    "augmix": (*_CROP, ("augmix", 3)),
}  # fmt: skip


class Drawn(NamedTuple):
    """What is drawn for one image: plain values, so that it can be inspected and applied again.

    Attributes:
        window: `(top, left, height, width)` in pixels of the stored image, the part that the network sees; rotation,
            shear, shift and shrinking reach a little beyond it.
        size: `(height, width)` of the result.
        steps: pairs `(op, parameters)` in the order they are applied.
    """

    window: tuple
    size: tuple
    steps: tuple


def check_policy(policy):
    """Return a policy as a tuple of `(op, strength)` pairs.

    Args:
        policy: key of `POLICIES`, or a list of pairs of a key of `OPS` and its strength, a number not below 0.

    Raises:
        ValueError: if a name is unknown, an entry is not such a pair, or a window op is not the first one.

    Example:

    >>> check_policy([("flip_horizontal", 0.5), ("blur", 2)])
    (('flip_horizontal', 0.5), ('blur', 2))
    """
    if isinstance(policy, str):
        check_choice("policy", policy, POLICIES)
        return POLICIES[policy]
    if not isinstance(policy, (list, tuple)):
        raise ValueError(f"expected policy to be a name or a list of (op, strength) pairs, got {policy!r}")
    for number, entry in enumerate(policy):
        if not isinstance(entry, (list, tuple)) or len(entry) != 2 or not isinstance(entry[0], str):
            raise ValueError(f"expected each entry of a policy to be a pair like ('rotation', 15), got {entry!r}")
        name, strength = entry
        check_choice("the op in a policy", name, OPS)
        if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not 0 <= strength < math.inf:
            raise ValueError(f"expected the strength of {name!r} to be a number not below 0, got {strength!r}")
        if number and OPS[name].kind == "window":
            raise ValueError(
                f"expected {name!r} to be the first op, since it decides what is decoded; it is number {number + 1}"
            )
    return tuple(tuple(entry) for entry in policy)


def safe_views(policy, size, *, strength=1.0):
    """Return the test-time views that are worth trying for a network trained with a policy.

    They are the views of the policy's ops, which the network saw in training, and a slight zoom, which changes next to
    nothing. Quarter turns are for square images only.

    Args:
        policy: key of `POLICIES` or a list of `(op, strength)` pairs.
        size: `(height, width)` of the network's input, or an integer for a square.
        strength: factor on every strength; at 0 the network has only seen unchanged images.

    Returns:
        List of names of `VIEWS`, without `"identity"`.

    Raises:
        ValueError: as `check_policy`.

    Example:

    >>> safe_views("light", 224), safe_views([("dihedral", 1)], (96, 128))
    (['hflip', 'zoom'], ['hflip', 'vflip', 'rot180', 'zoom'])
    """
    ops = check_policy(policy) if strength else ()
    views = {view for name, value in ops if value for view in OPS[name].views} | {"zoom"}
    return [view for view in VIEWS if view in views and keeps_shape(view, size)]


def draw(policy, rng, *, box, size, strength=1.0):
    """Draw everything that is random about one image.

    Args:
        policy: key of `POLICIES` or a list of `(op, strength)` pairs.
        rng: `np.random.Generator`; the same state draws the same.
        box: `(top, left, height, width)` in pixels of the stored image: what evaluation would show.
        size: `(height, width)` of the result, in pixels.
        strength: factor on every strength, see `Op.scaled`: flips and quarter turns keep their chance. 0 turns all
            ops off, these included.

    Returns:
        `Drawn`.

    Raises:
        ValueError: as `check_policy`.

    Example:

    >>> drawn = draw("light", np.random.default_rng(0), box=(0, 0, 300, 400), size=(224, 224))
    >>> drawn.window, [name for name, _ in drawn.steps]
    ((10, 2, 264, 353), ['flip_horizontal', 'brightness_shift', 'contrast'])
    """
    ops = check_policy(policy) if strength else ()
    window, steps = tuple(box), []
    for name, value in ops:
        op = OPS[name]
        parameters = op.draw(rng, op.scaled(value, strength))
        if op.kind == "window":
            window = op.apply(window, parameters)
        else:
            steps.append((name, parameters))
    return Drawn(window, tuple(size), tuple(steps))


def apply(drawn, image, shape, *, border=None):
    """Bring an image to its size and change it as drawn.

    Geometric ops at the start are merged with the crop and the resize into one warp, neighbouring colour ops into one
    matrix; the other ops follow one by one.

    Args:
        drawn: what `draw` returned.
        image: uint8 or float32 array `(height, width, channels)`, the whole image, perhaps decoded at a reduced size.
        shape: `(height, width)` of the stored image, which the box referred to.
        border: what fills the area outside the image, see `geometry.warp`. Defaults to that of the ops.

    Returns:
        Array `(*size, channels)` of the same dtype, in `[0, 255]`. Where nothing changes it shares the memory of
        `image`, which is never written to.

    Example:

    >>> drawn = draw([("invert", 1)], np.random.default_rng(0), box=(0, 0, 2, 2), size=(1, 2))
    >>> apply(drawn, np.array([[[0], [100]], [[100], [100]]], np.uint8), shape=(2, 2))
    array([[[205],
            [155]]], dtype=uint8)
    """
    groups = [(kind, list(group)) for kind, group in groupby(drawn.steps, key=lambda step: OPS[step[0]].kind)]
    if not groups or groups[0][0] != "geometric":
        groups.insert(0, ("geometric", []))
    matrix = _decoded_to_box(image, drawn.window, shape, drawn.size)
    for kind, group in groups:
        if kind == "geometric":
            for name, parameters in group:
                matrix = OPS[name].apply(parameters, drawn.size) @ matrix
            reflected = any(OPS[name].border == "reflect" for name, _ in group)
            image = warp(image, matrix, drawn.size, border=border or ("reflect" if reflected else "replicate"))
            matrix = np.eye(3)
        elif kind == "colour":
            image = recolour(image, [(OPS[name].apply, value) for name, value in group])
        else:
            for name, parameters in group:
                image = OPS[name].apply(image, parameters)
    return image


def _decoded_to_box(image, box, shape, size):
    """The matrix from the decoded image, perhaps smaller than the stored one, to the box at its size."""
    to_stored = zoom_matrix(shape[0] / image.shape[0], shape[1] / image.shape[1])
    return crop_matrix(box, shape, size) @ to_stored
