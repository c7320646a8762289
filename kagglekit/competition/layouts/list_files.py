"""Layout: PaddleClas's list files, `train_list.txt` with a line `path label` for each image.

A path may hold spaces: the label is what follows the last one. A tab is followed by one class, or a vector `0,1,0`
for several labels. `val_list.txt` gives further training rows (the column `list` says which file a row comes from),
`test_list.txt` the rows to predict, and `label_list.txt` or `labels.txt` the names of the numbered classes.
"""

import pandas as pd

from kagglekit._checks import check_unique, first_few
from kagglekit.competition.layouts.assemble import assemble, plain_rows, read_sample
from kagglekit.competition.layouts.base import Layout
from kagglekit.competition.layouts.image_files import find_images, list_images

NAMES = {
    "train": ("train_list.txt", "train.txt"),
    "val": ("val_list.txt", "val.txt"),
    "test": ("test_list.txt", "test.txt"),
}
CLASS_NAMES = ("label_list.txt", "labels.txt", "classes.txt")


def recognises(folder, preset):
    return _path(folder, preset, "train") is not None


def read(folder, preset):
    """Read the layout; the image_id and the id are the path in the list."""
    list_files = {part: _path(folder, preset, part) for part in NAMES}
    if list_files["train"] is None:
        raise FileNotFoundError(f"no {folder / (preset.train_table or NAMES['train'][0])}; expected `path label` lines")
    images = list_images(folder)
    train, names = [], _class_names(folder)
    for part in ("train", "val"):
        lines = _lines(list_files[part]) if list_files[part] else []
        pairs = [_split(line, number, list_files[part]) for number, line in enumerate(lines, 1)]
        rows = _rows([path for path, _ in pairs], images, list_files[part], folder)
        train.append(rows.assign(label=[label for _, label in pairs], list=part))
    train = pd.concat(train, ignore_index=True)
    check_unique(f"path in {list_files['train']} and {list_files['val']}", train["image_id"])
    existing = set(images)
    tests = _lines(list_files["test"]) if list_files["test"] else []
    # Where the test list has labels as well, they are answers and are left out.
    tests = [line if line in existing or len(line.rsplit(None, 1)) < 2 else _split(line, 0, "")[0] for line in tests]
    sample, _ = read_sample(folder)
    cells, column = _cells(train.pop("label"), names)
    id_column = sample.columns[0] if sample is not None else "id"
    if sample is not None and isinstance(column, str):
        cells, column = cells.rename(columns={column: sample.columns[1]}), sample.columns[1]
        tests = sample[id_column].tolist()
    test = _rows(tests, images, list_files["test"] or folder, folder)
    return assemble(folder, preset, train, test, cells=cells, sample=sample, columns=(id_column, column))


def _path(folder, preset, part):
    names = NAMES[part]
    if preset.train_table and part == "train":
        names = (preset.train_table,)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _lines(path):
    return [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]


def _split(line, number, path):
    pair = line.rsplit("\t", 1) if "\t" in line else line.rsplit(None, 1)
    if len(pair) != 2:
        raise ValueError(f"{path}, line {number}: expected `path label`, got {line!r}")
    return pair[0].strip(), pair[1].strip()


def _rows(paths, images, csv, folder):
    row_images = find_images(paths, images, ("", "images"), csv=csv, root=folder)
    return plain_rows(paths, [row[""] for row in row_images])


def _class_names(folder):
    """`{number: name}` from lines `name`, or `number name`."""
    path = next((folder / name for name in CLASS_NAMES if (folder / name).is_file()), None)
    if path is None:
        return {}
    lines = _lines(path)
    numbered = all(line.split(None, 1)[0].isdecimal() and len(line.split(None, 1)) == 2 for line in lines)
    return dict(line.split(None, 1) for line in lines) if numbered else {str(n): line for n, line in enumerate(lines)}


def _cells(labels, names):
    """Return the cells to read labels from, and the name or names of their columns."""
    if not labels.str.contains(",").any():
        unknown = [label for label in labels.unique() if names and label not in names]
        if unknown and not set(labels) <= set(names.values()):
            raise ValueError(f"labels without a name in the list of classes: {first_few(unknown)}")
        return labels.map(lambda label: names.get(label, label)).to_frame("label"), "label"
    vectors = labels.str.split(",")
    if vectors.str.len().nunique() > 1:
        raise ValueError(f"the label vectors differ in length: {sorted(vectors.str.len().unique().tolist())}")
    columns = [names.get(str(number), str(number)) for number in range(len(vectors.iloc[0]))]
    return pd.DataFrame(vectors.tolist(), columns=columns, dtype=object), columns


LAYOUT = Layout(
    recognises, read, "train_list.txt", unused=("id_column", "label_column", "group_column", "image_column")
)
