"""What is wrong with the images, before a run finds out at hour eleven."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm.auto import tqdm

from kagglekit._checks import first_few

MAX_PIXELS = 100_000_000  # an image of more is taken for a decompression bomb
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".webp": "WEBP"}
_FORMATS |= {".tif": "TIFF", ".tiff": "TIFF"}


def check_images(comp):
    """Decode every image once and report what was found.

    Args:
        comp: a `Competition`.

    Returns:
        DataFrame with one line per image, train then test: `image_id`, `part`, `source`, `width` and `height` (pixels;
        0 when it does not open), `mode` (PIL's), `bytes`, and `problem` (empty text when there is none). A problem that
        begins with "unreadable" stops a run; the others are for you to judge. `attrs["verdict"]` sums up.

    Example:

    >>> import kagglekit as kk
    >>> report = kk.check_images(kk.load_competition("digits"))
    >>> report.attrs["verdict"]
    '1797 images read, no problem found'
    """
    rows = [("train", *row) for row in comp.train[["image_id", "source"]].itertuples(index=False)]
    rows += [("test", *row) for row in comp.test[["image_id", "source"]].itertuples(index=False)]
    found = _parallel("checking images", lambda row: _look_at(comp.root / row[2]), rows)
    report = pd.DataFrame(rows, columns=["part", "image_id", "source"])
    report = pd.concat([report, pd.DataFrame(found, columns=["width", "height", "mode", "bytes", "problem"])], axis=1)
    bad = report[report["problem"] != ""]
    report.attrs["verdict"] = f"{len(report)} images read, " + (
        f"{len(bad)} with a problem: " + first_few(bad["source"] + " (" + bad["problem"] + ")")
        if len(bad)
        else "no problem found"
    )
    return report


def duplicate_groups(comp):
    """Give every training image the group of images that have exactly its pixels.

    Use the result as `groups=` of `assign_folds`, so that a fold never validates on a picture that it was trained on.
    Files that differ while their pixels are equal (another compression level of a PNG) count as duplicates;
    photographs that are merely alike do not.

    Args:
        comp: a `Competition`.

    Returns:
        Series of group names indexed by train `image_id`; an image without a twin is a group of its own.
        `attrs` holds `duplicates` (groups of two or more training images, each a list of ids), `conflicts` (those whose
        labels differ) and `leaks` (pairs of a train and a test id with equal pixels).

    Raises:
        ValueError: naming the files that cannot be read.

    Example:

    >>> import kagglekit as kk
    >>> groups = kk.duplicate_groups(kk.load_competition("digits"))
    >>> groups.nunique(), groups.attrs["duplicates"]
    (1437, [])
    """
    train_hashes = _pixel_hashes(comp, comp.train)
    test_hashes = _pixel_hashes(comp, comp.test)
    groups = pd.Series(train_hashes, index=comp.train["image_id"].tolist(), name="group", dtype=object)
    members = groups.index.to_series().groupby(groups.to_numpy(), sort=False).agg(list)
    labels = dict(zip(comp.train["image_id"], comp.train["label"], strict=True))
    duplicates = [ids for ids in members if len(ids) > 1]
    groups.attrs = {
        "duplicates": duplicates,
        "conflicts": [ids for ids in duplicates if len({labels[identifier] for identifier in ids}) > 1],
        "leaks": [
            (identifier, test_id)
            for test_id, value in zip(comp.test["image_id"], test_hashes, strict=True)
            for identifier in members.get(value, [])
        ],
    }
    return groups


def _look_at(path):
    """Return `(width, height, mode, bytes, problem)` of one file."""
    try:
        size = path.stat().st_size
        if size == 0:
            return 0, 0, "", 0, "unreadable: the file is empty"
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                problem = f"unreadable: {width}x{height} is over {MAX_PIXELS} pixels"
                return width, height, image.mode, size, problem
            image.load()
            return width, height, image.mode, size, _oddity(path, image)
    except UnidentifiedImageError:
        return 0, 0, "", size, "unreadable: no image format that is known"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return 0, 0, "", 0, f"unreadable: {error}"


def _oddity(path, image):
    # MPO: a phone's JPEG with further pictures behind the first
    if _FORMATS.get(path.suffix.lower()) not in ("JPEG" if image.format == "MPO" else image.format, None):
        return f"the extension is {path.suffix} and the content {image.format}"
    if image.getexif().get(0x0112, 1) != 1:
        return "rotated by EXIF"
    if image.mode not in ("L", "RGB", "1"):
        return f"pixels are {image.mode}"
    if max(image.size) > 10 * min(image.size):
        return "very long or wide"
    return ""


def _pixel_hashes(comp, table):
    def pixel_hash(source):
        try:
            with Image.open(comp.root / source) as image:
                upright = ImageOps.exif_transpose(image)
                if not upright.mode.startswith(("I", "F")):  # convert would clip 16 bits and more to 8
                    upright = upright.convert("RGBA")
                pixels = upright.tobytes()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{comp.root / source} cannot be read ({error}); see kk.check_images(comp)") from error
        return hashlib.sha256(repr((upright.mode, upright.size)).encode() + pixels).hexdigest()[:16]

    return _parallel("looking for duplicates", pixel_hash, table["source"].tolist())


def _parallel(title, function, items):
    """Map in threads (PIL decodes without the interpreter's lock) behind a progress bar; results keep their order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(tqdm(pool.map(function, items), total=len(items), desc=title, leave=False))
