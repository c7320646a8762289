"""Exported files predict what the run's network predicts."""

import pytest

import kagglekit as kk


@pytest.mark.parametrize("format", ["litert", "keras"])
def test_the_file_predicts_what_the_network_predicts(quick_run, tmp_path, format):
    suffix = {"litert": ".tflite", "keras": ".keras"}[format]
    path = kk.export(quick_run, tmp_path / f"model{suffix}", format=format, fold=1)
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
