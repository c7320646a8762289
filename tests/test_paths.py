"""Where things lie: by variable, on Kaggle in both forms of its mounts, in a checkout, elsewhere."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import kagglekit as kk
from kagglekit import _paths


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """A Kaggle session whose /kaggle is a temporary folder; returns that folder."""
    monkeypatch.delenv("KAGGLEKIT_WORKSPACE")
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    monkeypatch.setattr(_paths, "KAGGLE_ROOT", tmp_path / "kaggle")
    return tmp_path / "kaggle"


MOUNTS = ["input/{}", "input/competitions/{}", "input/datasets/someone/{}"]


@pytest.mark.parametrize("mount", MOUNTS)
def test_slug_finds_its_mount(kaggle, make_competition, mount):
    target = kaggle / mount.format("leaf-disease")
    target.parent.mkdir(parents=True)
    make_competition().rename(target)
    comp = kk.load_competition("leaf-disease")
    assert comp.root == target
    assert comp.name == "leaf-disease"
    assert comp.workspace == kaggle / "working" / "leaf-disease"


def test_competition_comes_before_a_data_set_of_the_same_slug(kaggle):
    for mount in MOUNTS[1:]:
        (kaggle / mount.format("leaf")).mkdir(parents=True)
    assert _paths.find_folder("leaf") == kaggle / "input/competitions/leaf"
    assert [path.name for path in _paths.input_mounts()] == ["leaf", "leaf"]


def test_unknown_slug_names_every_place(kaggle):
    with pytest.raises(FileNotFoundError, match=r"no competition 'leaf-diseese'") as caught:
        kk.load_competition("leaf-diseese")
    assert str(kaggle / "working" / "raw" / "leaf-diseese") in str(caught.value)
    assert str(kaggle / "input") in str(caught.value)


def test_submission_lies_where_kaggle_collects_it(kaggle, make_competition):
    comp = kk.load_competition(make_competition())
    path = kk.make_submission(comp, comp.sample_submission[::-1])
    assert path.parent == kaggle / "working" / "submissions" / comp.name
    assert (kaggle / "working" / "submission.csv").read_bytes() == path.read_bytes()
    assert path.read_text() == "image_id,label\nx,cat\ny,cat\nz,cat\n"
    assert json.loads(path.with_suffix(".json").read_text())["rows"] == 3


def test_refused_submission_leaves_nothing_on_kaggle(kaggle, make_competition):
    comp = kk.load_competition(make_competition())
    with pytest.raises(ValueError, match="1 missing"):
        kk.make_submission(comp, comp.sample_submission[1:])
    assert not (kaggle / "working").exists()


def test_the_variable_comes_before_every_place(kaggle, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_WORKSPACE", "~/there")
    assert _paths.workspace() == (Path.home() / "there").resolve()
    assert _paths.raw_folder() == _paths.workspace() / "raw"
    assert _paths.submissions_folder("leaf") == _paths.workspace() / "submissions" / "leaf"


def test_all_that_is_written_lies_below_the_workspace_that_was_chosen(tmp_path, monkeypatch, make_competition):
    """Each folder is a fresh one, so that what is written beside the workspace is seen."""
    zipped = shutil.make_archive(str(tmp_path / "pets"), "zip", make_competition())
    work = tmp_path / "chosen"
    monkeypatch.setenv("KAGGLEKIT_WORKSPACE", str(work))
    monkeypatch.chdir(tmp_path / "competition")
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(work)}
    outside = {place: _contents(place) for place in (_paths.checkout() / "data", _paths.checkout() / "submissions")}
    comp = kk.load_competition(zipped)
    kk.quarantine(comp, kk.check_images(comp))
    kk.save_folds(comp, kk.assign_folds(comp, 2))
    kk.write_records(comp, kk.load_folds(comp), record_size=8)
    kk.make_submission(comp, comp.sample_submission)
    kk.from_arrays(np.zeros((4, 8, 8), np.uint8), ["a", "b"] * 2, name="blank")
    kk.load_competition("digits")
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(work)} == before
    assert {place: _contents(place) for place in outside} == outside
    assert sorted(path.name for path in work.iterdir()) == ["blank", "pets", "raw", "submissions"]
    assert sorted(path.name for path in (work / "raw").iterdir()) == ["digits", "pets"]
    written = sorted(path.name for path in comp.workspace.iterdir())
    assert written == ["folds.csv", "quarantine.csv", "records", "scan.npz"]


def _contents(place):
    return {path: path.stat().st_mtime_ns for path in place.rglob("*")} if place.is_dir() else {}


def test_raw_folders_of_the_checkout_are_found_beside_a_workspace_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(_paths, "checkout", lambda: tmp_path / "checkout")
    (tmp_path / "checkout" / "data" / "raw" / "leaf").mkdir(parents=True)
    assert _paths.find_folder("leaf") == tmp_path / "checkout" / "data" / "raw" / "leaf"


def test_checkout_keeps_everything_inside_itself(monkeypatch):
    for name in ("KAGGLEKIT_WORKSPACE", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    root = Path(kk.__file__).resolve().parents[1]
    assert not _paths.on_kaggle()
    assert _paths.checkout() == root
    assert _paths.workspace() == root / "data" / "work"
    assert _paths.raw_folder() == root / "data" / "raw"
    assert _paths.submissions_folder("leaf") == root / "submissions" / "leaf"


def test_elsewhere_everything_lies_in_one_folder_of_the_current_one(monkeypatch, tmp_path):
    monkeypatch.delenv("KAGGLEKIT_WORKSPACE")
    monkeypatch.setattr(_paths, "checkout", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert _paths.workspace() == tmp_path / "kagglekit_work"
    assert _paths.raw_folder() == tmp_path / "kagglekit_work" / "raw"
    assert _paths.submissions_folder("leaf") == tmp_path / "kagglekit_work" / "submissions" / "leaf"


def test_no_other_module_names_a_folder_of_the_workspace():
    """Where things lie is decided once; `comp.folders` and `run.folders` say it everywhere else."""
    named = re.compile(r"""workspace(\(\))?\s*/\s*["'f]|parent\.parent\s*/""")
    package = Path(kk.__file__).parent
    modules = [path for path in package.rglob("*.py") if path.name != "_paths.py"]
    assert [str(path) for path in modules if named.search(path.read_text())] == []


def test_folder_is_found_by_path_or_name_and_given_whole(make_competition, monkeypatch, tmp_path):
    folder = make_competition()
    monkeypatch.chdir(tmp_path)
    for name in (folder, str(folder), "competition", "./competition"):
        assert _paths.find_folder(name) == folder


def test_versions_of_missing_packages_are_left_out():
    import numpy as np

    assert _paths.installed_versions("numpy", "no-such-package-7") == {"numpy": np.__version__}
