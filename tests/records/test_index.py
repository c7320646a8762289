"""What the sidecars say of each row: read once, given to all who ask, and the same by any way of asking."""

import pickle
from collections import Counter

import numpy as np
import pytest

import kagglekit as kk
from kagglekit.pipeline.metadata import encoded_metadata, fitted_encoder
from kagglekit.records import read, write


@pytest.fixture
def records(workspace, make_competition, monkeypatch):
    """24 rows of three folds in shards of at most 3, and a column of metadata."""
    monkeypatch.setattr(write, "SHARD_ROWS", 3)
    comp = kk.load_competition(make_competition(size=(12, 10)))
    for table in (comp.train, comp.test):
        table["site"] = [("arm", "leg", "")[number % 3] for number in range(len(table))]
    folds = [number % 5 // 2 for number in range(24)]
    return kk.write_records(comp, folds, record_size=8, metadata=["site"])


@pytest.fixture
def sidecars(monkeypatch):
    """Counts how often each sidecar is read for what it says of the rows."""
    counts = Counter()

    def counted(path):
        counts[path.name] += 1
        return plain(path)

    plain = read.read_sidecar
    monkeypatch.setattr(read, "read_sidecar", counted)
    return counts


def test_parts_together_are_the_parts_one_after_another(records):
    together, parts = records.index([2, 0, "test"]), [records.index(part) for part in (2, 0, "test")]
    assert {len(values) for values in together.values()} == {records.rows([2, 0, "test"])}
    for name in set(together) - {"shard"}:
        assert together[name].tolist() == [value for part in parts for value in part[name].tolist()], name
    files = np.array(records.files([2, 0, "test"]))[together["shard"]].tolist()
    of_parts = zip((2, 0, "test"), parts, strict=True)
    assert files == [path for part, own in of_parts for path in np.array(records.files(part))[own["shard"]]]
    names = records.part_names([2, 0, "test"])
    assert names == ["fold2", "fold0", "test"]
    assert records.files(names) == records.files([2, 0, "test"])


def test_each_sidecar_is_read_once_and_what_it_says_cannot_be_changed(records, sidecars):
    recipe = kk.Recipe(categorical=["site"])
    for parts in (0, [0, 1], [1, 2], "test", [2, 1, 0], "test"):
        index = records.index(parts)
        assert not any(array.flags.writeable for array in index.values())
        index.clear()  # the dict is the caller's own
        assert not encoded_metadata(records, recipe, parts)["categories"].flags.writeable
    assert set(sidecars.values()) == {1}
    assert len(sidecars) == len(list(records.folder.glob("*.npz")))


def test_columns_are_encoded_the_same_alone_and_together(records):
    recipe = kk.Recipe(categorical=["site"])
    assert fitted_encoder(records, recipe) is fitted_encoder(records, recipe)
    assert fitted_encoder(records, recipe).vocabularies_ == [["arm", "leg"]]
    numbers = {"": 0, "arm": 2, "leg": 3}
    for parts in (1, [0, 1, 2], "test"):
        sites = records.table(parts)["site"]
        assert encoded_metadata(records, recipe, parts)["categories"].tolist() == [[numbers[site]] for site in sites]


def test_what_is_cached_does_not_travel_to_other_processes(records):
    plain = len(pickle.dumps(records))
    records.index([0, 1, 2])
    assert len(pickle.dumps(records)) == plain
    copy = pickle.loads(pickle.dumps(records))
    assert copy == records
    assert copy.index(0)["image_id"].tolist() == records.index(0)["image_id"].tolist()
