"""Layout: train.csv (id, label, ...) and sample_submission.csv beside folders of images."""

import pandas as pd

from kagglekit._checks import check_unique, nearest
from kagglekit.competition.layouts.image_files import find_sources, list_images
from kagglekit.competition.tables import Competition, read_text_csv

TRAIN_FOLDERS = ("train", "train_images", "images", "")
TEST_FOLDERS = ("test", "test_images", "images", "")


def recognises(folder):
    return (folder / "train.csv").is_file()


def read(folder, *, id_column=None, label_column=None, group_column=None, metric="accuracy"):
    """Read the layout; the arguments are those of `load_competition`."""
    csv = folder / "train.csv"
    table = read_text_csv(csv)
    sample_path = find_sample(folder)
    sample = read_text_csv(sample_path) if sample_path else None
    id_column = _choose_id(csv, table, sample, id_column)
    label_column = _choose_label(csv, table, sample, id_column, label_column)
    if group_column is not None:
        _check_column(csv, table, group_column, "group_column")
    check_unique(f"{id_column} in {csv}", table[id_column])

    images = list_images(folder)
    chosen = {"id": id_column, "label": label_column, "group": group_column}
    train = pd.DataFrame({name: table[column] for name, column in chosen.items() if column}, dtype=object)
    train.insert(0, "image_id", table[id_column])
    test_only = tuple(f"{name}/" for name in TEST_FOLDERS if name not in TRAIN_FOLDERS)
    taken = [image for image in images if image.startswith(test_only)]
    train["source"] = find_sources(table[id_column], images, TRAIN_FOLDERS, csv=csv, root=folder, taken=taken)
    for column in table.columns.difference(list(filter(None, chosen.values())), sort=False):
        taken_name = column in ("image_id", "id", "source", "label", "group")
        train[f"{column}_in_csv" if taken_name else column] = table[column]

    test_ids, test_sources = [], []
    if sample is not None:
        if sample.columns[0] != id_column:
            raise ValueError(
                f"expected the first column of {sample_path} to be {id_column!r} as in {csv}, got "
                f"{sample.columns[0]!r}; rename the column in a copy of {csv.name}"
            )
        check_unique(f"{id_column} in {sample_path}", sample[id_column])
        test_ids = sample[id_column].tolist()
        taken = train["source"]
        test_sources = find_sources(test_ids, images, TEST_FOLDERS, csv=sample_path, root=folder, taken=taken)
    return Competition(
        name=folder.name,
        root=folder,
        train=train,
        test=pd.DataFrame({"image_id": test_ids, "id": test_ids, "source": test_sources}, dtype=object),
        sample_submission=sample,
        id_column=id_column,
        label_column=label_column,
        metric=metric,
    )


def find_sample(folder):
    found = sorted(
        path for path in folder.glob("*.csv") if "sample" in path.name.lower() and "sub" in path.name.lower()
    )
    if len(found) > 1:
        raise ValueError(f"several sample submissions in {folder}: {[path.name for path in found]}; keep the right one")
    return found[0] if found else None


def _check_column(csv, table, column, argument):
    if column not in table:
        raise ValueError(
            f"{csv} has no column {column!r}.{nearest(column, table.columns)} Its columns are {list(table.columns)}; "
            f"name one of them with {argument}="
        )


def _choose_id(csv, table, sample, id_column):
    if id_column is None:
        id_column = sample.columns[0] if sample is not None else table.columns[0]
    _check_column(csv, table, id_column, "id_column")
    return id_column


def _choose_label(csv, table, sample, id_column, label_column):
    """The asked one; else the sample's column that train.csv has; else the column whose values name the sample's."""
    if label_column is not None:
        _check_column(csv, table, label_column, "label_column")
        return label_column
    others = [column for column in table.columns if column != id_column]
    asked = [] if sample is None else list(sample.columns[1:])
    shared = [column for column in asked if column in others]
    if len(asked) > 1:  # one probability column per class
        shared = [column for column in others if set(table[column]) == set(asked)]
    if not shared:
        shared = others if len(others) == 1 else [column for column in others if column in ("label", "class", "target")]
    if len(shared) != 1:
        raise ValueError(
            f"cannot tell the label column of {csv}: expected one of its columns {others} beside {id_column!r}"
            + (f", the sample submission asks for {asked}" if asked else "")
            + "; name it with label_column="
        )
    return shared[0]
