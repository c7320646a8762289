"""Every image is decoded once, before a run meets the one that it cannot read."""

import functools
import warnings

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from kagglekit._checks import first_few
from kagglekit._parallel import parallel_map
from kagglekit.competition import sources

EXTREME_ASPECT = 10  # long side over short side
_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".webp": "WEBP"}
_FORMATS |= {".tif": "TIFF", ".tiff": "TIFF"}


def check_images(comp):
    """Decode every image once and report what was found.

    Args:
        comp: a `Competition`.

    Returns:
        DataFrame with one line per image, train then test:

        - `image_id`, `part` (`"train"` or `"test"`) and `source` (text; the files of one picture joined by " + ");
        - `width` and `height` as stored, in pixels, 0 when the image cannot be read;
        - `channels` that the kit reads: 1 for grey, 3 for colour (alpha left out), one a file where a picture has
          several; `mode` (PIL's); `bytes` as stored;
        - `problem`: empty text when there is none. One that begins with "unreadable" stops a run: empty, truncated or
          corrupt, missing, over `sources.MAX_PIXELS` pixels, files of one picture that differ in size. Others are for
          you to judge and stand together, joined by "; ": the wrong extension, palette, alpha, CMYK, 16-bit,
          EXIF-rotated, extreme aspect (over 10 to 1);
        - `mean_0`, `mean_1`, ... and `std_0`, `std_1`, ...: mean and standard deviation of each channel in grey levels
          of 0 to 255 (16 bits divided by 257); NaN where an image has no such channel or cannot be read. They are
          those of the picture reduced by averaging squares of 8, 4 or 2 pixels, the largest that leave its short
          side 16: means hardly change by that, and detail finer than a square is not part of the deviation.

        `attrs["verdict"]` sums up.

    Example:

    >>> import kagglekit as kk
    >>> report = kk.check_images(kk.load_competition("digits"))
    >>> report.attrs["verdict"]
    '1797 images read, no problem found'
    """
    rows = [("train", *row) for row in comp.train[["image_id", "source"]].itertuples(index=False)]
    rows += [("test", *row) for row in comp.test[["image_id", "source"]].itertuples(index=False)]
    with warnings.catch_warnings():
        # PIL warns of large pictures at a limit of its own; here MAX_PIXELS decides.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        looks = list(parallel_map("checking images", lambda row: _look_at(comp.root, row[2]), rows))
    facts = pd.DataFrame(
        [look[:-1] for look in looks], columns=["width", "height", "channels", "mode", "bytes", "problem"]
    )
    report = pd.DataFrame(
        {
            "image_id": pd.Series([row[1] for row in rows], dtype=object),
            "part": [row[0] for row in rows],
            "source": [sources.name_of(row[2]) for row in rows],
        }
    )
    report = pd.concat([report, facts, _statistics([look[-1] for look in looks])], axis=1)
    bad = report[report["problem"] != ""]
    report.attrs["verdict"] = f"{len(report)} images read, " + (
        f"{len(bad)} with a problem: " + first_few(bad["source"] + " (" + bad["problem"] + ")")
        if len(bad)
        else "no problem found"
    )
    return report


def _statistics(found):
    """Lay the `(2, channels)` means and deviations of all images out as columns."""
    channels = max((values.shape[1] for values in found), default=1) or 1
    table = np.full((len(found), 2, channels), np.nan)
    for row, values in enumerate(found):
        table[row, :, : values.shape[1]] = values
    names = [f"{name}_{channel}" for name in ("mean", "std") for channel in range(channels)]
    return pd.DataFrame(table.reshape(len(found), 2 * channels), columns=names)


def _look_at(root, source):
    """Return `(width, height, channels, mode, bytes, problem, statistics)` of one picture."""
    size, looks = 0, []
    try:
        for part in sources.parts(source):
            content = sources.read_bytes(root, part)
            size += len(content)
            looks.append(_look_at_part(content, part, single=isinstance(source, tuple)))
        sizes = list(dict.fromkeys(look[0] for look in looks))
        if len(sizes) > 1:
            raise ValueError("parts of different sizes: " + ", ".join(f"{width}x{height}" for width, height in sizes))
    except UnidentifiedImageError:
        reason = "no image format that is known" if size else "the file is empty"
    except sources.UNREADABLE as error:
        reason = str(error)
    else:
        problem = "; ".join(dict.fromkeys(oddity for look in looks for oddity in look[2]))
        modes = " + ".join(dict.fromkeys(look[1] for look in looks))
        statistics = np.concatenate([look[3] for look in looks], axis=1)
        return *sizes[0], statistics.shape[1], modes, size, problem, statistics
    which = f"{part}: " if isinstance(source, tuple) and len(looks) < len(source) and size else ""
    return 0, 0, 0, "", size, f"unreadable: {which}{reason}", np.empty((2, 0))


def _look_at_part(content, part, single):
    """Return `((width, height), mode, oddities, statistics)`, the statistics of shape `(2, channels)`."""
    # Read as a whole: PIL's many small reads of a file each wait for the other threads.
    with sources.open_content(content) as image:
        size, mode = image.size, image.mode
        oddities = _oddities(part, image)
        factor = next((factor for factor in (8, 4, 2) if min(size) >= 16 * factor), 1)
        # A JPEG is decoded at the reduced size (all of its bits are read even so): half the time of a full decode.
        image.draft(None, (size[0] // factor, size[1] // factor))
        image.load()
        is_png = image.format == "PNG"
        if mode.startswith("I"):  # 16 bits a pixel
            upright, scale = image.convert("I"), 257
        else:
            wanted = "L" if single or mode in ("1", "L", "LA") else "RGB"
            upright, scale = image if mode == wanted else image.convert(wanted), 1
        if factor > 1 and image.size == size:
            upright = upright.reduce(factor)
    if is_png:  # PIL decodes past wrong checksums, at which TensorFlow stops
        with sources.open_content(content) as image:
            image.verify()
    weights = _weights(size, factor)
    # One row a channel: numpy is slow along an axis of 3
    pixels = np.asarray(upright).reshape(len(weights), -1).T.astype(np.float32, order="C")
    means = pixels @ weights
    pixels -= means[:, None]
    return size, mode, oddities, np.array([means, np.sqrt((pixels * pixels) @ weights)]) / scale


@functools.lru_cache(maxsize=64)
def _weights(size, factor):
    """Return the share of a picture that each square covers, row by row: the last ones may hang over the edge."""
    width, height = (np.minimum(side - np.arange(0, side, factor), factor) / side for side in size)
    return np.outer(height, width).ravel().astype(np.float32)


def _oddities(part, image):
    """Return what is unusual about an image that is open and not yet decoded."""
    found, mode = [], image.mode
    form = "JPEG" if image.format == "MPO" else image.format  # a phone's JPEG with further pictures behind the first
    suffix = "." + part.rpartition(".")[2].lower()
    if sources.file_of(part) == part and _FORMATS.get(suffix, form) != form:
        found.append(f"wrong extension: {suffix} holds {image.format}")
    if mode in ("P", "PA"):
        found.append("palette")
    if mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        found.append("alpha")
    # 16 bits a channel in colour are opened as 8: only the decoder's argument tells
    if mode.startswith("I") or (form in ("PNG", "TIFF") and ";16" in str([tile[3] for tile in image.tile])):
        found.append("16-bit")
    elif mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa"):
        found.append(mode)
    # Looking for EXIF takes a tenth of the time of a small JPEG, which says at once whether it has any
    if (form != "JPEG" or "exif" in image.info) and image.getexif().get(_ORIENTATION, 1) != 1:
        found.append("EXIF-rotated")
    if max(image.size) > EXTREME_ASPECT * min(image.size):
        found.append("extreme aspect")
    return found
