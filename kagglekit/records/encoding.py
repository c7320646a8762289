"""One image's bytes as they are stored: passed through where nothing needs to change, else written once more."""

import hashlib
import io

import numpy as np
from PIL import Image, ImageOps

from kagglekit.competition import sources
from kagglekit.records.preprocess import PREPROCESS

JPEG_START = b"\xff\xd8\xff"


def encode_image(root, source, record_size, quality, preprocess=()):
    """Return what is stored of an image.

    A JPEG or PNG of 8-bit grey or RGB, upright and not larger than `record_size`, stays as it is, byte for byte. Any
    other is turned upright, reduced once with antialiasing where it is too large, and written as JPEG if it was one,
    else as lossless PNG. Alpha is left out; 16-bit grey stays 16-bit. Preprocessing comes between the turn and the
    reduction, on all planes of an image at once; what it gives is a JPEG where all its files were, else a PNG.

    Args:
        root: folder of the competition.
        source: a source as it stands in the table; each part of a tuple becomes one grey plane.
        record_size: short side of the stored image, pixels; nothing is enlarged.
        quality: of JPEGs that are encoded again, 1 to 100.
        preprocess: pairs `(name, arguments)` of `kagglekit.records.preprocess.PREPROCESS`, applied in order.

    Returns:
        `(planes, about)`: list of encoded bytes, one for each part; and a dict of `height`, `width` (pixels), `bits`
        (8 or 16), `jpeg` (whether all planes are JPEGs), `grey` and `digest` (SHA-256 of the source's bytes).

    Raises:
        OSError, SyntaxError, ValueError: if the image cannot be decoded or preprocessed, or its parts differ in size.
    """
    digest, single = hashlib.sha256(), isinstance(source, tuple)
    contents = [sources.read_bytes(root, part) for part in sources.parts(source)]
    for content in contents:
        digest.update(content)
    if preprocess:
        kind = "JPEG" if all(map(_is_jpeg, contents)) else "PNG"
        images = _preprocessed(sources.read_pixels(root, source), preprocess, single)
        encoded = [_described(*_encoded_again(image, kind, record_size, quality, single)) for image in images]
    else:
        encoded = [_encode(content, record_size, quality, single) for content in contents]
    planes, abouts = zip(*encoded, strict=True)
    if len({about["size"] for about in abouts}) > 1:
        raise ValueError(f"the files of one image differ in size: {[about['size'] for about in abouts]}")
    width, height = abouts[0]["size"]
    return list(planes), {
        "height": height,
        "width": width,
        "bits": max(about["bits"] for about in abouts),
        "jpeg": all(about["jpeg"] for about in abouts),
        "grey": all(about["grey"] for about in abouts),
        "digest": digest.hexdigest(),
    }


def _encode(content, record_size, quality, single):
    with sources.open_content(content) as image:
        kind = image.format
        image.load()  # decodes to the end: a truncated file must not enter the records
        as_it_is = (
            kind in ("JPEG", "PNG")
            and (image.mode == "L" or (image.mode == "RGB" and not single) or (image.mode == "I;16" and kind == "PNG"))
            and "transparency" not in image.info
            and image.getexif().get(0x0112, 1) == 1
            and min(image.size) <= record_size
        )
        if not as_it_is:
            content, image = _encoded_again(image, kind, record_size, quality, single)
        return _described(content, image)


def _preprocessed(pixels, preprocess, single):
    """The image as PIL images: one, or one for each plane of an image of several files."""
    if pixels.dtype != np.uint8:
        names = ", ".join(name for name, _ in preprocess)
        raise ValueError(f"{names}: preprocessing is for 8 bits, this has 16; bring the files to 8 bits first")
    for name, options in preprocess:
        pixels = PREPROCESS[name](pixels, **options)
    if not single and pixels.shape[2] == 3:
        return [Image.fromarray(pixels)]
    return [Image.fromarray(np.ascontiguousarray(pixels[..., plane])) for plane in range(pixels.shape[2])]


def _is_jpeg(content):
    return content.startswith(JPEG_START)


def _described(content, image):
    deep = image.mode.startswith("I")  # 16 bits a pixel
    about = {"size": image.size, "bits": 16 if deep else 8, "jpeg": _is_jpeg(content), "grey": image.mode != "RGB"}
    return content, about


def _encoded_again(image, kind, record_size, quality, single):
    image = ImageOps.exif_transpose(image)
    deep = image.mode.startswith("I")  # 16 bits a pixel
    if not deep:
        image = image.convert("L" if single or image.mode in ("1", "L", "LA") else "RGB")
    scale = record_size / min(image.size)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in image.size]
        if deep:
            reduced = Image.fromarray(np.asarray(image, np.float32)).resize(size, Image.Resampling.LANCZOS)
            image = Image.fromarray(np.asarray(reduced).round().clip(0, 65535).astype(np.uint16))
        else:
            image = image.resize(size, Image.Resampling.LANCZOS)
    elif deep:
        image = Image.fromarray(np.asarray(image, np.int64).clip(0, 65535).astype(np.uint16))
    # MPO: a phone's JPEG with further images behind the first
    return stored_bytes(image, jpeg=kind in ("JPEG", "MPO"), quality=quality), image


def stored_bytes(image, *, jpeg, quality):
    """Return a PIL image as the bytes of a JPEG without subsampled colours, or of a PNG."""
    stored = io.BytesIO()
    if jpeg:
        image.save(stored, "JPEG", quality=quality, subsampling=0)
    else:
        image.save(stored, "PNG")
    return stored.getvalue()
