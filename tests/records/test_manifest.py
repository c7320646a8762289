"""The manifest tells the truth about the shards, complete records are used again, and changed ones are not."""

import itertools
import os
import re
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf

import kagglekit as kk
from kagglekit.records import read as records_module
from kagglekit.records import write


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
    monkeypatch.setattr(write, "SHARD_ROWS", shard_rows)
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
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as sidecar:
                stored = [row.numpy() for row in tf.data.TFRecordDataset(str(path))]
                ends = np.cumsum([0] + [len(row) + 16 for row in stored]).tolist()
                assert sidecar["end"].tolist() == ends
                content = path.read_bytes()
                frames = [content[begin:end] for begin, end in itertools.pairwise(ends)]
                assert sidecar["crc"].tolist() == [google_crc32c.value(part) for part in frames]
                for row, at, length in zip(stored, sidecar["at"], sidecar["length"], strict=True):
                    (image,) = tf.train.Example.FromString(row).features.feature["image"].bytes_list.value
                    assert content[at[0] : at[0] + length[0]] == image
    stems = [Path(shard["file"]).stem for shards in parts.values() for shard in shards]
    assert {path.name for path in records.folder.iterdir()} == {
        "manifest.json",
        *(f"{stem}{ending}" for stem in stems for ending in (".tfrec", ".npz")),
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


def test_complete_records_are_used_again_untouched(comp, folds):
    first = kk.write_records(comp, folds)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    second = kk.write_records(comp, folds)
    assert second == first == kk.open_records(first.folder)
    assert {path: path.stat().st_mtime_ns for path in second.folder.iterdir()} == before


def test_another_size_and_other_folds_are_other_records_of_the_same_source(comp, folds):
    sized = kk.write_records(comp, folds, record_size=24)
    turned = kk.write_records(comp, [(fold + 1) % 3 for fold in folds], record_size=32)
    plain = kk.write_records(comp, folds, record_size=32)
    assert len({records.folder for records in (sized, turned, plain)}) == 3
    assert len({records.hash for records in (sized, turned, plain)}) == 3
    assert sized.manifest["source_hash"] == plain.manifest["source_hash"] != turned.manifest["source_hash"]


@pytest.mark.parametrize("change", ["longer", "of the same length"])
def test_a_changed_image_rewrites_its_own_shard_alone(comp, folds, monkeypatch, change):
    monkeypatch.setattr(write, "SHARD_ROWS", 3)
    first = kk.write_records(comp, folds, record_size=32)
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in first.folder.iterdir()}
    image_id, path = comp.train["image_id"][5], comp.root / comp.train["source"][5]
    if change == "longer":
        path.write_bytes(path.read_bytes() + b"\0")  # still a good JPEG
    else:
        content, about = bytearray(path.read_bytes()), path.stat()
        content[content.index(b"\xff\xdb") + 10] += 1  # a cell of the quantisation table
        path.write_bytes(content)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))  # clocks of file systems may be coarse
        assert path.stat().st_size == about.st_size
    second = kk.write_records(comp, folds, record_size=32)
    after = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in second.folder.iterdir()}
    # Line 5 is the second row of fold 2
    assert {name for name in after if after[name] != before.get(name)} == {
        "fold2-00-of-03-00003.tfrec",
        "fold2-00-of-03-00003.npz",
        "manifest.json",
    }
    assert second.folder == first.folder
    assert second.hash != first.hash
    assert image_id in second.table(2)["image_id"][:3].tolist()
    assert kk.verify_records(second).empty


def test_a_file_that_was_touched_but_not_changed_leaves_the_identity(comp, folds):
    first = kk.write_records(comp, folds)
    (comp.root / comp.train["source"][5]).touch()
    assert kk.write_records(comp, folds).hash == first.hash


def test_writing_twice_gives_the_same_bytes(comp, folds, tmp_path):
    first, second = (kk.write_records(comp, folds, record_size=24, folder=tmp_path / name) for name in "ab")
    assert first.manifest == second.manifest
    names = sorted(path.name for path in first.folder.iterdir())
    assert names == sorted(path.name for path in second.folder.iterdir())
    assert all((first.folder / name).read_bytes() == (second.folder / name).read_bytes() for name in names)


def test_a_folder_of_older_records_is_replaced_as_a_whole(comp, folds, tmp_path):
    kk.write_records(comp, [number % 5 for number in range(24)], folder=tmp_path / "mine")
    assert kk.write_records(comp, folds, folder=tmp_path / "mine").folds == [0, 1, 2]
    assert len(list((tmp_path / "mine").glob("*.tfrec"))) == 4


def test_a_folder_with_files_of_the_users_own_is_refused_and_kept(comp, folds, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"mine holds files but no records; choose an empty or a new folder"):
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
    where = {"missing": "", "empty": ", record 0 ('00001')", "cut off": ", record 7 ('00022')"}[damage]
    message = f"{path}{where} has {left} bytes, the manifest says {size}; kk.write_records writes damaged shards again"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kk.open_records(records.folder).files([0, 1])
    assert len(records.files([0, 2])) == 2
    whole = kk.write_records(comp, folds)
    assert whole == records
    assert len(whole.files([0, 1])) == 2


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
    monkeypatch.setattr(records_module, "FORMAT_VERSION", 4)
    with pytest.raises(ValueError, match="holds records of format 3, expected 4"):
        kk.open_records(records.folder)
