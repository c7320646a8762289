"""What one decode of an image gives: its facts, a hash of its pixels, and thumbnails."""

import functools
import hashlib
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kagglekit.audit import similarity
from kagglekit.competition import sources

SIDE = 32  # pixels of the colour thumbnails
EXTREME_ASPECT = 10  # long side over short side
_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".webp": "WEBP"}
_FORMATS |= {".tif": "TIFF", ".tiff": "TIFF"}


class Facts(NamedTuple):
    """What one decode of an image gave, about 7 KB.

    Args:
        width, height, channels, mode, bytes, problem: as `kk.check_images` reports them.
        error: why the pixels cannot be decoded; empty where they can, even if a run would stop at the file.
        pixel_hash: hexadecimal SHA-256 of the upright pixels; equal for equal pixels, whatever the file looks like.
        statistics: float32 `(2, channels)`, mean and standard deviation of each channel in grey levels of 0 to 255.
        greys: uint8 `(crops, 32, 32)` of `similarity.thumbnails`; `(0, 32, 32)` where the shorter side is below 32.
        colours: uint8 `(32, 32, channels)`, upright, squeezed or enlarged to a square; 1 channel for grey, 3 for
            colour, one for each file of a tuple. Pixels of 16 bits are stretched so that the brightest is 255.
    """

    width: int = 0
    height: int = 0
    channels: int = 0
    mode: str = ""
    bytes: int = 0
    problem: str = ""
    error: str = ""
    pixel_hash: str = ""
    statistics: np.ndarray = np.empty((2, 0), np.float32)
    greys: np.ndarray = np.empty((0, similarity.SIDE, similarity.SIDE), np.uint8)
    colours: np.ndarray = np.empty((SIDE, SIDE, 0), np.uint8)


class _DecodedFile(NamedTuple):
    """What one file of an image gave."""

    size: tuple
    upright_size: tuple
    mode: str
    oddities: list
    damage: str
    statistics: np.ndarray
    greys: np.ndarray | None
    colours: np.ndarray


def image_facts(root, source):
    """Read and decode an image once.

    Args:
        root: folder of the competition.
        source: a `source` of the table.

    Returns:
        `Facts`; what cannot be read has a `problem` that begins with "unreadable".
    """
    size, decoded, hasher = 0, [], hashlib.sha256()
    several = isinstance(source, tuple)
    try:
        for part in sources.parts(source):
            # Read as a whole: PIL's many small reads of a file each wait for the other threads.
            content = sources.read_bytes(root, part)
            size += len(content)
            decoded.append(_decode(content, part, several, hasher))
        sizes = dict.fromkeys(part.upright_size for part in decoded)
        if len(sizes) > 1:
            raise ValueError("parts of different sizes: " + ", ".join(f"{width}x{height}" for width, height in sizes))
    except UnidentifiedImageError:
        reason = "unknown image format" if size else "the file is empty"
    except sources.UNREADABLE as error:
        reason = str(error) or type(error).__name__
    else:
        return _joined(source, decoded, size, hasher.hexdigest())
    which = f"{source[len(decoded)]}: " if several and len(decoded) < len(source) and size else ""
    return Facts(bytes=size, problem=f"unreadable: {which}{reason}", error=reason)


def _joined(source, decoded, size, pixel_hash):
    pixels = {"pixel_hash": pixel_hash, "colours": np.concatenate([part.colours for part in decoded], axis=-1)}
    if decoded[0].greys is not None:
        greys = decoded[0].greys if len(decoded) == 1 else np.mean([part.greys for part in decoded], axis=0)
        pixels["greys"] = greys if greys.dtype == np.uint8 else greys.round().astype(np.uint8)
    for name, part in zip(sources.parts(source), decoded, strict=True):
        if part.damage:
            which = f"{name}: " if isinstance(source, tuple) else ""
            return Facts(bytes=size, problem=f"unreadable: {which}{part.damage}", **pixels)
    statistics = np.concatenate([part.statistics for part in decoded], axis=1)
    return Facts(
        *decoded[0].size,
        channels=statistics.shape[1],
        mode=" + ".join(dict.fromkeys(part.mode for part in decoded)),
        bytes=size,
        problem="; ".join(dict.fromkeys(oddity for part in decoded for oddity in part.oddities)),
        statistics=statistics,
        **pixels,
    )


def _decode(content, part, single, hasher):
    """Return what one file gives, and feed its pixels to the hasher; `single`: it is one channel of several."""
    with sources.open_content(content) as image:
        size, mode, is_png = image.size, image.mode, image.format == "PNG"
        oddities = _oddities(part, image)
        image.load()
        upright = ImageOps.exif_transpose(image) if "EXIF-rotated" in oddities else image
        comparable = _comparable(upright)
        hasher.update(repr((comparable.mode, comparable.size)).encode())
        hasher.update(comparable.tobytes())
        wanted = "I" if mode.startswith("I") else "L" if single or mode in ("1", "L", "LA") else "RGB"
        shown = comparable if comparable.mode == wanted else _converted(upright, wanted)
        stored = shown if upright is image else _converted(image, wanted)
        return _DecodedFile(
            size=size,
            upright_size=upright.size,
            mode=mode,
            oddities=oddities,
            damage=_wrong_checksum(content) if is_png else "",
            statistics=_statistics(stored),
            greys=None if min(upright.size) < similarity.SIDE else similarity.thumbnails(_grey(comparable)),
            colours=_colours(shown),
        )


def _converted(image, mode):
    return image if image.mode == mode else image.convert(mode)


def _wrong_checksum(content):
    """Return the error of a PNG that PIL decodes all the same and TensorFlow refuses; else empty text."""
    try:
        with sources.open_content(content) as image:
            image.verify()
    except sources.UNREADABLE as error:
        return str(error)
    return ""


def _comparable(image):
    """Bring images that look the same to the same mode: RGB, RGBA where something is transparent, I for 16 bits."""
    if image.mode.startswith(("I", "F")):  # convert would clip 16 bits and more to 8
        return _converted(image, "F" if image.mode == "F" else "I")
    if image.mode in ("LA", "PA", "La", "RGBa", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getextrema()[3] != (255, 255):
            return image
    return _converted(image, "RGB")


def _grey(image):
    if image.mode not in ("I", "F"):
        return image.convert("L")
    # A camera or scanner may fill only 12 of the 16 bits: the brightest becomes 255
    values = np.asarray(image, np.float32)
    return Image.fromarray(values * (255 / max(float(values.max()), 1e-6)))


def _statistics(image):
    """Return mean and standard deviation of each channel, `(2, channels)`, of an image of mode L, RGB or I."""
    factor = next((factor for factor in (8, 4, 2) if min(image.size) >= 16 * factor), 1)
    weights = _weights(image.size, factor)
    scale = 257 if image.mode == "I" else 1
    # One row a channel: numpy is slow along an axis of 3
    reduced = np.asarray(image.reduce(factor) if factor > 1 else image)
    pixels = reduced.reshape(len(weights), -1).T.astype(np.float32, order="C")
    means = pixels @ weights
    pixels -= means[:, None]
    return np.array([means, np.sqrt((pixels * pixels) @ weights)]) / scale


@functools.lru_cache(maxsize=64)
def _weights(size, factor):
    """Return the share of an image that each square covers, row by row: the last ones may reach over the edge."""
    width, height = (np.minimum(side - np.arange(0, side, factor), factor) / side for side in size)
    return np.outer(height, width).ravel().astype(np.float32)


def stretched_to_8_bits(image):
    """Return a 16-bit image as 8 bits, its brightest pixel at 255: scanners seldom use the whole range."""
    values = np.asarray(image, np.float32).clip(0)
    return Image.fromarray((values * (255 / max(values.max(), 1))).astype(np.uint8))


def _colours(image):
    if image.mode == "I":
        image = stretched_to_8_bits(image)
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=1.0))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _oddities(part, image):
    """Return what is unusual about an image that is open and not yet decoded."""
    oddities, mode = [], image.mode
    form = "JPEG" if image.format == "MPO" else image.format  # a phone's JPEG with further images behind the first
    suffix = "." + part.rpartition(".")[2].lower()
    if sources.file_of(part) == part and _FORMATS.get(suffix, form) != form:
        oddities.append(f"wrong extension: {suffix} holds {image.format}")
    if mode in ("P", "PA"):
        oddities.append("palette")
    if mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        oddities.append("alpha")
    # 16 bits a channel in colour are opened as 8: only the decoder's argument tells
    if mode.startswith("I") or (form in ("PNG", "TIFF") and ";16" in str([tile[3] for tile in image.tile])):
        oddities.append("16-bit")
    elif mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa"):
        oddities.append(mode)
    # Looking for EXIF takes a tenth of the time of a small JPEG, which says at once whether it has any
    if (form != "JPEG" or {"exif", "xmp"} & image.info.keys()) and image.getexif().get(_ORIENTATION, 1) != 1:
        oddities.append("EXIF-rotated")
    if max(image.size) > EXTREME_ASPECT * min(image.size):
        oddities.append("extreme aspect")
    return oddities
