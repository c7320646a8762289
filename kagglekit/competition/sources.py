"""Where an image's bytes are: a file, several files of one image, or a stretch of a container.

A `source` in the table is text, or a tuple of texts for the channels of one image:

- `train/00012.png`: a file below the competition's folder,
- `train.bson@4096+12345`: 12345 bytes from offset 4096 of a container (BSON, TFRecord), an encoded image,
- `train.csv@4096+1568#28x28x1`: the same, where the stretch is text: the pixels of a row, numbers between commas.

Nothing is copied out of a container: it is read in place, by any thread, in any order.
"""

import io
import os
import re

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 100_000_000  # a larger image is refused as a decompression bomb
_STRETCH = re.compile(r"(?P<file>.+)@(?P<offset>\d+)\+(?P<length>\d+)(?:#(?P<shape>\d+x\d+x\d+))?", re.DOTALL)
# What decoders raise for damaged input: PIL's errors are all of these types.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def stretch(file, offset, length, shape=None):
    """Return the source of an image inside a container; `shape` is `(height, width, channels)` for pixels as text."""
    return f"{file}@{offset}+{length}" + (f"#{'x'.join(map(str, shape))}" if shape else "")


def _stretch_of(part):
    return _STRETCH.fullmatch(part) if "@" in part else None


def parts(source):
    """Return the parts of a source as a list: one, or one for each file of channels."""
    return list(source) if isinstance(source, tuple) else [source]


def file_of(source):
    """Return the file, relative to the root, that holds one part."""
    match = _stretch_of(source)
    return match["file"] if match else source


def name_of(source):
    """Return a source as one line for messages and tables."""
    return " + ".join(parts(source))


def size_of(root, source):
    """Return the stored size of an image in bytes, all parts together."""
    matches = (_stretch_of(part) for part in parts(source))
    return sum(
        int(match["length"]) if match else os.stat(os.path.join(root, part)).st_size
        for part, match in zip(parts(source), matches, strict=True)
    )


def read_bytes(root, part):
    """Return the encoded bytes of one part: what a file of its own would hold (pixels as text become a PNG)."""
    match = _stretch_of(part)
    if not match:
        with open(os.path.join(root, part), "rb", buffering=0) as file:
            return file.read()
    with open(os.path.join(root, match["file"]), "rb") as file:
        file.seek(int(match["offset"]))
        content = file.read(int(match["length"]))
    if len(content) != int(match["length"]):
        raise OSError(f"{match['file']} ends before the image at offset {match['offset']}")
    if match["shape"]:
        shape = [int(side) for side in match["shape"].split("x")]
        values = np.array(content.split(b","), np.float64)
        if not (values.min() >= 0 and values.max() <= 255 and (values == values.round()).all()):
            raise ValueError(f"pixels from {values.min():g} to {values.max():g}; expected whole numbers from 0 to 255")
        pixels = values.astype(np.uint8).reshape(shape)
        buffer = io.BytesIO()
        Image.fromarray(pixels[..., 0] if shape[2] == 1 else pixels).save(buffer, "PNG", compress_level=1)
        content = buffer.getvalue()
    return content


def open_image(root, part):
    """Open one part as a PIL image, not yet decoded; more than `MAX_PIXELS` raises `OSError`."""
    if _stretch_of(part):
        return open_content(read_bytes(root, part))
    return _opened(os.path.join(root, part))  # joining Paths takes a tenth of the time of a small JPEG


def open_content(content):
    """Open encoded bytes as a PIL image, not yet decoded; more than `MAX_PIXELS` raises `OSError`."""
    return _opened(io.BytesIO(content))


def _opened(file):
    try:
        image = Image.open(file)
    except Image.DecompressionBombError as error:  # PIL's own, higher limit
        raise OSError(f"over {MAX_PIXELS} pixels ({error})") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise OSError(f"{image.width}x{image.height} is over {MAX_PIXELS} pixels")
    return image


def read_pixels(root, source):
    """Decode an image, upright.

    Args:
        root: folder of the competition.
        source: a `source` of the table.

    Returns:
        Array `(height, width, channels)`, uint8, or uint16 where a part has 16 bits. Each part gives 1 channel (grey)
        or 3 (any other mode, alpha left out); the parts of a tuple are stacked in their order, each giving 1.

    Raises:
        OSError, SyntaxError, ValueError: if a part is damaged, or the parts differ in size.
    """
    arrays = []
    for part in parts(source):
        with open_image(root, part) as image:
            arrays.append(_pixels(image, single=isinstance(source, tuple)))
    if len({array.shape[:2] for array in arrays}) > 1:
        raise ValueError(f"the files of one image differ in size: {[array.shape[:2] for array in arrays]}")
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1)


def _pixels(image, single):
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel
        return np.asarray(image, np.int64).clip(0, 65535).astype(np.uint16)[..., None]
    if image.mode == "F":
        raise ValueError("pixels are floats; store them with 8 or 16 bits")
    grey = single or image.mode in ("1", "L", "LA")
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels
