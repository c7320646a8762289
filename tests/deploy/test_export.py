"""Exported files predict what the run's network predicts."""

import shutil

import keras
import numpy as np
import pytest

import kagglekit as kk
from kagglekit.deploy.formats import FORMATS
from kagglekit.deploy.formats.base import Format


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_predicts_what_the_network_predicts(quick_run, tmp_path, format):
    path = kk.export(quick_run, tmp_path / f"model{FORMATS[format].suffix}", format=format, fold=1)
    result = kk.check_export(quick_run, path, fold=1)
    assert result["same_class"] == 1
    assert result["largest_difference"] < 1e-4
    assert path.with_suffix(".txt").read_text().split() == [str(digit) for digit in range(10)]


def test_the_best_fold_is_exported_unless_one_is_named(quick_run):
    scores = quick_run.scores()
    assert kk.export(quick_run).stem.endswith(f"fold{max(scores, key=scores.get)}")


def test_a_file_of_another_fold_is_found_out(quick_run, tmp_path):
    path = kk.export(quick_run, tmp_path / "model.tflite", fold=0)
    with pytest.raises(ValueError, match="does not predict what the network of fold 1 does"):
        kk.check_export(quick_run, path, fold=1)


def test_a_wrong_extension_is_refused_before_anything_is_written(quick_run, tmp_path):
    with pytest.raises(ValueError, match="expected a path that ends with .tflite"):
        kk.export(quick_run, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_format_is_added_by_one_entry(quick_run, tmp_path, monkeypatch):
    """The weights of a network of one layer as numpy keeps them, and numpy predicts with them."""
    saved = tmp_path / "fold1" / "model.keras"
    saved.parent.mkdir()
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(10, activation="sigmoid")]
    keras.Sequential([keras.Input((12, 12, 1)), *layers]).save(saved)
    run = kk.Run(shutil.copytree(quick_run.folder, tmp_path / "run"))
    shutil.copy(saved, run.model_file(1))

    def write(saved, path):
        with open(path, "wb") as file:
            np.savez(file, *keras.saving.load_model(saved).get_weights())

    def predict(path, images):
        with np.load(path) as arrays:
            sums = images.reshape(len(images), -1) / 255 @ arrays["arr_0"] + arrays["arr_1"]
        return 1 / (1 + np.exp(-sums))

    monkeypatch.setitem(FORMATS, "numpy", Format(".npz", write, predict))
    path = kk.export(run, format="numpy", fold=1)
    assert path.name == f"{run.name}-fold1.npz"
    assert kk.check_export(run, path, fold=1)["largest_difference"] < 1e-4
    with pytest.raises(ValueError, match="expected a path that ends with .npz for format 'numpy'"):
        kk.export(run, tmp_path / "model.tflite", format="numpy", fold=1)


def test_a_file_of_no_format_is_refused(quick_run, tmp_path):
    with pytest.raises(ValueError, match="expected the suffix of path to be one of '.tflite', '.keras', got '.onnx'"):
        kk.check_export(quick_run, tmp_path / "model.onnx", fold=0)


def test_a_network_that_is_not_there_is_named_and_nothing_written(quick_run, tmp_path):
    for format, known in FORMATS.items():
        with pytest.raises(FileNotFoundError, match=r"has no model of fold 7; finished folds: \[0, 1, 2\]"):
            kk.export(quick_run, tmp_path / f"model{known.suffix}", format=format, fold=7)
    assert not list(tmp_path.iterdir())
