"""Readers: whatever is on disk becomes a `Competition`."""

from pathlib import Path

from kagglekit import _paths
from kagglekit._checks import check_choice, first_few
from kagglekit.competition import digits
from kagglekit.competition.layouts import (
    archive,
    bson_products,
    class_folders,
    csv_folder,
    list_files,
    pixel_csv,
    tfrecords,
)
from kagglekit.competition.presets import find_preset
from kagglekit.metrics import find_metric

# In the order in which a folder is tried: the more special first.
LAYOUTS = {
    "bson_products": bson_products.LAYOUT,
    "pixel_csv": pixel_csv.LAYOUT,
    "csv_folder": csv_folder.LAYOUT,
    "list_files": list_files.LAYOUT,
    "tfrecords": tfrecords.LAYOUT,
    "class_folders": class_folders.LAYOUT,
}


def _check_used(layout, preset):
    unused = [name for name in LAYOUTS[layout].unused if getattr(preset, name) is not None]
    if unused:
        raise ValueError(f"the layout {layout} has no table, so columns cannot be chosen: {first_few(unused)}")


def load_competition(
    name, preset=None, *, id_column=None, label_column=None, group_column=None, metric=None, task=None
):
    """Read a competition into clean tables, whatever its layout.

    Reads: a table beside folders of images (one file per image, several per row, several channels), one folder of
    images per class, PaddleClas's list files, CSVs of pixels, TFRecords, BSON of products, and a zip of any of them.
    Ids and labels stay text exactly as in the files (`00012` is not 12). Nothing below the folder is written to.

    Args:
        name: `"digits"` (built in), the path of a folder or of a `.zip` (unpacked into `data/raw` first), the name of
            a folder in `data/raw`, or on Kaggle the slug of an attached competition or data set.
        preset: a key of `kk.PRESETS`, or a `kk.Preset` that says what cannot be seen. Defaults to the one whose key
            is the folder's name, if there is one.
        id_column: name of the column with the image's id. Defaults to the sample submission's first column.
        label_column: name of the column with the class, or a tuple of columns with one value per class. Defaults to
            what the sample submission asks for.
        group_column: name of a column whose rows must stay in one fold (patient, site). Defaults to none.
        metric: name of the metric that the competition is scored by, or a `kk.Metric` of your own. Defaults to what is
            usual for the task.
        task: `"single_label"`, `"multi_label"`, `"ordinal"` (grades), `"regression"` or `"distribution"`, or a
            `kagglekit.tasks.Task`. Defaults to what the labels show; whole numbers whose metric is the quadratic
            weighted kappa are grades.

    Returns:
        A `Competition`.

    Raises:
        FileNotFoundError: if the folder is missing, or a row names an image that is not there.
        ValueError: if a column is missing, an id occurs twice, a path leads out of the folder, or the metric is unknown
            or not for the task.

    Example:

    >>> load_competition("digits")
    Competition 'digits': 1437 training images of 10 classes, 360 test images, metric accuracy
    """
    if metric is not None:
        find_metric(metric, task)  # before a zip is unpacked
    if str(name).lower().endswith(".zip"):
        folder = archive.unpack(Path(name).expanduser(), _paths.raw_folder())
    else:
        folder = digits.folder() if str(name) == "digits" else _paths.find_folder(name)
    preset = find_preset(preset, folder.name).with_choices(
        id_column=id_column, label_column=label_column, group_column=group_column, metric=metric, task=task
    )
    if preset.layout is not None:
        check_choice("layout", preset.layout, LAYOUTS)
        _check_used(preset.layout, preset)
        return LAYOUTS[preset.layout].read(folder, preset)
    for name, layout in LAYOUTS.items():
        if layout.recognises(folder, preset):
            _check_used(name, preset)
            return layout.read(folder, preset)
    zips = sorted(path.name for path in folder.glob("*.zip"))
    raise ValueError(
        f"{folder} has no layout that is known; found {sorted(path.name for path in folder.iterdir())[:10]}. Expected "
        f"one of: {'; '.join(layout.looks_like for layout in LAYOUTS.values())}. "
        + (
            f"Unpack {zips} first: kk.load_competition({str(folder / zips[0])!r}) does it safely."
            if zips
            else "Name what differs with preset=kk.Preset(...)."
        )
    )
