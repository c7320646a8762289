"""Layout: ready-made TFRecords, with the keys `image`, `class` or `target`, `id` or `image_name`. Read in place."""

import re

import pandas as pd
from google.protobuf import message

from kagglekit._tfrecord import DATA_AT, FRAME_BYTES, Example, read_frames
from kagglekit.competition.layouts.assemble import assemble, read_sample
from kagglekit.competition.layouts.base import Layout
from kagglekit.competition.layouts.index import container_index
from kagglekit.tasks import REGRESSION, SINGLE_LABEL

SUFFIXES = (".tfrec", ".tfrecord", ".tfrecords")
IMAGE_KEYS = ("image", "image/encoded", "image_raw")
ID_KEYS = ("id", "image_name", "image_id", "image/filename")
LABEL_KEYS = ("class", "target", "label", "image/class/label")
_COUNT = re.compile(r"-(\d+)\.tfrec(?:ords?)?$")


def recognises(folder, preset):
    return bool(_files(folder, preset, "train"))


def read(folder, preset):
    """Read the layout; classes are the numbers in the records, as text.

    Raises:
        ValueError: naming the file and the record that is damaged, or a file whose name counts other rows.
    """
    tables = {}
    for part in ("train", "test"):
        shards = [_table(folder, path) for path in _files(folder, preset, part)]
        tables[part] = pd.concat(shards, ignore_index=True) if shards else None
    if tables["train"] is None:
        raise FileNotFoundError(f"no TFRecord whose path says train below {folder}; see kk.Preset(train_images=...)")
    train = tables["train"]
    test = tables["test"] if tables["test"] is not None else train.iloc[:0]
    sample, sample_path = read_sample(folder)
    id_column = "id" if sample is None else sample.columns[0]
    label_column = "label" if sample is None or len(sample.columns) > 2 else sample.columns[1]
    if sample is not None and set(sample[id_column]) != set(test["id"]):
        differing = sorted(set(sample[id_column]) ^ set(test["id"]))
        raise ValueError(
            f"{sample_path} and the test records differ in {len(differing)} ids, among them {differing[:5]}"
        )
    return assemble(
        folder,
        preset,
        train[["image_id", "id", "source"]],
        test[["image_id", "id", "source"]],
        cells=train[["label"]].rename(columns={"label": label_column}),
        sample=sample,
        columns=(id_column, label_column),
        task=_task(train["label"]),
    )


def _task(labels):
    """Return the task: classes are stored as whole numbers or text; a fraction is a number to predict."""
    return REGRESSION if labels.str.fullmatch(r"-?\d+\.\d+(e-?\d+)?").any() else SINGLE_LABEL


def _files(folder, preset, part):
    """Return the files whose path names the part, train or test; of several image sizes, those of the largest."""
    place = getattr(preset, f"{part}_images") or ""
    paths = sorted(path for suffix in SUFFIXES for path in (folder / place).rglob(f"*{suffix}"))
    words = re.compile(r"(?<![a-z])(train|val)" if part == "train" else r"(?<![a-z])test", re.IGNORECASE)
    if not place:
        paths = [path for path in paths if words.search(str(path.relative_to(folder)))]
    top_folders = {path.relative_to(folder).parts[0] for path in paths}
    if len(top_folders) > 1 and all(re.search(r"\d+x\d+", top) for top in top_folders):
        largest = max(top_folders, key=lambda top: int(re.search(r"(\d+)x\d+", top)[1]))
        paths = [path for path in paths if path.relative_to(folder).parts[0] == largest]
    return paths


def _table(folder, path):
    table = container_index(folder, path, _scanner(path), version=1)
    match = _COUNT.search(path.name)
    if match and int(match[1]) != len(table):
        raise ValueError(f"{path} has {len(table)} records, its name says {int(match[1])}; download it again")
    return table


def _scanner(path):
    def scan(file):
        for number, (start, data) in enumerate(read_frames(file, path)):
            image, identifier, label = _fields(data, path, number)
            # Protobuf stores bytes unchanged, so they can be read in place without it.
            yield (
                start + FRAME_BYTES + len(data),
                [(identifier, identifier, label, start + DATA_AT + data.index(image), len(image))],
            )

    return scan


def _fields(data, path, number):
    try:
        features = Example.FromString(data).features.feature
    except message.DecodeError as error:
        raise ValueError(f"{path}: record {number} is not a tf.train.Example ({error})") from error

    def value(keys):
        for key in keys:
            if key in features:
                feature = features[key]
                for cells in (feature.bytes_list.value, feature.int64_list.value, feature.float_list.value):
                    if len(cells) > 1:
                        raise ValueError(f"{path}: record {number} has {len(cells)} values of {key!r}, expected one")
                    if len(cells):
                        return cells[0]
        return None

    image, identifier, label = value(IMAGE_KEYS), value(ID_KEYS), value(LABEL_KEYS)
    if not isinstance(image, bytes) or identifier is None:
        raise ValueError(
            f"{path}: record {number} has the keys {sorted(features)}; expected one of {IMAGE_KEYS} and one of "
            f"{ID_KEYS}"
        )
    return image, _text(identifier), "" if label is None else _text(label)


def _text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


LAYOUT = Layout(
    recognises, read, "TFRecords (*.tfrec)", unused=("id_column", "label_column", "group_column", "image_column")
)
