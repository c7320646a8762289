"""Layout: one folder of images per class, below train/ or at the top, with or without a folder test/."""

import warnings

import pandas as pd

from kagglekit._checks import first_few
from kagglekit.competition.layouts.assemble import assemble, plain_rows, read_sample
from kagglekit.competition.layouts.base import Layout
from kagglekit.competition.layouts.image_files import SUFFIXES, check_inside, find_images, list_images
from kagglekit.tasks import SINGLE_LABEL

# Folders at the top that hold no class, where train/ is missing
_NO_CLASSES = {"test", "testing", "test_images", "val", "valid", "validation", "masks", "__macosx"}


def recognises(folder, preset):
    return len(_classes(folder, preset)) >= 2


def read(folder, preset):
    """Read the layout. The image_id is the path below the class folders' parent, `<class>/<file>`."""
    top = _top(folder, preset)
    labelled = {
        image: name
        for name in _classes(folder, preset)
        for image in list_images(folder, below=f"{top}/{name}" if top else name)
    }
    train = plain_rows([image.removeprefix(f"{top}/") for image in labelled], labelled)
    stray = sorted(path.name for path in (folder / top).iterdir() if path.suffix.lower() in SUFFIXES)
    if stray:
        warnings.warn(
            f"images in {folder / top} outside the class folders are left out: {first_few(stray)}", stacklevel=3
        )
    place = preset.test_images or _folder_of(folder, "test") or "test"
    _warn_of_ignored(folder, top, place, labelled)
    images = list_images(folder, below=place) if (folder / place).is_dir() else []
    check_inside([*train["source"], *images], folder)
    sample, sample_path = read_sample(folder)
    if sample is not None:
        ids = sample.iloc[:, 0].tolist()
        row_images = find_images(ids, images, (place,), csv=sample_path, root=folder)
        test = plain_rows(ids, [row[""] for row in row_images])
    else:
        test = plain_rows([image.removeprefix(f"{place}/") for image in images], images)
    id_column = "id" if sample is None else sample.columns[0]
    label_column = sample.columns[1] if sample is not None and len(sample.columns) == 2 else "label"
    cells = pd.DataFrame({label_column: list(labelled.values())}, dtype=object)
    columns = (id_column, label_column)
    # A folder's name is one class, with its spaces
    return assemble(folder, preset, train, test, cells=cells, sample=sample, columns=columns, task=SINGLE_LABEL)


def _top(folder, preset):
    return preset.train_images or _folder_of(folder, "train") or ""


def _folder_of(folder, part):
    """The name of the folder `train` or `test`, in whichever spelling: `Training`, `TEST`."""
    names = [path.name for path in sorted(folder.iterdir()) if path.is_dir()]
    return next((name for name in names if name.lower() in (part, f"{part}ing", f"{part}_images")), None)


def _classes(folder, preset):
    """Names of the folders that hold an image directly or deeper, without hidden ones and a `test` at the top."""
    top = _top(folder, preset)
    parent = folder / top
    if not parent.is_dir():
        return []
    names = sorted(path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not top:
        names = [name for name in names if name.lower() not in _NO_CLASSES]
    return [name for name in names if list_images(parent, below=name)]


def _warn_of_ignored(folder, top, place, labelled):
    """Warn of the folders of images and the other files that become no rows."""
    image_folders = [
        path.name for path in sorted(folder.iterdir()) if path.is_dir() and list_images(folder, below=path.name)
    ]
    used = {image.split("/")[0] for image in labelled} | {top.split("/")[0], place.split("/")[0]}
    ignored = [name for name in image_folders if name not in used]
    if ignored:
        warnings.warn(f"folders of images in {folder} that are not read: {first_few(ignored)}", stacklevel=4)
    classes = {image.removeprefix(f"{top}/").split("/")[0] for image in labelled}
    files = [path for name in classes for path in (folder / top / name).rglob("*") if path.is_file()]
    other_files = sorted(path.name for path in files if path.suffix.lower() not in SUFFIXES and path.name[0] != ".")
    if other_files:
        warnings.warn(
            f"{len(other_files)} files in {folder / top} are not images: {first_few(other_files)}", stacklevel=4
        )


LAYOUT = Layout(
    recognises,
    read,
    "train/<class>/<image files>",
    unused=("id_column", "label_column", "group_column", "image_column"),
)
