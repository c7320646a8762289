"""Every raw image is decoded once: what that gave is cached for all that follows, in this process and in later ones.

The cache is one file in the competition's workspace, with a line for each image, so that a part of a competition, or
one from which images were taken out, finds its images in it. An image whose file changed (its size or its time of
modification) is decoded again.
"""

import json
import os
import warnings
import zipfile

import numpy as np
import PIL
from PIL import Image

from kagglekit._files import written_whole
from kagglekit._parallel import parallel_map
from kagglekit.audit import similarity
from kagglekit.audit.facts import SIDE, Facts, image_facts
from kagglekit.competition import sources

_VERSION = 1  # of what `image_facts` gives: raise it when the same file gives other facts
_TEXTS = Facts._fields.index("statistics")  # fields before this one are numbers and text, the others arrays
_SHAPES = {"statistics": (2, -1), "greys": (-1, similarity.SIDE, similarity.SIDE), "colours": (SIDE, SIDE, -1)}
_latest = (None, {})  # path of the cache that was used last, and its lines: {image: (stamp, Facts)}


def scan(comp, images=None):
    """Return the facts of images; those not cached yet are decoded, in threads, behind a progress bar.

    Args:
        comp: a `Competition`.
        images: values of `source` in its tables. Defaults to all, train before test.

    Returns:
        List of `Facts`, in order.

    Example:

    >>> import kagglekit as kk
    >>> facts = scan(kk.load_competition("digits"))
    >>> len(facts), facts[0].width, facts[0].colours.shape
    (1797, 8, (32, 32, 1))
    """
    images = [*comp.train["source"], *comp.test["source"]] if images is None else list(images)
    names, stamps = _names_and_stamps(comp.root, images)
    path, lines = _lines(comp)
    # Of rows that show the same image, one is enough
    missing = {name: row for row, name in enumerate(names) if not _is_cached(lines, name, stamps[row])}
    if missing:
        decoded = {}
        try:
            for name, facts in zip(missing, _decode(comp.root, [images[row] for row in missing.values()]), strict=True):
                decoded[name] = stamps[missing[name]], facts
        finally:  # an interrupted scan resumes here
            lines |= decoded
            if any(stamp is not None for stamp, _ in decoded.values()):
                _write(path, lines)
    return [lines[name][1] for name in names]


def cached_facts(comp, images):
    """Return the `Facts` of each image that was decoded before, None for the others; nothing is decoded."""
    names, stamps = _names_and_stamps(comp.root, images)
    lines = _lines(comp)[1]
    return [
        lines[name][1] if _is_cached(lines, name, stamp) else None for name, stamp in zip(names, stamps, strict=True)
    ]


def _decode(root, images):
    """Iterate over the `Facts` of images, in order."""
    with warnings.catch_warnings():
        # PIL warns of large images at a limit of its own; here MAX_PIXELS decides.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield from parallel_map("looking at images", lambda image: image_facts(root, image), images)


def _names_and_stamps(root, images):
    """Return the name of each image, and a stamp that changes with its files; None where one of them is missing."""
    stamps = {}

    def stamp(file):
        if file not in stamps:
            try:
                status = os.stat(os.path.join(root, file))
            except OSError:
                stamps[file] = None
            else:
                stamps[file] = f"{status.st_size}:{status.st_mtime_ns}"
        return stamps[file]

    texts = [[stamp(sources.file_of(part)) for part in sources.parts(image)] for image in images]
    folder = os.path.abspath(root)
    return [f"{folder}: {image!r}" for image in images], [None if None in text else " ".join(text) for text in texts]


def _is_cached(lines, name, stamp):
    return stamp is not None and name in lines and lines[name][0] == stamp


def _lines(comp):
    """Return the path of the competition's cache and its lines, empty where there are none that can be used."""
    global _latest
    path = comp.folders.scan_file
    origin = [_VERSION, PIL.__version__, sources.MAX_PIXELS]
    if _latest[0] != (path, origin):
        _latest = (path, origin), _read(path, origin)
    return path, _latest[1]


def _read(path, origin):
    try:
        with np.load(path, allow_pickle=False) as stored:
            head = json.loads(stored["lines"].tobytes())
            return _parsed(head["lines"], {name: stored[name] for name in _SHAPES}) if head["origin"] == origin else {}
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):  # damaged: made again
        return {}


def _parsed(rows, columns):
    lines, ends = {}, dict.fromkeys(columns, 0)
    for name, stamp, sizes, *texts in rows:
        arrays = []
        for (column, shape), size in zip(_SHAPES.items(), sizes, strict=True):
            ends[column] += size
            arrays.append(columns[column][ends[column] - size : ends[column]].reshape(shape))
        lines[name] = stamp, Facts._make([*texts, *arrays])  # of all fields, or an error
    return lines


def _write(path, lines):
    """Write the lines whole or not at all; where that fails, warn: the images are then decoded again."""
    head = {
        "origin": _latest[0][1],
        "lines": [
            [name, stamp, [array.size for array in facts[_TEXTS:]], *facts[:_TEXTS]]
            for name, (stamp, facts) in lines.items()
            if stamp is not None
        ],
    }
    columns = {"lines": lambda: np.frombuffer(json.dumps(head).encode(), np.uint8)}
    for position, column in enumerate(_SHAPES, start=_TEXTS):
        columns[column] = lambda position=position: np.concatenate(
            [facts[position].ravel() for stamp, facts in lines.values() if stamp is not None]
        )
    try:
        with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w") as stored:
            for column, values in columns.items():  # one after the other: all of them twice would be the most memory
                with stored.open(f"{column}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, values(), allow_pickle=False)
    except OSError as error:
        warnings.warn(
            f"the facts of the images could not be cached ({error}); they will be decoded again", stacklevel=3
        )
