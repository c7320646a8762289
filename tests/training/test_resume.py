"""Runs that are interrupted: kills between epochs, full disks, and folds in other processes end with the same bits."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import kagglekit as kk
from kagglekit.models.backbones import build_backbone

TRAIN = """
import sys
from pathlib import Path
import kagglekit as kk, tensorflow as tf
from kagglekit.training.fold_trainer import train_fold
from kagglekit.training.setup import Setup
from kagglekit.training.stages import plan_stages
tf.config.experimental.enable_op_determinism()
records, out = kk.open_records(sys.argv[1]), Path(sys.argv[2])
recipe = kk.Recipe.from_yaml(sys.argv[3])
setup = Setup.of_run(records, recipe, "accuracy", out / "features")
print("ready", flush=True)
train_fold(setup, plan_stages(setup), 0, out, out / "state.npz")
"""
RECIPE = kk.Recipe(
    backbone="small_cnn", weights=None, image_size=12, channels=1, record_size=16, batch_size=32, policy="tiny",
    frozen_epochs=0, epochs=8, learning_rate=3e-3, mix="cutmix", patience=6, ema=0.9,
)  # fmt: skip


def start(records, out, recipe=RECIPE):
    out.mkdir(exist_ok=True)
    recipe.to_yaml(out / "recipe.yaml")
    command = [sys.executable, "-c", TRAIN, str(records.folder), str(out), str(out / "recipe.yaml")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def arrays(path):
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files if name != "text"}


def same_arrays(one, other):
    one, other = arrays(one), arrays(other)
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def killed_after_states(process, state, count):
    """Kill a process once it has written its state `count` times; return whether it was still at work."""
    seen, last = 0, state.stat().st_mtime_ns if state.is_file() else 0
    while process.poll() is None and seen < count:
        now = state.stat().st_mtime_ns if state.is_file() else 0
        seen, last = seen + (now != last), now
    alive = process.poll() is None
    process.kill()
    process.communicate()
    return alive


@pytest.fixture
def records(workspace, digits):
    some = digits.train.iloc[:240].reset_index(drop=True)
    comp = kk.Competition("some", digits.root, some, digits.test[:0])
    return kk.write_records(comp, [row % 2 for row in range(len(some))], record_size=16)


def ends_as_an_undisturbed_one(records, tmp_path, moments, recipe=RECIPE):
    undisturbed = start(records, tmp_path / "undisturbed", recipe)
    assert undisturbed.communicate()[0] == "ready\n"
    out = tmp_path / "killed"
    interrupted = [killed_after_states(start(records, out, recipe), out / "state.npz", count) for count in moments]
    assert all(interrupted)
    last = start(records, out, recipe)
    assert (last.communicate()[0], last.returncode) == ("ready\n", 0)
    for name in ("state.npz", "oof.npz"):  # the state: network, optimizer, best weights
        assert same_arrays(tmp_path / "undisturbed" / name, out / name)
    lines = [(path / "history.csv").read_text().splitlines() for path in (tmp_path / "undisturbed", out)]
    assert len(lines[0]) == len(lines[1]) > len(moments)
    assert [line.rsplit(",", 1)[0] for line in lines[0]] == [line.rsplit(",", 1)[0] for line in lines[1]]


def test_a_killed_fold_goes_on_at_its_next_epoch_with_the_same_bits(records, tmp_path):
    ends_as_an_undisturbed_one(records, tmp_path, [2])


@pytest.mark.slow
def test_a_fold_killed_while_it_trains_on_kept_activations_ends_with_the_same_bits(records, tmp_path):
    build_backbone("small_cnn", 12, channels=1, weights=None).save_weights(tmp_path / "own.weights.h5")
    knobs = {"frozen_epochs": 1, "mix": "none", "unfrozen_layers": (0.2, 0.5), "cached_views": 1}
    recipe = RECIPE.replace(weights=str(tmp_path / "own.weights.h5"), patience=0, **knobs)
    ends_as_an_undisturbed_one(records, tmp_path, [1, 2], recipe)


@pytest.mark.slow
@pytest.mark.parametrize("knobs", [{}, {"ema": 0.0, "patience": 0, "optimizer": "lion", "mix": "none"}])
def test_five_kills_at_random_moments_change_no_bit(records, tmp_path, knobs):
    moments = np.random.default_rng(len(knobs)).integers(1, 3, 5)
    ends_as_an_undisturbed_one(records, tmp_path, moments, RECIPE.replace(epochs=14, **knobs))


@pytest.mark.slow
def test_a_killed_refit_goes_on_at_its_next_epoch_with_the_same_bits(records, digits, tmp_path):
    some = kk.Competition("some", digits.root, digits.train.iloc[:240].reset_index(drop=True), digits.test[:0])
    folds = [row % 2 for row in range(240)]
    run = kk.cross_validate(some, folds, RECIPE.replace(patience=0), fold_numbers=[0])
    killed = kk.Run(shutil.copytree(run.folder, tmp_path / "runs" / run.name))
    code = f"import kagglekit as kk; kk.refit(kk.Run({str(killed.folder)!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert killed_after_states(process, killed.folder / "refit.state.npz", 2)
    assert not killed.fold_folder("refit").exists()
    networks = [kk.refit(one).model("refit").get_weights() for one in (run, killed)]
    assert all(np.array_equal(one, other) for one, other in zip(*networks, strict=True))
    assert sorted(path.name for path in killed.folder.iterdir()) == sorted(path.name for path in run.folder.iterdir())
    lines = [(one.fold_folder("refit") / "history.csv").read_text().splitlines() for one in (run, killed)]
    assert len(lines[0]) == 1 + RECIPE.epochs
    assert [line.rsplit(",", 1)[0] for line in lines[0]] == [line.rsplit(",", 1)[0] for line in lines[1]]


RUN = """
import resource, sys
import joblib, kagglekit as kk
comp = kk.load_competition("digits")
comp = kk.Competition("some", comp.root, comp.train.iloc[:240].reset_index(drop=True), comp.test[:0])
recipe = kk.Recipe.from_yaml(sys.argv[1])
folds = [row % 2 for row in range(len(comp.train))]
kk.write_records(comp, folds, record_size=16)
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
if sys.argv[2] == "first":
    from kagglekit.training import cross_validation
    train = cross_validation._train
    cross_validation._train = lambda run, setup, stages, fold: str(fold) if fold else train(run, setup, stages, fold)
jobs = int(sys.argv[3]) if sys.argv[2] == "jobs" else None
with joblib.parallel_config("loky" if jobs else "threading", n_jobs=jobs):
    print(kk.cross_validate(comp, folds, recipe).folder)
"""


def cross_validated(workspace, how, number=0):
    recipe = RECIPE.replace(epochs=3, patience=0).to_yaml(workspace / "recipe.yaml")
    environment = os.environ | {"KAGGLEKIT_WORKSPACE": str(workspace)}
    command = [sys.executable, "-c", RUN, str(recipe), how, str(number)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    folder = next((workspace / "some" / "runs").glob("baseline-*"))
    return done, kk.Run(folder)


@pytest.mark.slow
def test_a_full_disk_is_an_error_that_names_the_folder_and_the_next_call_goes_on(tmp_path):
    whole, full = tmp_path / "whole", tmp_path / "full"
    whole.mkdir()
    full.mkdir()
    _, undisturbed = cross_validated(whole, "all")
    _, run = cross_validated(full, "first")
    assert run.finished_folds == [0]
    before = {path: path.read_bytes() for path in run.fold_folder(0).iterdir()}
    done, run = cross_validated(full, "limit", 100_000)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("OSError: fold 2 of 2 could not be written below")
    assert "File too large" in last
    assert "free some space, then call kk.cross_validate again" in last
    assert run.finished_folds == [0]
    assert not [path for path in run.folder.rglob("*") if "partial" in path.name]
    assert {path: path.read_bytes() for path in run.fold_folder(0).iterdir()} == before
    done, run = cross_validated(full, "all")
    assert (done.returncode, run.complete) == (0, True)
    for fold in range(2):
        assert same_arrays(run.fold_folder(fold) / "oof.npz", undisturbed.fold_folder(fold) / "oof.npz")


@pytest.mark.slow
def test_one_and_two_worker_processes_give_the_bits_of_this_one(tmp_path):
    runs = []
    for name, how, jobs in (("alone", "all", 0), ("one", "jobs", 1), ("two", "jobs", 2)):
        (tmp_path / name).mkdir()
        done, run = cross_validated(tmp_path / name, how, jobs)
        assert done.returncode == 0, done.stderr
        runs.append(run)
    for fold in range(2):
        paths = [run.fold_folder(fold) / "oof.npz" for run in runs]
        assert paths[0].read_bytes() == paths[1].read_bytes() == paths[2].read_bytes()
