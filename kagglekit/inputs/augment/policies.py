"""Policies: named lists of ops with their strengths."""

import tensorflow as tf

from kagglekit._checks import check_choice
from kagglekit.inputs.augment.ops import OPS, draw_window, window_box

_PHOTO = (("window", 0.35), ("brightness", 0.1), ("contrast", 0.2))

# policy -> ops in the order they are applied, each with the strength that its drawing function explains
POLICIES = {
    "none": (),
    "light": (*_PHOTO, ("flip_horizontal", 0.5)),
    "light_no_flip": _PHOTO,
    "all_flips": (*_PHOTO, ("flip_horizontal", 0.5), ("flip_vertical", 0.5)),
    "tiny": (("shift", 0.13), ("contrast", 0.2)),
}


def random_box(box, seed, policy, strength=1.0):
    """Draw the policy's random window inside a box `(top, left, height, width)`, in pixels, before it is decoded.

    Returns:
        The window as such a box; the box itself where the policy has no window.
    """
    check_choice("policy", policy, POLICIES)
    windows = [(number, value) for number, (name, value) in enumerate(POLICIES[policy]) if name == "window"]
    if strength == 0 or not windows:
        return box
    number, value = windows[0]
    window = draw_window(tf.random.experimental.stateless_fold_in(seed, number), value * strength)
    return window_box(box, window)


def augmented(image, seed, policy, strength=1.0):
    """Apply the policy's other ops to a float picture that has the network's size.

    Args:
        image: float32 in `[0, 255]` of shape `(height, width, channels)`.
        seed: pair of integers; the same pair gives the same picture.
        policy: a key of `POLICIES`.
        strength: factor on every strength, but for the flips (0 switches these off as well).

    Returns:
        float32 in `[0, 255]` of the same shape.

    Example:

    >>> import tensorflow as tf
    >>> augmented(tf.ones((4, 4, 3)), (0, 1), "light").shape.as_list()
    [4, 4, 3]
    """
    check_choice("policy", policy, POLICIES)
    if strength == 0:
        return image
    for number, (name, value) in enumerate(POLICIES[policy]):
        if name != "window":
            draw, apply = OPS[name]
            value = value if name.startswith("flip") else value * strength
            image = apply(image, draw(tf.random.experimental.stateless_fold_in(seed, number), value))
    return image
