"""Layout: a table of training rows (id, label, ...) and a sample submission beside folders of images."""

import re
from pathlib import PurePosixPath

import pandas as pd

from kagglekit._checks import check_unique, nearest
from kagglekit.competition.layouts.assemble import assemble, metadata, read_sample
from kagglekit.competition.layouts.base import Layout
from kagglekit.competition.layouts.image_files import SUFFIXES, find_images, list_images
from kagglekit.competition.layouts.templates import fill_template
from kagglekit.competition.sources import parts
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
    files = {path.name.lower(): path for path in sorted(folder.iterdir(), reverse=True) if path.is_file()}
    tables = [files[name.lower()] for name in TRAIN_TABLES if name.lower() in files]
    if len(tables) > 1 and "label" in tables[1].name.lower() and tables[0].name.lower() == "train.csv":
        raise ValueError(
            f"{folder} has {tables[0].name} and {tables[1].name}: say which one holds the labels with "
            "preset=kk.Preset(train_table=...)"
        )
    return tables[0] if tables else None


def existing_train_table(folder, preset):
    """Return the path of the training table; raise `FileNotFoundError` where there is none."""
    path = train_table(folder, preset)
    if path is None:
        raise FileNotFoundError(f"no {folder / (preset.train_table or 'train.csv')}; the preset says it is there")
    return path


def find_test_table(folder, preset):
    """Return the path of the table of test rows, or None."""
    names = (preset.test_table,) if preset.test_table else TEST_TABLES
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read(folder, preset):
    """Read the layout."""
    csv = existing_train_table(folder, preset)
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
    label_columns = [label_column] if isinstance(label_column, str) else label_column
    common = (folder, preset, id_column, images)
    train, cells = _rows("train", table, csv, taken, *common, labels=label_columns)
    with_suffix = train["id"].str.lower().str.endswith(SUFFIXES).any()
    test_table, test_path = _test_table(folder, preset, sample, sample_path, id_column, images, with_suffix)
    taken = [path for source in train["source"] for path in parts(source)]
    test, _ = _rows("test", test_table, test_path, taken, *common)
    columns = (id_column, label_column)
    return assemble(folder, preset, train, test, cells=cells, sample=sample, columns=columns)


def _rows(part, table, csv, taken, folder, preset, id_column, images, labels=()):
    """Return the rows of train or test, one for each image, and the cells of their labels."""
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
    numbers = [number for number, row in enumerate(row_images) for _ in row]
    table = table.iloc[numbers].reset_index(drop=True)
    names = [name for row in row_images for name in row]
    image_ids = [f"{stem}_{name}" if name else stem for stem, name in zip(table[image_column], names, strict=True)]
    rows = pd.DataFrame({"image_id": image_ids, "id": table[id_column]}, dtype=object)
    rows["source"] = pd.Series([source for row in row_images for source in row.values()], dtype=object)
    if preset.group_column in table:
        rows["group"] = table[preset.group_column]
    used = {id_column, image_column, preset.group_column, *labels}
    return pd.concat([rows, metadata(table, used)], axis=1), table[list(labels)]


def _test_table(folder, preset, sample, sample_path, id_column, images, with_suffix):
    """The rows to predict: the sample's, with the test table's columns; else the test table's; else the test files."""
    if sample is not None:  # its id column may have another name
        sample = sample.rename(columns={sample.columns[0]: id_column})
    path = find_test_table(folder, preset)
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
    paths = [image for image in images if place and "{" not in place and image.startswith(f"{place}/")]
    names = [image.removeprefix(f"{place}/") for image in paths]
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
    """The chosen one; else the sample's that train.csv has; else the column whose values name the sample's columns.

    Returns a name, or a list of names where each class has a column.
    """
    if label_column is not None:
        for column in [label_column] if isinstance(label_column, str) else label_column:
            _check_column(csv, table, column, "label_column")
        return label_column if isinstance(label_column, str) else list(label_column)
    others = [column for column in table.columns if column != id_column]
    sample_columns = [] if sample is None else list(sample.columns[1:])
    shared = [column for column in sample_columns if column in others]
    if len(sample_columns) > 1:  # one column per class
        if shared == sample_columns:
            return [column for column in others if column in sample_columns]  # bins keep the order of the table
        shared = [column for column in others if set(table[column]) == set(sample_columns)]
        shared = shared or [column for column in others if set(" ".join(table[column]).split()) == set(sample_columns)]
    if not shared:
        shared = others if len(others) == 1 else [column for column in others if column in ("label", "class", "target")]
    if not shared and len(others) > 1 and table[others].isin(("0", "1")).to_numpy().all():
        return others
    if len(shared) != 1:
        raise ValueError(
            f"cannot tell the label column of {csv}: expected one of its columns {others} beside {id_column!r}"
            + (f", the sample submission asks for {sample_columns}" if sample_columns else "")
            + "; name it with label_column="
        )
    return shared[0]


LAYOUT = Layout(recognises, read, "train.csv with an id and a label column beside folders of images")
