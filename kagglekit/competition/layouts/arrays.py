"""Layout: arrays in memory, written once as a container of PNGs so that everything else works on them."""

import hashlib
import io
import itertools

import numpy as np
import pandas as pd
from PIL import Image

from kagglekit import _paths
from kagglekit._files import written_whole
from kagglekit.competition import sources
from kagglekit.competition.layouts.assemble import assemble, plain_rows
from kagglekit.competition.layouts.labels import read_labels
from kagglekit.competition.presets import Preset
from kagglekit.metrics import find_metric
from kagglekit.tasks import MULTI_LABEL, REGRESSION, SINGLE_LABEL


def from_arrays(images, labels, test_images=None, *, name, ids=None, test_ids=None, preset=None):
    """Make a competition of arrays, such as `keras.datasets` gives them.

    Args:
        images: `(rows, height, width)` or `(rows, height, width, channels)`, uint8 or uint16; or a list of
            such images of different sizes.
        labels: one per row: class names or numbers, lists of class names, floats; or an array `(rows, classes)`.
        test_images: the same as `images`. Defaults to none.
        name: name of the competition, for its folders.
        ids, test_ids: ids of the rows. Default to `train_0`, `train_1`, ... and `0`, `1`, ...
        preset: a `kk.Preset`; task, metric and the classes' columns (`label_column`) are used.

    Returns:
        A `Competition` whose pixels are in the workspace, as PNGs in one file; equal arrays are written once.

    Raises:
        ValueError: if numbers of rows differ, pixels are neither uint8 nor uint16, or the metric is not for the task.

    Example:

    >>> comp = from_arrays(np.zeros((4, 8, 8), np.uint8), ["a", "b", "a", "b"], name="blank")
    >>> comp.train["label"].tolist()
    ['a', 'b', 'a', 'b']
    """
    preset = preset or Preset()
    test_images = [] if test_images is None else test_images
    if len(images) != len(labels):
        raise ValueError(f"expected a label for each of {len(images)} images, got {len(labels)}")
    ids = _ids(ids, images, "train_{}", "ids")
    test_ids = _ids(test_ids, test_images, "{}", "test_ids")
    cells, column, task = _cells(labels, preset)
    if preset.metric is not None:
        find_metric(preset.metric, read_labels(cells, column, task, name)[1])  # before pixels are written
    root = _paths.folders_of(name).arrays
    train, test = (plain_rows(rows, _write(root, part)) for rows, part in ((ids, images), (test_ids, test_images)))
    return assemble(root, preset, train, test, cells=cells, columns=("id", column), name=name, task=task)


def _ids(ids, images, form, argument):
    if ids is None:
        return [form.format(number) for number in range(len(images))]
    if len(ids) != len(images):
        raise ValueError(f"expected {len(images)} {argument}, got {len(ids)}")
    return [str(identifier) for identifier in ids]


def _cells(labels, preset):
    """Return the cells that labels are read from, the name or names of their columns, and the task that they show."""
    if len(labels) and all(isinstance(label, np.ndarray) and label.ndim == 1 for label in labels):
        labels = labels if isinstance(labels, np.ndarray) else np.stack(labels)
    if getattr(labels, "ndim", 1) == 2 and labels.shape[1] == 1 and (preset.task is None or preset.task.one_label):
        labels = np.ravel(labels)  # as keras.datasets gives them
    if getattr(labels, "ndim", 1) == 2 or (preset.task and not preset.task.has_classes and np.ndim(labels[0]) == 1):
        named = [str(name) for name in getattr(labels, "columns", range(np.shape(labels)[1]))]
        columns = list(preset.label_column or named)
        return pd.DataFrame(np.asarray(labels).astype(str), columns=columns, dtype=object), columns, None
    labels = list(labels)
    if any(label is None for label in labels):
        raise ValueError("expected a label for each image, got None")
    if any(isinstance(label, list | tuple | set) for label in labels):
        names = sorted({str(name) for label in labels for name in label})
        cells = [["1" if name in set(map(str, label)) else "0" for name in names] for label in labels]
        return pd.DataFrame(cells, columns=names, dtype=object), names, MULTI_LABEL
    task = REGRESSION if all(isinstance(label, float | np.floating) for label in labels) else SINGLE_LABEL
    return pd.DataFrame({"label": list(map(str, labels))}, dtype=object), "label", task


def _write(root, images):
    """Write the images of train or test into a container, and return their sources."""
    arrays = [np.asarray(image) for image in images]
    for row, array in enumerate(arrays):
        if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (2, 3):
            raise ValueError(
                f"expected pixels (height, width[, channels]) of uint8 from 0 to 255 or uint16, got "
                f"{array.dtype} {array.shape} in row {row}; multiply floats by 255 and cast them"
            )
    encoded = [list(_encoded(array)) for array in arrays]
    hasher = hashlib.sha256()
    for content in itertools.chain.from_iterable(encoded):
        hasher.update(content)
    path = root / f"{hasher.hexdigest()[:16]}.pngs"
    if not path.is_file():
        with written_whole(path) as temporary, open(temporary, "wb") as file:
            file.writelines(itertools.chain.from_iterable(encoded))
    row_sources, offset = [], 0
    for contents in encoded:
        stretches = []
        for content in contents:
            stretches.append(sources.stretch(path.name, offset, len(content)))
            offset += len(content)
        row_sources.append(tuple(stretches) if len(stretches) > 1 else stretches[0])
    return row_sources


def _encoded(array):
    """The PNGs of an image: one for grey and for RGB of 8 bits, else one for each channel."""
    channels = [array] if array.ndim == 2 else [array[..., number] for number in range(array.shape[2])]
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8:
        channels = [array]
    for pixels in channels:
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
        yield buffer.getvalue()
