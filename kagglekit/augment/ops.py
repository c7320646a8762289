"""The ops by name: how each is drawn and what its parameters are applied with.

Four kinds. `window`: `apply(box, parameters)` gives the part of the box that will be looked at. `geometric`:
`apply(parameters, size)` gives a matrix for a picture of this size. `colour`: `apply(matrix, parameter, mean)` goes on
from a colour matrix. `picture`: `apply(image, parameters)` gives a picture. `draw(rng, strength)` is the same for all;
what the strength means stands in its docstring, and at strength 0 every op leaves the picture as it is.
"""

from collections.abc import Callable
from functools import partial
from math import radians, tan
from typing import NamedTuple

from kagglekit.augment import automatic, colour, filters, masks, tone
from kagglekit.augment import geometry as move
from kagglekit.augment.pixels import draw_chance, draw_factor


class Op(NamedTuple):
    """An op: its kind, how it is drawn, how it is applied, and for geometric ops what comes in from outside."""

    kind: str
    draw: Callable
    apply: Callable
    border: str = "replicate"


def _dihedral(number, size):
    """A picture that is not square is turned by no quarters: what is left are four of the eight, equally likely."""
    return move.dihedral_matrix(number if size[0] == size[1] else number & ~1)


OPS = {
    "window": Op("window", move.draw_window, move.window_in),
    "random_resized_crop": Op("window", move.draw_random_resized_crop, move.window_in),
    "flip_horizontal": Op("geometric", draw_chance, lambda flip, size: move.flip_matrix(horizontal=flip)),
    "flip_vertical": Op("geometric", draw_chance, lambda flip, size: move.flip_matrix(vertical=flip)),
    "dihedral": Op("geometric", move.draw_dihedral, _dihedral),
    "rotation": Op("geometric", move.draw_rotation, lambda degrees, size: move.rotation_matrix(degrees), "reflect"),
    "shear_x": Op("geometric", move.draw_shear, lambda shear, size: move.shear_matrix(x=shear), "reflect"),
    "shear_y": Op("geometric", move.draw_shear, lambda shear, size: move.shear_matrix(y=shear), "reflect"),
    "zoom": Op("geometric", move.draw_zoom, lambda factor, size: move.zoom_matrix(factor), "reflect"),
    # Whole pixels, so that a shift alone blurs nothing
    "shift": Op(
        "geometric",
        move.draw_shift,
        lambda shift, size: move.shift_matrix(round(shift[0] * size[0]), round(shift[1] * size[1])),
    ),
    "rotation_normal": Op(
        "geometric", move.draw_rotation_normal, lambda degrees, size: move.rotation_matrix(degrees), "reflect"
    ),
    "shear_normal": Op(
        "geometric",
        move.draw_rotation_normal,
        lambda degrees, size: move.shear_matrix(x=tan(radians(degrees))),
        "reflect",
    ),
    "zoom_normal": Op("geometric", move.draw_zoom_normal, lambda factors, size: move.zoom_matrix(*factors), "reflect"),
    "shift_normal": Op("geometric", move.draw_shift_normal, lambda shift, size: move.shift_matrix(*shift)),
    "brightness": Op("colour", draw_factor, colour.brightness),
    "brightness_shift": Op("colour", colour.draw_brightness_shift, colour.brightness_shift),
    "contrast": Op("colour", draw_factor, colour.contrast),
    "saturation": Op("colour", draw_factor, colour.saturation),
    "hue": Op("colour", colour.draw_hue, colour.hue),
    "grey": Op("colour", draw_chance, colour.grey),
    "posterize": Op("picture", tone.draw_posterize, tone.posterize),
    "solarize": Op("picture", tone.draw_solarize, tone.solarize),
    "solarize_add": Op("picture", tone.draw_solarize_add, tone.solarize_add),
    "invert": Op("picture", draw_chance, tone.invert),
    "autocontrast": Op("picture", draw_chance, tone.autocontrast),
    "equalize": Op("picture", draw_chance, tone.equalize),
    "sharpness": Op("picture", draw_factor, filters.sharpness),
    "blur": Op("picture", filters.draw_blur, filters.gaussian_blur),
    "noise": Op("picture", filters.draw_noise, filters.gaussian_noise),
    "jpeg": Op("picture", filters.draw_jpeg, filters.jpeg),
    "channel_jitter": Op("picture", filters.draw_channel_jitter, filters.channel_jitter),
    "channel_dropout": Op("picture", filters.draw_channel_dropout, filters.channel_dropout),
    "cutout": Op("picture", masks.draw_cutout, masks.hide),
    "erasing": Op("picture", masks.draw_erasing, masks.hide),
    "erasing_mean": Op("picture", masks.draw_erasing_mean, masks.hide),
    "hide_and_seek": Op("picture", masks.draw_hide_and_seek, masks.hide),
    "grid_mask": Op("picture", masks.draw_grid_mask, masks.hide),
    "coarse_dropout": Op("picture", masks.draw_coarse_dropout, masks.hide),
    "autoaugment_imagenet": Op("picture", partial(automatic.draw_autoaugment, table="imagenet"), automatic.apply_steps),
    "autoaugment_cifar10": Op("picture", partial(automatic.draw_autoaugment, table="cifar10"), automatic.apply_steps),
    "autoaugment_svhn": Op("picture", partial(automatic.draw_autoaugment, table="svhn"), automatic.apply_steps),
    "randaugment": Op("picture", automatic.draw_randaugment, automatic.apply_steps),
    "trivialaugment": Op("picture", automatic.draw_trivialaugment, automatic.apply_steps),
    "augmix": Op("picture", automatic.draw_augmix, automatic.apply_augmix),
}
