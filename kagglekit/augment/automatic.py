"""Automatic augmentation: AutoAugment, RandAugment, TrivialAugment and AugMix, on an image of the network's size.

A draw is a tuple of steps `(operation, value)` in the papers' names and units; `OPERATIONS` maps each operation to an
op. Rotation and shear are about the centre, and grey 128 fills what comes in from outside. A larger magnitude always
changes more: posterize and solarize are not inverted as they are in the published TensorFlow code.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from kagglekit.augment.pixels import to_uint8


class Operation(NamedTuple):
    """An operation of the papers: a key of `OPS`, its parameters from a value, and whether values have a direction.

    `parameters(value, size)` takes the image's `(height, width)`.
    """

    op: str
    parameters: Callable = lambda value, size: value
    signed: bool = False


def _factor(value, size):
    return 1 + value


def _always(value, size):
    return True


# All but Identity. Translations are shares of the side, which need not be whole pixels.
OPERATIONS = {
    "ShearX": Operation("shear_x", signed=True),
    "ShearY": Operation("shear_y", signed=True),
    "TranslateX": Operation("shift_normal", lambda value, size: (0, value * size[1]), signed=True),
    "TranslateY": Operation("shift_normal", lambda value, size: (value * size[0], 0), signed=True),
    "Rotate": Operation("rotation", signed=True),
    "Brightness": Operation("brightness", _factor, signed=True),
    "Color": Operation("saturation", _factor, signed=True),
    "Contrast": Operation("contrast", _factor, signed=True),
    "Sharpness": Operation("sharpness", _factor, signed=True),
    "Posterize": Operation("posterize"),
    "Solarize": Operation("solarize"),
    "AutoContrast": Operation("autocontrast", _always),
    "Equalize": Operation("equalize", _always),
    "Invert": Operation("invert", _always),
}

# operation -> its value at magnitude 0 and at magnitude 1.
# AutoAugment's appendix (Cubuk et al. 2019), with the enhancements' factors 0.1-1.9 taken from 1 outwards.
NARROW = {
    "ShearX": (0, 0.3), "ShearY": (0, 0.3), "TranslateX": (0, 150 / 331), "TranslateY": (0, 150 / 331),
    "Rotate": (0, 30), "Brightness": (0, 0.9), "Color": (0, 0.9), "Contrast": (0, 0.9), "Sharpness": (0, 0.9),
    "Posterize": (8, 4), "Solarize": (256, 0),
}  # fmt: skip
# TrivialAugment's wide space (Mueller and Hutter 2021); its 32 pixels of translation count as 32 of 224.
WIDE = {
    "ShearX": (0, 0.99), "ShearY": (0, 0.99), "TranslateX": (0, 32 / 224), "TranslateY": (0, 32 / 224),
    "Rotate": (0, 135), "Brightness": (0, 0.99), "Color": (0, 0.99), "Contrast": (0, 0.99), "Sharpness": (0, 0.99),
    "Posterize": (8, 2), "Solarize": (256, 0),
}  # fmt: skip
# AugMix (Hendrycks et al. 2020): no operation that its robustness benchmark tests, such as contrast or noise.
MIXED = {
    "AutoContrast": (0, 0), "Equalize": (0, 0), "Posterize": (4, 0), "Rotate": (0, 30), "Solarize": (256, 0),
    "ShearX": (0, 0.3), "ShearY": (0, 0.3), "TranslateX": (0, 1 / 3), "TranslateY": (0, 1 / 3),
}  # fmt: skip
_UNGRADED = ("Identity", "AutoContrast", "Equalize")  # without a magnitude; join those of NARROW and WIDE

# The 25 sub-policies found on each dataset: operation, probability, magnitude 0-9 (None where it has no meaning).
AUTOAUGMENT = {
    "imagenet": (
        (("Posterize", 0.4, 8), ("Rotate", 0.6, 9)),
        (("Solarize", 0.6, 5), ("AutoContrast", 0.6, None)),
        (("Equalize", 0.8, None), ("Equalize", 0.6, None)),
        (("Posterize", 0.6, 7), ("Posterize", 0.6, 6)),
        (("Equalize", 0.4, None), ("Solarize", 0.2, 4)),
        (("Equalize", 0.4, None), ("Rotate", 0.8, 8)),
        (("Solarize", 0.6, 3), ("Equalize", 0.6, None)),
        (("Posterize", 0.8, 5), ("Equalize", 1.0, None)),
        (("Rotate", 0.2, 3), ("Solarize", 0.6, 8)),
        (("Equalize", 0.6, None), ("Posterize", 0.4, 6)),
        (("Rotate", 0.8, 8), ("Color", 0.4, 0)),
        (("Rotate", 0.4, 9), ("Equalize", 0.6, None)),
        (("Equalize", 0.0, None), ("Equalize", 0.8, None)),
        (("Invert", 0.6, None), ("Equalize", 1.0, None)),
        (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
        (("Rotate", 0.8, 8), ("Color", 1.0, 2)),
        (("Color", 0.8, 8), ("Solarize", 0.8, 7)),
        (("Sharpness", 0.4, 7), ("Invert", 0.6, None)),
        (("ShearX", 0.6, 5), ("Equalize", 1.0, None)),
        (("Color", 0.4, 0), ("Equalize", 0.6, None)),
        (("Equalize", 0.4, None), ("Solarize", 0.2, 4)),
        (("Solarize", 0.6, 5), ("AutoContrast", 0.6, None)),
        (("Invert", 0.6, None), ("Equalize", 1.0, None)),
        (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
        (("Equalize", 0.8, None), ("Equalize", 0.6, None)),
    ),
    "cifar10": (
        (("Invert", 0.1, None), ("Contrast", 0.2, 6)),
        (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
        (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
        (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
        (("AutoContrast", 0.5, None), ("Equalize", 0.9, None)),
        (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
        (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
        (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
        (("Equalize", 0.6, None), ("Equalize", 0.5, None)),
        (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
        (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
        (("Equalize", 0.3, None), ("AutoContrast", 0.4, None)),
        (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
        (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
        (("Solarize", 0.5, 2), ("Invert", 0.0, None)),
        (("Equalize", 0.2, None), ("AutoContrast", 0.6, None)),
        (("Equalize", 0.2, None), ("Equalize", 0.6, None)),
        (("Color", 0.9, 9), ("Equalize", 0.6, None)),
        (("AutoContrast", 0.8, None), ("Solarize", 0.2, 8)),
        (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
        (("Solarize", 0.4, 5), ("AutoContrast", 0.9, None)),
        (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
        (("AutoContrast", 0.9, None), ("Solarize", 0.8, 3)),
        (("Equalize", 0.8, None), ("Invert", 0.1, None)),
        (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, None)),
    ),
    "svhn": (
        (("ShearX", 0.9, 4), ("Invert", 0.2, None)),
        (("ShearY", 0.9, 8), ("Invert", 0.7, None)),
        (("Equalize", 0.6, None), ("Solarize", 0.6, 6)),
        (("Invert", 0.9, None), ("Equalize", 0.6, None)),
        (("Equalize", 0.6, None), ("Rotate", 0.9, 3)),
        (("ShearX", 0.9, 4), ("AutoContrast", 0.8, None)),
        (("ShearY", 0.9, 8), ("Invert", 0.4, None)),
        (("ShearY", 0.9, 5), ("Solarize", 0.2, 6)),
        (("Invert", 0.9, None), ("AutoContrast", 0.8, None)),
        (("Equalize", 0.6, None), ("Rotate", 0.9, 3)),
        (("ShearX", 0.9, 4), ("Solarize", 0.3, 3)),
        (("ShearY", 0.8, 8), ("Invert", 0.7, None)),
        (("Equalize", 0.9, None), ("TranslateY", 0.6, 6)),
        (("Invert", 0.9, None), ("Equalize", 0.6, None)),
        (("Contrast", 0.3, 3), ("Rotate", 0.8, 4)),
        (("Invert", 0.8, None), ("TranslateY", 0.0, 2)),
        (("ShearY", 0.7, 6), ("Solarize", 0.4, 8)),
        (("Invert", 0.6, None), ("Rotate", 0.8, 4)),
        (("ShearY", 0.3, 7), ("TranslateX", 0.9, 3)),
        (("ShearX", 0.1, 6), ("Invert", 0.6, None)),
        (("Solarize", 0.7, 2), ("TranslateY", 0.6, 7)),
        (("ShearY", 0.8, 4), ("Invert", 0.8, None)),
        (("ShearX", 0.7, 9), ("TranslateY", 0.8, 3)),
        (("ShearY", 0.8, 5), ("AutoContrast", 0.7, None)),
        (("ShearX", 0.7, 2), ("Invert", 0.1, None)),
    ),
}


def apply_steps(image, steps, ops):
    """Apply drawn steps one after another.

    Args:
        image: uint8 or float32 array `(height, width, channels)`; `Color` acts on 3 channels only.
        steps: pairs `(operation, value)`, see `OPERATIONS`.
        ops: `kagglekit.augment.OPS`, which imports this module and so cannot be imported here.

    Returns:
        Array like `image`.

    Example:

    >>> from kagglekit.augment import OPS
    >>> apply_steps(np.full((1, 1, 3), 200, np.uint8), [("Invert", 0), ("Brightness", 1.0)], OPS)
    array([[[110, 110, 110]]], dtype=uint8)
    """
    for name, value in steps:
        if name != "Identity":
            operation = OPERATIONS[name]
            parameters = operation.parameters(value, image.shape[:2])
            image = ops[operation.op].change(image, parameters, border="constant")
    return image


def apply_augmix(image, mixture, ops):
    """Mix an image with several augmented copies of itself.

    Args:
        image: uint8 or float32 array `(height, width, channels)`.
        mixture: pairs `(share, steps)`, see `apply_steps`; the image itself gets the share that is left of 1.
        ops: as `apply_steps` takes them.

    Returns:
        Array like `image`.
    """
    if not mixture:
        return image
    total = image.astype(np.float32) * np.float32(1 - sum(share for share, _ in mixture))
    for share, steps in mixture:
        total = cv2.addWeighted(total, 1.0, apply_steps(image, steps, ops), share, 0.0, dtype=cv2.CV_32F)
    total = total.reshape(image.shape)
    return to_uint8(total) if image.dtype == np.uint8 else np.clip(total, 0, 255, out=total)


def value_at_magnitude(operation, magnitude, ranges, *, negative=False):
    """Return the value of an operation at a magnitude from 0 to 1; bits are rounded.

    Example:

    >>> value_at_magnitude("Posterize", 1.0, NARROW), value_at_magnitude("Rotate", 0.5, NARROW, negative=True)
    (4, -15.0)
    """
    start, end = ranges.get(operation, (0, 0))
    value = start + (end - start) * magnitude
    if operation == "Posterize":
        return round(value)
    return -value if negative and operation in OPERATIONS and OPERATIONS[operation].signed else value


def draw_autoaugment(rng, strength, *, table):
    """Draw with probability `strength` one of the 25 sub-policies, its two operations with their own probabilities.

    Magnitudes 0-9 are ten equal steps over the ranges (Cubuk et al. 2019, appendix; torchvision does the same). The
    sign of a signed operation is drawn. The paper's search fixed the magnitudes, so the strength is a probability.

    Args:
        rng: `np.random.Generator`.
        strength: probability from 0 to 1.
        table: key of `AUTOAUGMENT`: `"imagenet"`, `"cifar10"` or `"svhn"`.

    Returns:
        A tuple of steps.
    """
    sub_policy = AUTOAUGMENT[table][rng.integers(25)]
    policy_chance, *chances = rng.random(3)
    signs = rng.random(2) < 0.5
    return tuple(
        (operation, value_at_magnitude(operation, (level or 0) / 9, NARROW, negative=negative))
        for (operation, probability, level), chance, negative in zip(sub_policy, chances, signs, strict=True)
        if policy_chance < strength and chance < probability
    )


def draw_randaugment(rng, strength):
    """Draw two of 14 operations, with repetition, all at magnitude `strength` of 10.

    Cubuk et al. 2020, "RandAugment": n = 2, m = 9 for ResNet-50. Their code and timm's `rand-m9` divide m by 10, so
    that 9 means 27 degrees; torchvision's default of 9 is out of 30 levels: 9 degrees, which is 3 here. At most 10.
    """
    return _random_steps(rng, strength, 2, tuple(NARROW) + _UNGRADED, NARROW, lambda: min(strength / 10, 1))


def draw_trivialaugment(rng, strength):
    """Draw one of 14 operations at one of 31 magnitudes, scaled by `strength`: TrivialAugment's wide space at 1.

    Mueller and Hutter 2021, "TrivialAugment: tuning-free yet state-of-the-art data augmentation".
    """
    magnitude = min(strength * int(rng.integers(31)) / 30, 1)
    return _random_steps(rng, strength, 1, tuple(WIDE) + _UNGRADED, WIDE, lambda: magnitude)


def draw_augmix(rng, strength):
    """Draw three chains of one to three operations of severity `strength` of 10, and their shares in the mixture.

    Hendrycks et al. 2020, "AugMix": severity 3, the chains' shares from a Dirichlet and the image's from a Beta
    distribution, both with alpha 1. Its loss on the consistency of mixtures is not part of this.

    Returns:
        Pairs `(share, steps)` for `apply_augmix`.
    """
    if strength <= 0:
        return ()
    shares = rng.dirichlet([1.0] * 3) * rng.beta(1.0, 1.0)
    return tuple(
        (
            float(share),
            _random_steps(
                rng, strength, rng.integers(1, 4), tuple(MIXED), MIXED, lambda: min(rng.uniform(0.1, strength) / 10, 1)
            ),
        )
        for share in shares
    )


def _random_steps(rng, strength, count, operations, ranges, draw_magnitude):
    if strength <= 0:
        return ()
    names = [operations[index] for index in rng.integers(len(operations), size=count)]
    return tuple(
        (name, value_at_magnitude(name, draw_magnitude(), ranges, negative=rng.random() < 0.5)) for name in names
    )
