"""The manifest tells the truth about the shards, complete records are used again, and changed ones are not."""

import hashlib
import re
import zlib

import numpy as np
import pytest
import tensorflow as tf

import kagglekit as kk
from kagglekit.inputs import records as records_module


@pytest.fixture
def comp(workspace, make_competition):
    return kk.load_competition(make_competition())  # 24 training and 3 test images


@pytest.fixture
def folds(comp):
    return [number % 3 for number in range(len(comp.train))]


def rows_of(path):
    return [tf.train.Example.FromString(row.numpy()).features.feature for row in tf.data.TFRecordDataset(str(path))]


@pytest.mark.parametrize("shard_rows", [1, 3, 5, 2048])
def test_the_manifest_counts_rows_bytes_and_checksums_of_every_shard(comp, folds, monkeypatch, shard_rows):
    monkeypatch.setattr(records_module, "SHARD_ROWS", shard_rows)
    records = kk.write_records(comp, folds)
    parts = records.manifest["parts"]
    assert {part: sum(shard["rows"] for shard in shards) for part, shards in parts.items()} == {
        "fold0": 8,
        "fold1": 8,
        "fold2": 8,
        "test": 3,
    }
    for part, shards in parts.items():
        for number, shard in enumerate(shards):
            path = records.folder / shard["file"]
            assert path.name == f"{part}-{number:02d}-of-{len(shards):02d}-{shard['rows']:05d}.tfrec"
            assert len(rows_of(path)) == shard["rows"] <= shard_rows
            assert shard["bytes"] == path.stat().st_size
            assert shard["crc32"] == f"{zlib.crc32(path.read_bytes()):08x}"
    assert {path.name for path in records.folder.iterdir()} == {
        "manifest.json",
        *(shard["file"] for shards in parts.values() for shard in shards),
    }


def test_rows_carry_the_id_the_class_number_and_the_line_of_the_table(comp, folds):
    records = kk.write_records(comp, folds)
    assert records.folds == [0, 1, 2]
    assert records.class_names == comp.class_names
    for part in (0, 1, 2, "test"):
        table = comp.test if part == "test" else comp.train[np.equal(folds, part)]
        found = [row for path in records.files(part) for row in rows_of(path)]
        assert [row["image_id"].bytes_list.value[0].decode() for row in found] == table["image_id"].tolist()
        assert [row["row"].int64_list.value[0] for row in found] == table.index.tolist()
        labels = [-1] * 3 if part == "test" else [comp.class_names.index(label) for label in table["label"]]
        assert [row["label"].int64_list.value[0] for row in found] == labels


def test_the_source_hash_is_the_hash_of_the_files_in_record_order(comp, folds):
    tables = [comp.train[np.equal(folds, fold)] for fold in range(3)] + [comp.test]
    files = [comp.root / source for table in tables for source in table["source"]]
    digests = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)
    assert kk.write_records(comp, folds).manifest["source_hash"] == hashlib.sha256(digests).hexdigest()


def test_complete_records_are_used_again_untouched(comp, folds):
    first = kk.write_records(comp, folds)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    second = kk.write_records(comp, folds)
    assert second == first == kk.open_records(first.folder)
    assert {path: path.stat().st_mtime_ns for path in second.folder.iterdir()} == before


def test_another_size_other_folds_and_a_changed_file_make_new_records(comp, folds):
    sized = kk.write_records(comp, folds, record_size=24)
    folded = kk.write_records(comp, folds[::-1], record_size=32)
    before = kk.write_records(comp, folds, record_size=32)
    path = comp.root / comp.train["source"][5]
    path.write_bytes(path.read_bytes() + b"\0")  # still a good JPEG
    after = kk.write_records(comp, folds, record_size=32)
    assert len({records.folder for records in (sized, folded, before, after)}) == 4
    assert before.manifest["source_hash"] != after.manifest["source_hash"]
    assert before.manifest["source_hash"] == sized.manifest["source_hash"]


def test_writing_twice_gives_the_same_bytes(comp, folds, tmp_path):
    first, second = (kk.write_records(comp, folds, record_size=24, folder=tmp_path / name) for name in "ab")
    assert first.manifest == second.manifest  # the checksums of the shards are in it


def test_a_folder_of_older_records_is_replaced_as_a_whole(comp, folds, tmp_path):
    kk.write_records(comp, [number % 5 for number in range(24)], folder=tmp_path / "mine")
    assert kk.write_records(comp, folds, folder=tmp_path / "mine").folds == [0, 1, 2]
    assert len(list((tmp_path / "mine").glob("*.tfrec"))) == 4


def test_a_folder_with_files_of_the_users_own_is_refused_and_kept(comp, folds, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"mine holds files but no manifest\.json"):
        kk.write_records(comp, folds, folder=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("damage", ["missing", "cut off", "empty"])
def test_a_missing_or_cut_shard_is_named(comp, folds, damage):
    records = kk.write_records(comp, folds)
    path = records.folder / records.manifest["parts"]["fold1"][0]["file"]
    size = path.stat().st_size
    left = {"missing": 0, "empty": 0, "cut off": size - 1}[damage]
    path.write_bytes(path.read_bytes()[:left])
    if damage == "missing":
        path.unlink()
    message = f"{path} has {left} bytes, the manifest says {size}; delete {records.folder} and write again"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kk.open_records(records.folder).files([0, 1])
    assert len(records.files([0, 2])) == 2


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([0] * 23, "expected folds for 24 rows, got 23"),
        ([0] * 23 + [-1], "images without a fold: '00023'; expected numbers from 0"),
        ({"00000": 1}, "folds lack 23 images: '00001', '00002'"),
    ],
)
def test_folds_that_do_not_fit_the_table_are_refused(comp, folds, message):
    with pytest.raises(ValueError, match=message):
        kk.write_records(comp, folds)


def test_unknown_parts_folders_and_formats_are_refused(comp, folds, tmp_path, monkeypatch):
    records = kk.write_records(comp, folds)
    with pytest.raises(
        ValueError, match=r"no records of 'fold7' in .*; there are \['fold0', 'fold1', 'fold2', 'test'\]"
    ):
        records.files([0, 7])
    with pytest.raises(FileNotFoundError, match=r"has no manifest.json; expected a folder that kk.write_records wrote"):
        kk.open_records(tmp_path)
    monkeypatch.setattr(records_module, "FORMAT_VERSION", 2)
    with pytest.raises(ValueError, match="holds records of format 1, expected 2"):
        kk.open_records(records.folder)
