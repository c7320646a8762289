"""Stored bytes to images: decoded no larger than needed, and brought to the network's size.

JPEGs are decoded by simplejpeg (libjpeg-turbo itself), or by OpenCV where that is not installed; with the accurate DCT,
which costs nothing with SIMD, both give PIL's pixels, reduced ones included.
"""

import cv2
import numpy as np

from kagglekit.augment import apply, draw
from kagglekit.augment.geometry import resize
from kagglekit.records.encoding import is_jpeg

try:
    import simplejpeg
except ImportError:  # Kaggle's image without internet; a fifth slower
    simplejpeg = None

_RATIOS = (8, 4, 2)  # by which libjpeg can reduce fast while it decodes
# What OpenCV calls them, for colour and for grey
_REDUCED = {
    3: {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    },
    1: {
        1: cv2.IMREAD_GRAYSCALE,
        2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
        4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
        8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    },
}
GREY = 128  # fills what a letterboxed image leaves free


class Decoder:
    """Decodes the images of one set of records for one recipe.

    Boxes are `(top, left, height, width)` in pixels of the stored image.

    Args:
        records: `Records`: number of planes and bits of the stored images are used.
        recipe: a `Recipe`: `image_size`, `channels` and `resize` are used.
    """

    def __init__(self, records, recipe):
        size = recipe.image_size
        self.size = size if isinstance(size, tuple) else (size, size)
        self.channels, self.resize = recipe.channels, recipe.resize
        self.border = "constant" if recipe.resize == "letterbox" else None  # grey, also where an image is rotated
        self.planes, self.deep = records.manifest["planes"], records.manifest["bits"] == 16
        if self.planes > 1 and self.planes != self.channels:
            raise ValueError(
                f"the records hold images of {self.planes} files a row; use recipe.replace(channels={self.planes})"
            )
        if self.planes == 1 and self.channels not in (1, 3):
            raise ValueError(f"the records hold one file a row, so channels must be 1 or 3, got {self.channels}")

    def box(self, shape, place=(0.5, 0.5)):
        """Return the part of a stored image that the network sees.

        The whole image; for `short_side_crop` the largest part of the network's shape, in the middle or where `place`
        (two shares from 0 to 1) says; for `letterbox` more than the image, of the network's shape.
        """
        height, width = shape
        if self.resize == "short_side_crop":
            scale = min(height / self.size[0], width / self.size[1])
            lengths = [min(max(1, round(scale * side)), full) for side, full in zip(self.size, shape, strict=True)]
            top, left = (int((full - side) * at) for full, side, at in zip(shape, lengths, place, strict=True))
            return top, left, *lengths
        if self.resize == "letterbox":
            inner_size, offset = self._letterbox(shape)
            scale = height / inner_size[0], width / inner_size[1]
            return (
                -offset[0] * scale[0],
                -offset[1] * scale[1],
                self.size[0] * scale[0],
                self.size[1] * scale[1],
            )
        return 0, 0, height, width

    def decode(self, planes, shape, window):
        """Decode an image, a JPEG reduced as far as leaves the window at least the network's size.

        Args:
            planes: encoded bytes of each plane.
            shape: stored `(height, width)`.
            window: the box that the network will see.

        Returns:
            The whole image, `(height, width, channels)`, uint8; float32 in `[0, 255]` where it has 16 bits.
        """
        reduction = min(window[2] / self.size[0], window[3] / self.size[1])
        ratio = next((ratio for ratio in _RATIOS if reduction >= ratio), 1)
        if self.planes == 1:
            return _decode_plane(planes[0], self.channels, shape, ratio)
        return np.concatenate([_decode_plane(plane, 1, shape, ratio) for plane in planes], axis=2)

    def fit(self, image, box, shape, out):
        """Write the box of a decoded image, brought to the network's size, into `out`.

        Bilinear down to half the size, beyond that the mean of the pixels: nothing aliases.

        Args:
            image: what `decode` returned.
            box: what `box` returned, or a part of that.
            shape: stored `(height, width)`.
            out: float32 array `(height, width, channels)` of the network's size.
        """
        if self.resize == "letterbox":
            (height, width), (top, left) = self._letterbox(shape)
            out[:] = GREY
            out[top : top + height, left : left + width] = _resize_float(image, (height, width))
            whole = self.box(shape)
            if box != whole:  # a part of the finished image
                scale = self.size[0] / whole[2], self.size[1] / whole[3]
                scaled = [(box[i] - whole[i]) * scale[i] for i in (0, 1)] + [box[i] * scale[i - 2] for i in (2, 3)]
                out[:] = _resize_float(_cut_box(out, scaled), self.size)
            return
        scale = image.shape[0] / shape[0], image.shape[1] / shape[1]
        region = _cut_box(image, [edge * scale[number % 2] for number, edge in enumerate(box)])
        out[:] = region if region.shape[:2] == self.size else _resize_float(region, self.size)

    def augment(self, planes, shape, policy, rng, *, strength=1.0, centred=False, out):
        """Write an image into `out` as a policy changes it.

        Args:
            planes: encoded bytes of each plane.
            shape: stored `(height, width)`.
            policy, rng, strength: as `kagglekit.augment.draw` takes them.
            centred: with `short_side_crop`, look at the middle as evaluation does; else anywhere.
            out: float32 array `(height, width, channels)` of the network's size.
        """
        anywhere = self.resize == "short_side_crop" and not centred
        box = self.box(shape, rng.uniform(size=2)) if anywhere else self.box(shape)
        drawn = draw(policy, rng, box=box, size=self.size, strength=strength)
        image = self.decode(planes, shape, drawn.window)
        if drawn.steps:
            out[:] = apply(drawn, image, shape, border=self.border)
        else:
            self.fit(image, drawn.window, shape, out=out)

    def _letterbox(self, shape):
        """Height and width of the whole image inside the network's size, and its offset from the top and left."""
        scale = min(self.size[0] / shape[0], self.size[1] / shape[1])
        inner_size = [min(max(1, round(full * scale)), side) for full, side in zip(shape, self.size, strict=True)]
        return inner_size, [(side - length) // 2 for side, length in zip(self.size, inner_size, strict=True)]


def _decode_plane(content, channels, shape, ratio):
    jpeg = is_jpeg(content)
    if jpeg and simplejpeg is not None:
        space = "RGB" if channels == 3 else "GRAY"
        if ratio == 1:
            return simplejpeg.decode_jpeg(content, space)
        min_size = [-(-side // ratio) for side in shape]
        return simplejpeg.decode_jpeg(content, space, min_height=min_size[0], min_width=min_size[1])
    flags = _REDUCED[channels][ratio if jpeg else 1] | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise ValueError("OpenCV cannot decode a stored image; delete the records and call kk.write_records again")
    if image.dtype == np.uint16:
        image = image.astype(np.float32) / 257
    if channels == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return image[..., None]


def _cut_box(image, box):
    """The whole pixels of a box, at least one."""
    top, left, height, width = (round(edge) for edge in box)
    top, left = min(top, image.shape[0] - 1), min(left, image.shape[1] - 1)
    return image[top : top + max(1, height), left : left + max(1, width)]


def _resize_float(image, size):
    """The image at a size, float32: what evaluation shows is not rounded."""
    return resize(np.ascontiguousarray(image, np.float32), size)
