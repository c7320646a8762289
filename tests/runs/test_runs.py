"""Runs on disk: found by path or text, and whole wherever their workspace is moved."""

import dataclasses
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest

import kagglekit as kk
from kagglekit import _files


def some_digits():
    comp = kk.load_competition("digits")
    train, test = comp.train.iloc[:120].reset_index(drop=True), comp.test[:10].reset_index(drop=True)
    return dataclasses.replace(comp, name="some", train=train, test=test, sample_submission=None)


def trained(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("fold*/model.keras")}


@pytest.fixture
def moved(workspace, quick_recipe, monkeypatch, tmp_path):
    """A competition, its folds and the workspace of a complete run and a study, copied elsewhere and removed."""
    comp, recipe = some_digits(), quick_recipe.replace(epochs=1, policy=[["flip_horizontal", 0.5]])
    folds = kk.assign_folds(comp, 2)
    run = kk.cross_validate(comp, folds, recipe)
    kk.tune(comp, folds, recipe, max_trials=2, fold_numbers=[0], study="moved")
    elsewhere = tmp_path / "earlier session" / "output"
    shutil.copytree(workspace, elsewhere, copy_function=shutil.copy)  # `cp -r`: the files' times are new
    shutil.rmtree(workspace)
    monkeypatch.setenv("KAGGLEKIT_WORKSPACE", str(elsewhere))
    return some_digits(), folds, run


def test_a_moved_workspace_works_as_before(moved, workspace):
    comp, folds, old = moved
    for path in comp.workspace.rglob("*"):
        assert not path.is_file() or str(workspace).encode() not in path.read_bytes(), f"{path} names the workspace"
    (run,) = kk.list_runs(comp)
    assert run.name == old.name
    assert kk.best_run(comp) == run
    assert run.records().folder.is_relative_to(comp.workspace)
    predictions = kk.predict(run, tta=["identity", "hflip"])
    assert (len(predictions.oof), len(predictions.test)) == (120, 10)
    assert kk.refit(run).model("refit").output_shape == (None, 10)
    assert len(kk.label_safety(run)) == 1
    assert kk.check_export(run, kk.export(run, fold=1), fold=1)["same_class"] == 1
    assert len(kk.plot_examples(comp, run, 0, most=3)) == 3
    plt.close("all")
    before = trained(comp.workspace)
    assert kk.cross_validate(comp, folds, run.recipe).score == run.score
    kk.tune(comp, folds, run.recipe, max_trials=2, fold_numbers=[0], study="moved")
    assert trained(comp.workspace) == before
    shutil.rmtree(comp.folders.tuning)
    kk.tune(comp, folds, run.recipe, max_trials=1, fold_numbers=[0])
    (adopted,) = comp.folders.tuning.glob("*/runs/*/fold0/model.keras")
    assert adopted.read_bytes() == (run.fold_folder(0) / "model.keras").read_bytes()
    assert not workspace.exists()


def test_missing_records_are_named_with_what_to_do(quick_run, tmp_path, monkeypatch):
    run = kk.Run(shutil.copytree(quick_run.folder, tmp_path / "digits" / "runs" / quick_run.name))
    assert run.records().folder == quick_run.records().folder, "those of the workspace serve a run that was copied"
    monkeypatch.setenv("KAGGLEKIT_WORKSPACE", str(tmp_path))
    expected = tmp_path / "digits" / run.info["records"]
    with pytest.raises(FileNotFoundError, match=rf"records of {run.name} are not in {expected}; copy that folder"):
        run.records()
    shutil.copytree(quick_run.records().folder, expected)
    assert run.records().folder == expected
    assert run.features() == tmp_path / "digits" / "features"


def test_a_run_whose_folders_are_linked_to_another_disk_finds_its_records(quick_run, tmp_path, monkeypatch):
    shutil.copytree(quick_run.folder, tmp_path / "disk" / "runs" / quick_run.name)
    shutil.copytree(quick_run.records().folder, tmp_path / "disk" / "records" / quick_run.records().folder.name)
    work = tmp_path / "work" / "digits"
    work.mkdir(parents=True)
    for name in ("runs", "records"):
        (work / name).symlink_to(tmp_path / "disk" / name)
    monkeypatch.setenv("KAGGLEKIT_WORKSPACE", str(tmp_path / "none"))
    monkeypatch.chdir(work)
    run = kk.Run(f"runs/{quick_run.name}")
    assert run.records().folder == work / quick_run.info["records"]


def test_changed_images_are_named_by_all_that_look_at_them(quick_run, tmp_path):
    run = kk.Run(shutil.copytree(quick_run.folder, tmp_path / "digits" / "runs" / quick_run.name))
    shutil.rmtree(run.folder / "predictions", ignore_errors=True)
    _files.write_json(run.folder / "run.json", run.info | {"pixels": "others"})
    run, path = kk.Run(run.folder), kk.export(quick_run, tmp_path / "model.keras", format="keras", fold=0)
    for call in (kk.predict, kk.refit, kk.label_safety, lambda run: kk.check_export(run, path, fold=0)):
        with pytest.raises(ValueError, match=f"the images of {run.name} have changed since it was trained"):
            call(run)


def test_a_trial_shares_the_feature_cache_of_its_competition(quick_run, digits, quick_folds, quick_recipe):
    from kagglekit.runs.creation import open_run

    parent = digits.folders.tuning / "shared" / "runs"
    run = open_run(digits, quick_folds, quick_recipe, quick_run.records(), parent=parent)
    assert run.features() == quick_run.features() == digits.folders.features


def test_a_run_is_opened_by_text_and_read_once(quick_run, monkeypatch):
    run, reads = kk.Run(str(quick_run.folder)), []
    assert run == quick_run
    monkeypatch.setattr("kagglekit.runs.runs.read_json", lambda path: reads.append(path) or _files.read_json(path))
    assert run.info["folds"] == [0, 1, 2]
    assert np.isfinite(run.score)
    assert run._repr_html_()
    assert reads == [run.folder / "run.json"]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no run.json; expected the folder of a run"):
        kk.Run(str(tmp_path))
