"""Layout: a table of training rows (id, label, ...) and a sample submission beside folders of images."""

import re
from pathlib import PurePosixPath

import pandas as pd

from kagglekit._checks import check_unique, nearest
from kagglekit.competition.layouts.assemble import assemble, metadata, read_sample
from kagglekit.competition.layouts.base import Layout
from kagglekit.competition.layouts.image_files import SUFFIXES, find_images, list_images
from kagglekit.competition.layouts.templates import fill_template
from kagglekit.competition.tables import read_text_csv

TRAIN_TABLES = ("train.csv", "train_labels.csv", "trainLabels.csv", "train_images.csv", "labels.csv")
TEST_TABLES = ("test.csv", "test_images.csv")
FOLDERS = {
    "train": ("train", "train_images", "images", ""),
    "test": ("test", "test_images", "images", ""),
}


def recognises(folder, preset):
    return train_table(folder, preset) is not None


def train_table(folder, preset):
    """Return the path of the training table, or None."""
    if preset.train_table:
        return folder / preset.train_table if (folder / preset.train_table).is_file() else None
    there = {path.name.lower(): path for path in sorted(folder.iterdir(), reverse=True) if path.is_file()}
    found = [there[name.lower()] for name in TRAIN_TABLES if name.lower() in there]
    if len(found) > 1 and "label" in found[1].name.lower() and found[0].name.lower() == "train.csv":
        raise ValueError(
            f"{folder} has {found[0].name} and {found[1].name}: say which one holds the labels with "
            "preset=kk.Preset(train_table=...)"
        )
    return found[0] if found else None


def read(folder, preset):
    """Read the layout."""
    csv = train_table(folder, preset)
    if csv is None:
        raise FileNotFoundError(f"no {folder / (preset.train_table or 'train.csv')}; the preset says it is there")
    table = read_text_csv(csv, names=preset.columns)
    label_name = preset.label_column if isinstance(preset.label_column, str) else "label"
    names = None if preset.header else (preset.id_column or table.columns[0], label_name)
    sample, sample_path = read_sample(folder, names=names)
    id_column = _choose_id(csv, table, sample, preset.id_column)
    label_column = _choose_label(csv, table, sample, id_column, preset.label_column)
    for argument, column in (("group_column", preset.group_column), ("image_column", preset.image_column)):
        if column is not None:
            _check_column(csv, table, column, argument)

    images = list_images(folder)
    test_only = tuple(f"{name}/" for name in FOLDERS["test"] if name not in FOLDERS["train"])
    if preset.test_images and "{" not in preset.test_images and preset.test_images != preset.train_images:
        test_only += (f"{preset.test_images}/",)
    taken = [image for image in images if image.startswith(test_only)]
    labels = [label_column] if isinstance(label_column, str) else label_column
    chosen = (folder, preset, id_column, images)
    train, cells = _rows("train", table, csv, taken, *chosen, labels=labels)
    with_suffix = train["id"].str.lower().str.endswith(SUFFIXES).any()
    test_table, test_path = _test_table(folder, preset, sample, sample_path, id_column, images, with_suffix)
    taken = [part for source in train["source"] for part in ([source] if isinstance(source, str) else source)]
    test, _ = _rows("test", test_table, test_path, taken, *chosen)
    columns = (id_column, label_column)
    return assemble(folder, preset, train, test, cells=cells, sample=sample, columns=columns)


def _rows(part, table, csv, taken, folder, preset, id_column, images, labels=()):
    """Return the rows of one part, one for each image, and the cells of their labels."""
    image_column = preset.image_column if preset.image_column in table else id_column
    check_unique(f"{image_column} in {csv}", table[image_column])
    place = getattr(preset, f"{part}_images")
    other = preset.train_images if part == "test" else preset.test_images
    if place is None and other and "{" in other:
        names = ("train", "test") if part == "test" else ("test", "train")
        place = re.sub(names[0], names[1], other, count=1)
    if len(table) and place and "{" in place:
        row_images = fill_template(place, table, preset, csv=csv, root=folder, images=images, part=part)
    else:
        folders = (place,) if place else FOLDERS[part]
        row_images = find_images(table[image_column], images, folders, csv=csv, root=folder, taken=taken)
    numbers = [number for number, found in enumerate(row_images) for _ in found]
    table = table.iloc[numbers].reset_index(drop=True)
    names = [name for found in row_images for name in found]
    image_ids = [f"{stem}_{name}" if name else stem for stem, name in zip(table[image_column], names, strict=True)]
    rows = pd.DataFrame({"image_id": image_ids, "id": table[id_column]}, dtype=object)
    rows["source"] = pd.Series([source for found in row_images for source in found.values()], dtype=object)
    if preset.group_column in table:
        rows["group"] = table[preset.group_column]
    used = {id_column, image_column, preset.group_column, *labels}
    return pd.concat([rows, metadata(table, used)], axis=1), table[list(labels)]


def _test_table(folder, preset, sample, sample_path, id_column, images, with_suffix):
    """The rows to predict: the sample's, with the test table's columns; else the test table's; else the test files."""
    if sample is not None:  # its id column may be called otherwise
        sample = sample.rename(columns={sample.columns[0]: id_column})
    names = (preset.test_table,) if preset.test_table else TEST_TABLES
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is not None:
        table = read_text_csv(path)
        if id_column in table:
            if sample is None:
                return table, path
            if preset.image_column in table:  # several images of a row
                return table[table[id_column].isin(sample[id_column])], path
            check_unique(f"{id_column} in {path}", table[id_column])
            return sample[[id_column]].merge(table, on=id_column, how="left").fillna(""), path
    if sample is not None:
        return sample[[id_column]], sample_path
    place = preset.test_images or next((name for name in FOLDERS["test"][:2] if (folder / name).is_dir()), None)
    found = [image for image in images if place and "{" not in place and image.startswith(f"{place}/")]
    names = [image.removeprefix(f"{place}/") for image in found]
    if not with_suffix:
        names = [str(PurePosixPath(name).with_suffix("")) for name in names]
    return pd.DataFrame({id_column: names}, dtype=object), place


def _check_column(csv, table, column, argument):
    if column not in table:
        raise ValueError(
            f"{csv} has no column {column!r}.{nearest(column, table.columns)} Its columns are {list(table.columns)}; "
            f"name one of them with {argument}="
        )


def _choose_id(csv, table, sample, id_column):
    if id_column is None:
        named = [column for column in table.columns if not column.startswith("Unnamed:")]
        id_column = sample.columns[0] if sample is not None else named[0]
    _check_column(csv, table, id_column, "id_column")
    if id_column.lower().endswith(SUFFIXES):
        raise ValueError(
            f"{csv} has no header: its first cell is the image {id_column!r}; name its columns with "
            "preset=kk.Preset(columns=('id', 'label', ...))"
        )
    return id_column


def _choose_label(csv, table, sample, id_column, label_column):
    """The asked one; else the sample's that train.csv has; else the column whose values name the sample's columns.

    Returns a name, or a list of names where each class has a column.
    """
    if label_column is not None:
        for column in [label_column] if isinstance(label_column, str) else label_column:
            _check_column(csv, table, column, "label_column")
        return label_column if isinstance(label_column, str) else list(label_column)
    others = [column for column in table.columns if column != id_column]
    asked = [] if sample is None else list(sample.columns[1:])
    shared = [column for column in asked if column in others]
    if len(asked) > 1:  # one column per class
        if shared == asked:
            return [column for column in others if column in asked]  # bins stand in the order of the table
        shared = [column for column in others if set(table[column]) == set(asked)]
        shared = shared or [column for column in others if set(" ".join(table[column]).split()) == set(asked)]
    if not shared:
        shared = others if len(others) == 1 else [column for column in others if column in ("label", "class", "target")]
    if not shared and len(others) > 1 and table[others].isin(("0", "1")).to_numpy().all():
        return others
    if len(shared) != 1:
        raise ValueError(
            f"cannot tell the label column of {csv}: expected one of its columns {others} beside {id_column!r}"
            + (f", the sample submission asks for {asked}" if asked else "")
            + "; name it with label_column="
        )
    return shared[0]


LAYOUT = Layout(recognises, read, "train.csv with an id and a label column beside folders of images")
