"""One image's bytes as they are stored: passed through where nothing needs to change, else encoded again."""

import hashlib
import io

import numpy as np
from PIL import Image, ImageOps

from kagglekit.competition import sources
from kagglekit.records.preprocess import PREPROCESS

_JPEG_START = b"\xff\xd8\xff"


def encode_image(root, source, record_size, quality, preprocess=()):
    """Return the encoded bytes that are stored of an image, and facts about them.

    A JPEG or PNG of 8-bit grey or RGB, upright and not larger than `record_size`, stays as it is, byte for byte. Any
    other is turned upright, reduced once with antialiasing where it is too large, and written as JPEG if it was one,
    else as lossless PNG. Alpha is left out; 16-bit grey stays 16-bit. Preprocessing comes between the turn and the
    reduction, on all planes of an image at once; its result is a JPEG where all the files are, else a PNG.

    Args:
        root: folder of the competition.
        source: a source of the table; each file of a tuple becomes one grey plane.
        record_size: short side of the stored image, pixels; nothing is enlarged.
        quality: of JPEGs that are encoded again, 1 to 100.
        preprocess: pairs `(name, arguments)` of `kagglekit.records.preprocess.PREPROCESS`, applied in order.

    Returns:
        `(planes, facts)`: list of encoded bytes, one for each plane; and a dict of `height`, `width` (pixels), `bits`
        (8 or 16), `jpeg` (whether all planes are JPEGs), `grey` and `source_hash` (SHA-256 of the source's bytes).

    Raises:
        OSError, SyntaxError, ValueError: if the image cannot be decoded or preprocessed, or its files differ in size.
    """
    source_hash, one_channel = hashlib.sha256(), isinstance(source, tuple)
    contents = [sources.read_bytes(root, file) for file in sources.parts(source)]
    for content in contents:
        source_hash.update(content)
    if preprocess:
        kind = "JPEG" if all(map(is_jpeg, contents)) else "PNG"
        images = _preprocess_images(sources.read_pixels(root, source), preprocess, one_channel)
        encoded = [_with_facts(*_encode_again(image, kind, record_size, quality, one_channel)) for image in images]
    else:
        encoded = [_encode_file(content, record_size, quality, one_channel) for content in contents]
    planes, plane_facts = zip(*encoded, strict=True)
    if len({facts["size"] for facts in plane_facts}) > 1:
        raise ValueError(f"the files of one image differ in size: {[facts['size'] for facts in plane_facts]}")
    width, height = plane_facts[0]["size"]
    return list(planes), {
        "height": height,
        "width": width,
        "bits": max(facts["bits"] for facts in plane_facts),
        "jpeg": all(facts["jpeg"] for facts in plane_facts),
        "grey": all(facts["grey"] for facts in plane_facts),
        "source_hash": source_hash.hexdigest(),
    }


def _encode_file(content, record_size, quality, one_channel):
    with sources.open_content(content) as image:
        kind = image.format
        image.load()  # decodes to the end: a truncated file must not enter the records
        unchanged = (
            kind in ("JPEG", "PNG")
            and (
                image.mode == "L"
                or (image.mode == "RGB" and not one_channel)
                or (image.mode == "I;16" and kind == "PNG")
            )
            and "transparency" not in image.info
            and image.getexif().get(0x0112, 1) == 1
            and min(image.size) <= record_size
        )
        if not unchanged:
            content, image = _encode_again(image, kind, record_size, quality, one_channel)
        return _with_facts(content, image)


def _preprocess_images(pixels, preprocess, one_channel):
    """The image as PIL images: one, or one for each plane of an image of several files."""
    if pixels.dtype != np.uint8:
        names = ", ".join(name for name, _ in preprocess)
        raise ValueError(
            f"{names}: preprocessing is for 8-bit images, this one has 16 bits; convert the files to 8 bits first"
        )
    for name, options in preprocess:
        pixels = PREPROCESS[name](pixels, **options)
    if not one_channel and pixels.shape[2] == 3:
        return [Image.fromarray(pixels)]
    return [Image.fromarray(np.ascontiguousarray(pixels[..., plane])) for plane in range(pixels.shape[2])]


def is_jpeg(content):
    """Return whether encoded bytes are a JPEG."""
    return content[:3] == _JPEG_START


def _with_facts(content, image):
    is_16_bit = image.mode.startswith("I")
    facts = {"size": image.size, "bits": 16 if is_16_bit else 8, "jpeg": is_jpeg(content), "grey": image.mode != "RGB"}
    return content, facts


def _encode_again(image, kind, record_size, quality, one_channel):
    image = ImageOps.exif_transpose(image)
    is_16_bit = image.mode.startswith("I")
    if not is_16_bit:
        image = image.convert("L" if one_channel or image.mode in ("1", "L", "LA") else "RGB")
    scale = record_size / min(image.size)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in image.size]
        if is_16_bit:
            reduced = Image.fromarray(np.asarray(image, np.float32)).resize(size, Image.Resampling.LANCZOS)
            image = Image.fromarray(np.asarray(reduced).round().clip(0, 65535).astype(np.uint16))
        else:
            image = image.resize(size, Image.Resampling.LANCZOS)
    elif is_16_bit:
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
