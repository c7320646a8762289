"""Small images of a competition, class by class, streamed: to look at, and for statistics of the whole."""

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from kagglekit._parallel import parallel_map
from kagglekit.audit.facts import SIDE, stretched_to_8_bits
from kagglekit.audit.scan import scan
from kagglekit.competition.sources import UNREADABLE, open_image, parts

_BINS = 5


def read_small(root, source, side):
    """Decode an image small and upright; a JPEG is reduced while it is decoded.

    Args:
        root: folder of the competition.
        source: a `source` of the table.
        side: pixels of the longer side; a smaller image stays as it is.

    Returns:
        uint8 array `(height, width, channels)`: 1 channel for grey, 3 for colour, one for each part of a tuple. Pixels
        of 16 bits are stretched so that the brightest is 255: scanners seldom use the whole range.

    Raises:
        OSError, SyntaxError, ValueError: if a part is damaged, or the parts differ in size.
    """
    arrays = []
    for part in parts(source):
        with open_image(root, part) as image:
            arrays.append(_reduced(image, side, single=isinstance(source, tuple)))
    return np.concatenate(arrays, axis=-1)


def small_images(root, sources, side, *, title="reading images"):
    """Iterate over what `read_small` gives for each source, in order; None for one that cannot be read."""

    def read(source):
        try:
            return read_small(root, source, side)
        except UNREADABLE:
            return None

    return parallel_map(title, read, sources)


def rows_of_class(comp):
    """Return the rows of `comp.train` that belong to each class: `{name: int64 positions}`, most frequent first.

    An image with several labels belongs to several classes. Where labels are numbers, a class is a fifth of the images,
    or one value where there are at most 5, from the lowest to the highest. Classes without an image are left out.
    """
    if not comp.task.has_classes:
        values = label_values(comp)
        distinct = np.unique(values)
        quantiles = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[:-1]))
        edges = distinct if len(distinct) <= _BINS else quantiles
        numbers = np.searchsorted(edges, values, side="right")
        rows = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
        ranges = [(values[class_rows].min(), values[class_rows].max()) for class_rows in rows]
        for digits in (3, 6, 17):  # as many as tell the classes apart
            ends = [[f"{end:.{digits}g}" for end in (low, high)] for low, high in ranges]
            names = [low if low == high else f"{low} to {high}" for low, high in ends]
            if len(set(names)) == len(names):
                break
        return dict(zip(names, rows, strict=True))
    labels = comp.train["label"].reset_index(drop=True).explode().dropna()
    groups = labels.groupby(labels).groups
    return {name: np.asarray(groups[name], np.int64) for name in comp.class_counts().index if name in groups}


def label_values(comp):
    """Return one number for each training row, float64: the (first) target, or the mean of a distribution's bins.

    Bins whose names are all numbers count as those numbers, others as 1, 2, 3 and so on.
    """
    return comp.task.values(comp.train["label"], comp.class_names)


def sample_thumbnails(comp, rows, side, *, most, least):
    """Return a sample of the training images, spread over the classes, as square thumbnails.

    Args:
        comp: a `Competition`.
        rows: what `rows_of_class` returned.
        side: pixels of a thumbnail; divides 32.
        most: images in all, roughly.
        least: images of each class, where there are so many.

    Returns:
        Positions in `comp.train`, int64 `(n,)`, rising, of those that can be read; and their pixels, float32
        `(n, side, side, channels)`, grey images among coloured ones with equal channels.

    Raises:
        ValueError: if none can be read, or images differ in channels otherwise.
    """
    share = min(1, most / len(comp.train))
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(class_rows)[: max(least, round(share * len(class_rows)))] for class_rows in rows.values()]
    positions = np.unique(np.concatenate(drawn))
    sources = comp.train["source"].iloc[positions].tolist()
    colours = [facts.colours for facts in scan(comp, sources)]
    readable = [number for number, pixels in enumerate(colours) if pixels.size]
    if not readable:
        raise ValueError("none of the training images looked at can be read; see kk.check_images(comp)")
    channels = max(colours[number].shape[2] for number in readable)
    thumbnails = [with_channels(reduced(colours[number], side), channels) for number in readable]
    return positions[readable], np.stack(thumbnails)


def reduced(colours, side):
    """Average the squares of a colour thumbnail, `(32, 32, channels)`, to float32 `(side, side, channels)`."""
    return colours.reshape(side, SIDE // side, side, SIDE // side, -1).mean(axis=(1, 3), dtype=np.float32)


def with_channels(pixels, channels):
    """Return `pixels` with so many channels: grey becomes equal channels; any other mismatch raises `ValueError`."""
    if pixels.shape[-1] not in (1, channels):
        raise ValueError(f"images of the competition have {pixels.shape[-1]} and {channels} channels; make them equal")
    return np.broadcast_to(pixels, (*pixels.shape[:-1], channels))


def members(rows, positions, *, alone=False):
    """Return each class's places in `positions`, without empty ones; `alone`: only rows that belong to one class."""
    place = pd.Series(np.arange(len(positions)), index=positions)
    chosen = [place.reindex(class_rows).dropna().astype(int).to_numpy() for class_rows in rows.values()]
    if alone:
        times = np.bincount(np.concatenate(chosen), minlength=len(positions))
        chosen = [class_rows[times[class_rows] == 1] for class_rows in chosen]
    return [class_rows for class_rows in chosen if len(class_rows)]


def _reduced(image, side, single):
    deep = image.mode.startswith("I")
    if not deep:
        image.draft(None, (2 * side, 2 * side))
    image = ImageOps.exif_transpose(image)
    grey = single or image.mode in ("1", "L", "LA")
    image = stretched_to_8_bits(image) if deep else image.convert("L" if grey else "RGB")
    scale = min(1, side / max(image.size))
    size = tuple(max(1, round(length * scale)) for length in image.size)
    pixels = np.asarray(image.resize(size, Image.Resampling.BOX))
    return pixels[..., None] if pixels.ndim == 2 else pixels
