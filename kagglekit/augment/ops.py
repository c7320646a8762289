"""The ops by name. One entry of `OPS` says everything about an op, so that a new one is added here alone.

The docstring of each op's drawing function says what its strength means; at strength 0 every op leaves the image as it
is.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from math import radians, tan

from kagglekit._checks import check_choice
from kagglekit.augment import automatic, colour, filters, masks, tone
from kagglekit.augment import geometry as move
from kagglekit.augment.pixels import draw_chance, draw_factor
from kagglekit.augment.views import DIHEDRAL

KINDS = ("window", "geometric", "colour", "image")
_MAX_CHANNELS = 2**16  # more channels than any image has


@dataclasses.dataclass(frozen=True)
class Op:
    """One augmentation op.

    Args:
        kind: says how `apply` is called. `"window"`: `apply(box, parameters)` gives the part of the box that the
            network sees. `"geometric"`: `apply(parameters, size)` gives a matrix for an image of this size. `"colour"`:
            `apply(matrix, parameters, mean)` extends a colour matrix. `"image"`: `apply(image, parameters)` gives
            an image.
        draw: `draw(rng, strength)` draws the parameters, plain values.
        apply: applies them; see `kind`.
        shown: a strength whose effect is easy to see, for `plot_ops`.
        border: of a geometric op, what fills the area outside the image, see `geometry.warp`.
        scales: whether `augment_strength` multiplies the op's strength. The chance of a flip or turn stays: one that
            is safe is not safer for being rarer.
        views: test-time views, names of `VIEWS`, that suit a network trained with the op.
        channels: the numbers of channels for which the op is defined; an image of another number stays as it is.

    Raises:
        ValueError: if the kind is unknown.

    Example:

    >>> dimmer = Op("image", lambda rng, strength: rng.random() * strength, lambda image, share: (1 - share) * image)
    >>> dimmer.scaled(0.4, 0.5), 6 in dimmer.channels
    (0.2, True)
    """

    kind: str
    draw: Callable
    apply: Callable
    _: dataclasses.KW_ONLY
    shown: float = 1.0
    border: str = "replicate"
    scales: bool = True
    views: tuple = ()
    channels: range = range(1, _MAX_CHANNELS)

    def __post_init__(self):
        check_choice("kind", self.kind, KINDS)

    def scaled(self, strength, factor):
        """Return the op's strength at a factor such as a recipe's `augment_strength`, more than 0."""
        return strength * factor if self.scales else strength

    def change(self, image, parameters, *, border=None):
        """Return an image, changed by this op alone, at the size it has; a window has no meaning here.

        Args:
            image: uint8 or float32 array `(height, width, channels)`.
            parameters: what `draw` returned.
            border: instead of the op's own.
        """
        if self.kind == "geometric":
            return move.warp(image, self.apply(parameters, image.shape[:2]), border=border or self.border)
        if self.kind == "colour":
            return colour.recolour(image, [(self.apply, parameters)])
        return self.apply(image, parameters)


def _dihedral(number, size):
    """No quarter turns for an image that is not square: four of the eight symmetries remain, equally likely."""
    return move.dihedral_matrix(number if size[0] == size[1] else number & ~1)


def _automatic(draw, shown=1.0):
    return Op("image", draw, lambda image, steps: automatic.apply_steps(image, steps, OPS), shown=shown)


_RGB = range(3, 4)
OPS = {
    "window": Op("window", move.draw_window, move.window_to_pixels, shown=0.7),
    "random_resized_crop": Op("window", move.draw_random_resized_crop, move.window_to_pixels, shown=0.7),
    "flip_horizontal": Op(
        "geometric", draw_chance, lambda flip, size: move.flip_matrix(horizontal=flip), scales=False, views=("hflip",)
    ),
    "flip_vertical": Op(
        "geometric", draw_chance, lambda flip, size: move.flip_matrix(vertical=flip), scales=False, views=("vflip",)
    ),
    "dihedral": Op("geometric", move.draw_dihedral, _dihedral, scales=False, views=DIHEDRAL[1:]),
    "rotation": Op(
        "geometric", move.draw_rotation, lambda degrees, size: move.rotation_matrix(degrees), shown=30, border="reflect"
    ),
    "shear_x": Op(
        "geometric", move.draw_shear, lambda shear, size: move.shear_matrix(x=shear), shown=0.3, border="reflect"
    ),
    "shear_y": Op(
        "geometric", move.draw_shear, lambda shear, size: move.shear_matrix(y=shear), shown=0.3, border="reflect"
    ),
    "zoom": Op("geometric", move.draw_zoom, lambda factor, size: move.zoom_matrix(factor), shown=0.5, border="reflect"),
    # Whole pixels, so that a shift alone blurs nothing
    "shift": Op(
        "geometric",
        move.draw_shift,
        lambda shift, size: move.shift_matrix(round(shift[0] * size[0]), round(shift[1] * size[1])),
        shown=0.2,
    ),
    "rotation_normal": Op(
        "geometric",
        move.draw_rotation_normal,
        lambda degrees, size: move.rotation_matrix(degrees),
        shown=30,
        border="reflect",
    ),
    "shear_normal": Op(
        "geometric",
        move.draw_rotation_normal,
        lambda degrees, size: move.shear_matrix(x=tan(radians(degrees))),
        shown=15,
        border="reflect",
    ),
    "zoom_normal": Op(
        "geometric",
        move.draw_zoom_normal,
        lambda factors, size: move.zoom_matrix(*factors),
        shown=0.3,
        border="reflect",
    ),
    "shift_normal": Op("geometric", move.draw_shift_normal, lambda shift, size: move.shift_matrix(*shift), shown=20),
    "brightness": Op("colour", draw_factor, colour.brightness, shown=0.5),
    "brightness_shift": Op("colour", colour.draw_brightness_shift, colour.brightness_shift, shown=0.3),
    "contrast": Op("colour", draw_factor, colour.contrast, shown=0.7),
    "saturation": Op("colour", draw_factor, colour.saturation, shown=0.9, channels=_RGB),
    "hue": Op("colour", colour.draw_hue, colour.hue, shown=0.3, channels=_RGB),
    "grey": Op("colour", draw_chance, colour.grey, channels=_RGB),
    "posterize": Op("image", tone.draw_posterize, tone.posterize, shown=6),
    "solarize": Op("image", tone.draw_solarize, tone.solarize, shown=0.6),
    "solarize_add": Op("image", tone.draw_solarize_add, tone.solarize_add, shown=0.4),
    "invert": Op("image", draw_chance, tone.invert),
    "autocontrast": Op("image", draw_chance, tone.autocontrast),
    "equalize": Op("image", draw_chance, tone.equalize),
    "sharpness": Op("image", draw_factor, filters.sharpness),
    "blur": Op("image", filters.draw_blur, filters.gaussian_blur, shown=3),
    "noise": Op("image", filters.draw_noise, filters.gaussian_noise, shown=0.15),
    "jpeg": Op("image", filters.draw_jpeg, filters.jpeg, shown=0.95),
    "channel_jitter": Op("image", filters.draw_channel_jitter, filters.channel_jitter, shown=0.4),
    "channel_dropout": Op(
        "image", filters.draw_channel_dropout, filters.channel_dropout, channels=range(2, _MAX_CHANNELS)
    ),
    "cutout": Op("image", masks.draw_cutout, masks.hide, shown=0.4),
    "erasing": Op("image", masks.draw_erasing, masks.hide),
    "erasing_mean": Op("image", masks.draw_erasing_mean, masks.hide),
    "hide_and_seek": Op("image", masks.draw_hide_and_seek, masks.hide, shown=0.4),
    "grid_mask": Op("image", masks.draw_grid_mask, masks.hide),
    "coarse_dropout": Op("image", masks.draw_coarse_dropout, masks.hide),
    "autoaugment_imagenet": _automatic(partial(automatic.draw_autoaugment, table="imagenet")),
    "autoaugment_cifar10": _automatic(partial(automatic.draw_autoaugment, table="cifar10")),
    "autoaugment_svhn": _automatic(partial(automatic.draw_autoaugment, table="svhn")),
    "randaugment": _automatic(automatic.draw_randaugment, shown=9),
    "trivialaugment": _automatic(automatic.draw_trivialaugment),
    "augmix": Op(
        "image", automatic.draw_augmix, lambda image, mixture: automatic.apply_augmix(image, mixture, OPS), shown=5
    ),
}
