"""Where things lie: by variable, on Kaggle in both forms of its mounts, in a checkout, elsewhere."""

import json
from pathlib import Path

import pytest

import kagglekit as kk
from kagglekit import _paths


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """A Kaggle session whose /kaggle is a temporary folder; returns that folder."""
    for name in ("KAGGLEKIT_WORKSPACE", "KAGGLEKIT_SUBMISSIONS"):
        monkeypatch.delenv(name)
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


def test_variables_come_before_every_place(kaggle, monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEKIT_WORKSPACE", str(tmp_path / "here"))
    monkeypatch.setenv("KAGGLEKIT_SUBMISSIONS", "~/there")
    assert _paths.workspace() == tmp_path / "here"
    assert _paths.submissions_folder() == (Path.home() / "there").resolve()


def test_checkout_keeps_everything_inside_itself(monkeypatch):
    for name in ("KAGGLEKIT_WORKSPACE", "KAGGLEKIT_SUBMISSIONS", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    root = Path(kk.__file__).resolve().parents[1]
    assert not _paths.on_kaggle()
    assert _paths.checkout() == root
    assert _paths.workspace() == root / "data" / "work"
    assert _paths.raw_folder() == root / "data" / "raw"
    assert _paths.submissions_folder() == root / "submissions"


def test_folder_is_found_by_path_or_name_and_given_whole(make_competition, monkeypatch, tmp_path):
    folder = make_competition()
    monkeypatch.chdir(tmp_path)
    for name in (folder, str(folder), "competition", "./competition"):
        assert _paths.find_folder(name) == folder


def test_versions_of_missing_packages_are_left_out():
    import numpy as np

    assert _paths.installed_versions("numpy", "no-such-package-7") == {"numpy": np.__version__}
