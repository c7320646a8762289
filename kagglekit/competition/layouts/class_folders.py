"""Layout: one folder of images per class, below train/ or at the top, with or without a folder test/."""

import warnings

import pandas as pd

from kagglekit._checks import first_few
from kagglekit.competition.layouts.assemble import assemble, plain_rows, read_sample
from kagglekit.competition.layouts.image_files import SUFFIXES, check_inside, find_pictures, list_images


def recognises(folder, preset):
    return len(_classes(folder, preset)) >= 2


def read(folder, preset):
    """Read the layout. The image_id is the path below the class folders' parent, `<class>/<file>`."""
    if preset.id_column or preset.group_column or preset.label_column:
        raise ValueError(f"{folder} has one folder per class and no train.csv, so columns cannot be chosen")
    top = _top(folder, preset)
    labelled = {
        image: name
        for name in _classes(folder, preset)
        for image in list_images(folder, below=f"{top}/{name}" if top else name)
    }
    train = plain_rows([image.removeprefix(f"{top}/") for image in labelled], labelled)
    stray = sorted(path.name for path in (folder / top).iterdir() if path.suffix.lower() in SUFFIXES)
    if stray:
        warnings.warn(f"images in {folder / top} that lie in no class are left out: {first_few(stray)}", stacklevel=3)
    place = preset.test_images or "test"
    images = list_images(folder, below=place) if (folder / place).is_dir() else []
    check_inside([*train["source"], *images], folder)
    sample, sample_path = read_sample(folder)
    if sample is not None:
        ids = sample.iloc[:, 0].tolist()
        found = find_pictures(ids, images, (place,), csv=sample_path, root=folder)
        test = plain_rows(ids, [pictures[""] for pictures in found])
    else:
        test = plain_rows([image.removeprefix(f"{place}/") for image in images], images)
    id_column = "id" if sample is None else sample.columns[0]
    label_column = sample.columns[1] if sample is not None and len(sample.columns) == 2 else "label"
    cells = pd.DataFrame({label_column: list(labelled.values())}, dtype=object)
    preset = preset.with_choices(task=preset.task or "single_label")  # a folder's name is one class, with its spaces
    return assemble(folder, preset, train, test, cells=cells, sample=sample, columns=(id_column, label_column))


def _top(folder, preset):
    return preset.train_images or ("train" if (folder / "train").is_dir() else "")


def _classes(folder, preset):
    """Names of the folders that hold an image directly or deeper, without hidden ones and a `test` at the top."""
    top = _top(folder, preset)
    parent = folder / top
    if not parent.is_dir():
        return []
    names = sorted(path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [name for name in names if (top or name != "test") and list_images(parent, below=name)]
