"""Records after an accident: a kill, a flipped bit, a cut file; and the same bytes whoever writes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kagglekit as kk
from kagglekit.records import write

RECIPE = kk.Recipe(backbone="small_cnn", weights=None, image_size=16, record_size=32, batch_size=5)
WRITER = """
import sys, joblib, kagglekit as kk
from kagglekit.records import write
write.SHARD_ROWS = 3
comp = kk.load_competition(sys.argv[1])
print("ready", flush=True)
with joblib.parallel_config("threading", n_jobs=2):
    kk.write_records(comp, [n % 3 for n in range(len(comp.train))], record_size=24, folder=sys.argv[2])
"""


@pytest.fixture
def comp(workspace, make_competition, monkeypatch):
    monkeypatch.setattr(write, "SHARD_ROWS", 3)
    return kk.load_competition(make_competition(ids=[f"{number:05d}" for number in range(60)]))


def written(comp, folder, **options):
    return kk.write_records(comp, [n % 3 for n in range(len(comp.train))], record_size=24, folder=folder, **options)


def content(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def killed_while_writing(comp, folder, when):
    """Kill a writing process as soon as `when` shards of its 22 are there; return the number that it had written."""
    environment = os.environ | {"PYTHONPATH": str(Path(kk.__file__).parents[1])}
    command = [sys.executable, "-c", WRITER, str(comp.root), str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"ready\n"
        while process.poll() is None and len(list(folder.glob("fold*.npz"))) < when:
            pass
        process.kill()
    return len(list(folder.glob("[!.]*.npz")))


def restarted_equals_undisturbed(comp, tmp_path, moments):
    undisturbed, interrupted = content(written(comp, tmp_path / "undisturbed").folder), 0
    for when in moments:
        folder = tmp_path / f"killed{when}"
        folder.mkdir()
        before = killed_while_writing(comp, folder, when)
        interrupted += not (folder / "manifest.json").exists()
        times = {path: path.stat().st_mtime_ns for path in folder.glob("[!.]*.npz")}
        assert len(times) == before >= when
        assert content(written(comp, folder).folder) == undisturbed
        assert times == {path: path.stat().st_mtime_ns for path in times}  # what was whole was kept
    assert interrupted > 0


def test_a_writer_that_is_killed_and_started_again_gives_the_same_bytes(comp, tmp_path):
    restarted_equals_undisturbed(comp, tmp_path, [np.random.default_rng(0).integers(2, 12)])


@pytest.mark.slow
def test_five_kills_at_random_moments_cost_nothing(comp, tmp_path):
    restarted_equals_undisturbed(comp, tmp_path, np.random.default_rng(1).choice(18, 5, replace=False))


def test_a_folder_that_a_kill_left_with_half_a_file_is_completed(comp, tmp_path):
    undisturbed = content(written(comp, tmp_path / "records").folder)
    rng, folder = np.random.default_rng(2), tmp_path / "records"
    for name in rng.choice(sorted(undisturbed), 5, replace=False):
        whole = folder / name
        number = 2**22 + 1  # no process has it
        whole.rename(whole.with_name(f".{whole.stem}.{number}.partial{whole.suffix}"))
        assert content(written(comp, folder).folder) == undisturbed


# ---- damage


@pytest.fixture
def records(comp, tmp_path):
    return written(comp, tmp_path / "records")


def test_whole_records_are_found_whole(records):
    table = kk.verify_records(records)
    assert table.empty
    assert table.attrs["verdict"] == "63 records in 22 shards, all whole"


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_is_named_with_shard_record_and_image(comp, records, seed):
    rng, changed, before = np.random.default_rng(seed), {}, content(records.folder)
    for fold in range(3):
        number = int(rng.integers(7))
        path = Path(records.files(fold)[number])
        damaged = bytearray(path.read_bytes())
        place = int(rng.integers(len(damaged)))
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        record = int(np.searchsorted(np.load(path.with_suffix(".npz"))["end"], place, side="right")) - 1
        changed[fold] = (str(path), record, comp.train["image_id"][fold + 3 * (3 * number + record)])
    found = kk.verify_records(records)
    assert list(zip(found["shard"], found["record"], found["image_id"], strict=True)) == list(changed.values())
    assert found.attrs["verdict"].startswith("63 records in 22 shards, 3 damaged: ")
    for fold, (path, record, image_id) in changed.items():
        message = rf"{path}, record {record} \('{image_id}'\): its bytes have changed; delete the file"
        for dataset in (kk.eval_dataset(records, RECIPE, fold), kk.train_dataset(records, RECIPE, [fold], epochs=1)):
            with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                list(dataset)
        Path(path).unlink()
    assert content(written(comp, records.folder).folder) == before


def test_bytes_that_change_between_two_epochs_are_found(records):
    (path,), dataset = {Path(records.files(0)[0])}, kk.eval_dataset(records, RECIPE, 0)
    assert len(list(dataset)) == 4
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{path}, record 1 \('00003'\): its bytes have changed"):
        list(dataset)


@pytest.mark.parametrize("dataset", ["train", "eval"])
def test_a_shard_that_is_cut_after_the_dataset_was_made_is_named(records, dataset):
    path = Path(records.files(1)[0])
    made = (
        kk.train_dataset(records, RECIPE, [1], epochs=1) if dataset == "train" else kk.eval_dataset(records, RECIPE, 1)
    )
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{path}, record 2 \('00007'\): its bytes have"):
        list(made)
    with pytest.raises(ValueError, match=rf"{path}, record 2 \('00007'\) has \d+ bytes, the manifest says"):
        kk.eval_dataset(records, RECIPE, 1)


@pytest.mark.parametrize("damage", ["cut", "longer", "missing", "no sidecar", "cut sidecar", "empty"])
def test_verification_names_every_kind_of_damage_and_writing_mends_it(comp, records, damage):
    shard = records.manifest["parts"]["fold1"][1]["file"]
    path, before = records.folder / shard, content(records.folder)
    sidecar = path.with_suffix(".npz")
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "longer":
        path.write_bytes(whole + b"\0")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "missing":
        path.unlink()
    elif damage == "no sidecar":
        sidecar.unlink()
    else:
        sidecar.write_bytes(sidecar.read_bytes()[:-30])
    expected = {
        "cut": (1, "00013", "the file ends before it or within it"),
        "longer": (3, "", "there are bytes behind the last record"),
        "empty": (0, "00010", "the file ends before it or within it"),
        "missing": (-1, "", "the file is missing"),
        "no sidecar": (-1, "", "its sidecar is missing or damaged"),
        "cut sidecar": (-1, "", "its sidecar is missing or damaged"),
    }[damage]
    found = kk.verify_records(records)
    assert [tuple(row) for row in found.to_numpy()] == [(str(path), *expected)]
    assert content(written(comp, records.folder).folder) == before


def test_a_damaged_sidecar_stops_the_reading_by_name(records):
    sidecar = (records.folder / records.manifest["parts"]["fold0"][0]["file"]).with_suffix(".npz")
    sidecar.write_bytes(sidecar.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"fold0-00-of-07-00003\.tfrec: its sidecar is damaged; call kk.write_records"):
        kk.train_dataset(records, RECIPE, [0])
    with pytest.raises(ValueError, match=r"fold0-00-of-07-00003\.tfrec: its sidecar is damaged; call kk.write_records"):
        kk.eval_dataset(records, RECIPE, 0)


# ---- who writes


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_threads_and_processes_write_the_same_bytes(comp, tmp_path, backend):
    alone = content(written(comp, tmp_path / "alone").folder)
    with joblib.parallel_config(backend, n_jobs=2):
        assert content(written(comp, tmp_path / backend).folder) == alone
        assert kk.verify_records(kk.open_records(tmp_path / backend)).empty


@pytest.mark.slow
def test_a_dask_cluster_of_two_processes_writes_the_same_bytes(comp, tmp_path):
    from distributed import Client, LocalCluster

    alone = content(written(comp, tmp_path / "alone").folder)
    options = {"processes": True, "dashboard_address": None, "host": "127.0.0.1", "local_directory": str(tmp_path)}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster,
        Client(cluster),
        joblib.parallel_config("dask"),
    ):
        assert content(written(comp, tmp_path / "cluster").folder) == alone
        assert kk.verify_records(kk.open_records(tmp_path / "cluster")).empty
        (comp.root / comp.train["source"][7]).write_bytes(b"no image")
        with pytest.raises(ValueError, match="1 images below .* cannot be decoded: '.*00007.jpg"):
            written(comp, tmp_path / "cluster")


# ---- what comes back


def test_metadata_comes_back_beside_the_ids(comp, tmp_path):
    def with_columns(table):
        places = [f"place {number % 4}" if number % 5 else "" for number in range(len(table))]
        return table.assign(place=places, camera=[f"Ä{number}" for number in range(len(table))])

    comp = kk.Competition(comp.name, comp.root, with_columns(comp.train), with_columns(comp.test))
    records = written(comp, tmp_path / "records", metadata=["camera", "place"])
    for part in (0, 1, 2, "test"):
        table = comp.test if part == "test" else comp.train.iloc[part::3]
        columns = ["image_id", "id", "camera", "place"]
        found = records.table(part)
        pd.testing.assert_frame_equal(
            found[columns].astype(object), table[columns].astype(object).reset_index(drop=True), check_dtype=False
        )
        assert found["row"].tolist() == table.index.tolist()
        labels = [-1] * 3 if part == "test" else [comp.class_names.index(label) for label in table["label"]]
        assert found["label"].tolist() == labels
    with pytest.raises(ValueError, match="the train table has no column 'plaza'"):
        written(comp, tmp_path / "records", metadata=["plaza"])
    comp = kk.Competition(comp.name, comp.root, comp.train.assign(row=0), comp.test.assign(row=0))
    with pytest.raises(ValueError, match="'row' cannot be metadata, records use these names themselves"):
        written(comp, tmp_path / "records", metadata=["row"])


def test_two_folders_of_the_same_source_are_the_same_records(comp, tmp_path):
    first, second = written(comp, tmp_path / "a"), written(comp, tmp_path / "b")
    assert (first.hash, first.manifest) == (second.hash, second.manifest)
    shutil.rmtree(first.folder)
    assert written(comp, tmp_path / "a").manifest == second.manifest
