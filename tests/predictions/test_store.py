"""Probabilities keyed by id: kept whole, checked row by row, stored without pickle."""

import dataclasses
import os

import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.metrics import METRICS, score

CLASSES = ["NA", "cat", "ö"]


def make_predictions(**changes):
    """Return predictions of five out-of-fold and three test rows."""
    rng = np.random.default_rng(0)
    given = {
        "name": "first",
        "class_names": CLASSES,
        "oof_ids": np.array(["00012", "12", "NA", "a/ü.jpg", "e"]),
        "oof": rng.dirichlet(np.ones(3), 5),
        "oof_labels": np.array([0, 1, 2, 0, 1]),
        "oof_folds": np.array([0, 1, 0, 1, 0]),
        "test_ids": np.array(["007", "7", "x"]),
        "test": rng.dirichlet(np.ones(3), 3),
        "metric": "log_loss",
        "info": {"views": ["as it is", "flip"], "size": [32, 24]},
    }
    return kk.Predictions(**given | changes)


def make_frame(**changes):
    return pd.DataFrame({"id": ["a", "b"], "cat": [0.9, 0.2], "dog": [0.1, 0.8]} | changes)


def same(first, second):
    """Return whether two predictions agree in every field and bit."""
    fields = [field.name for field in dataclasses.fields(kk.Predictions)]
    return all(np.array_equal(getattr(first, field), getattr(second, field)) for field in fields)


@pytest.mark.parametrize("empty", [(), ("oof",), ("test",)], ids=["full", "no oof", "no test"])
def test_what_is_saved_comes_back_bit_for_bit(tmp_path, empty):
    changes = {}
    for part in empty:
        changes |= {f"{part}_ids": [], part: np.empty((0, 3))}
    changes |= {"oof_labels": np.array([], int), "oof_folds": np.array([], int)} if "oof" in empty else {}
    before = make_predictions(**changes)
    before.save(tmp_path / "new" / "p.npz")
    after = kk.Predictions.load(tmp_path / "new" / "p.npz")
    assert same(before, after)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["p.npz"]


def test_loading_runs_no_pickle(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    trap = np.empty(1, dtype=object)
    trap[0] = Trap()
    np.savez(tmp_path / "p.npz", text=trap)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        kk.Predictions.load(tmp_path / "p.npz")
    assert not (tmp_path / "sprung").exists()
    with np.load(tmp_path / "p.npz", allow_pickle=True) as stored:
        stored["text"]
    assert (tmp_path / "sprung").exists()  # the trap does spring where pickle is allowed


def test_saving_that_fails_keeps_the_old_file(tmp_path):
    path = tmp_path / "p.npz"
    make_predictions().save(path)
    with pytest.raises(TypeError, match="not JSON serializable"):
        make_predictions(info={"views": {1, 2}}).save(path)
    assert same(kk.Predictions.load(path), make_predictions())
    assert [file.name for file in tmp_path.iterdir()] == ["p.npz"]


@pytest.mark.parametrize("part", ["oof", "test"])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([np.nan, 0.5, 0.5], "NaN or infinite probabilities in 1 rows: '{}'"),
        ([np.inf, 0, 0], "NaN or infinite probabilities in 1 rows: '{}'"),
        ([-0.2, 0.6, 0.6], "from 0 to 1 that sum to 1, but 1 do not: '{}'"),
        ([2.0, -3.0, 5.0], r"1 do not: '{}' \(the first sums to 4\); apply a softmax to logits"),
        ([0.5, 0.5, 0.002], "1 do not: '{}' .the first sums to 1.002"),
    ],
)
def test_rows_that_are_no_probabilities_are_named(part, row, message):
    whole = make_predictions()
    rows = getattr(whole, part).copy()
    rows[1] = row
    with pytest.raises(ValueError, match=f"first, {part}: .*" + message.format(getattr(whole, f"{part}_ids")[1])):
        make_predictions(**{part: rows})


def test_rounding_of_half_precision_is_no_fault():
    rows = make_predictions().oof.astype(np.float16)
    assert make_predictions(oof=rows).oof.dtype == np.float64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"oof_ids": ["a", "b", "c", "a", "b"]}, "every oof id of first once, but 'a', 'b' occur more than once"),
        ({"test_ids": ["7", "7", "x"]}, "every test id of first once, but '7' occur more than once; remove the copies"),
        ({"test_ids": ["7", "x"]}, "first: 2 test ids for 3 rows of probabilities"),
    ],
)
def test_ids_must_name_every_row_once(changes, message):
    with pytest.raises(ValueError, match=message):
        make_predictions(**changes)


@pytest.mark.parametrize("metric", [name for name, metric in METRICS.items() if metric.fits("single_label")])
def test_score_is_the_metric_of_the_out_of_fold_rows(metric):
    predictions = make_predictions(metric=metric)
    assert predictions.score == score(metric, predictions.oof_labels, predictions.oof)
    assert f"out-of-fold {metric} {predictions.score:.4f}, views as it is, flip" in repr(predictions)
    assert "kk.make_submission(comp, predictions)" in predictions._repr_html_()


def test_frame_becomes_predictions_whatever_its_columns_are_called():
    oof = make_frame(id=["c", "d"], label=["dog", "cat"], fold=[1, 0])
    predictions = kk.Predictions.from_frame(make_frame(), oof[["fold", "dog", "label", "cat", "id"]])
    assert predictions.class_names == ["cat", "dog"]
    assert predictions.oof_labels.tolist() == [1, 0]
    assert predictions.oof_folds.tolist() == [1, 0]
    assert predictions.oof.tolist() == predictions.test.tolist() == [[0.9, 0.1], [0.2, 0.8]]
    assert predictions.score == 0.0  # both rows name the other class
    numbered = kk.Predictions.from_frame(
        make_frame().rename(columns={"cat": 0, "dog": 1}),
        oof.assign(label=[1, 0]).rename(columns={"cat": 0, "dog": 1}),
    )
    assert numbered.class_names == ["0", "1"]
    assert numbered.oof_labels.tolist() == [1, 0]


def test_frame_without_out_of_fold_rows_has_no_score():
    predictions = kk.Predictions.from_frame(make_frame(id=[12, 7]), name="theirs")
    assert predictions.score is None
    assert predictions.test_ids.tolist() == ["12", "7"]
    assert repr(predictions) == "Predictions 'theirs': 0 out-of-fold rows, 2 test rows, no out-of-fold rows"


@pytest.mark.parametrize(
    ("oof", "message"),
    [
        (make_frame(), "the out-of-fold frame lacks the columns 'label'"),
        (make_frame(label=["cat", "dog"]).drop(columns="dog"), "the out-of-fold frame lacks the columns 'dog'"),
        (make_frame(label=["cat", "owl"]), r"\['cat', 'dog'\]: labels that are not classes: 'owl'"),
        (make_frame(label=["cat", "dog"], id=["a", "a"]), "every oof id of foreign once, but 'a' occur more than once"),
        (make_frame(label=["cat", "dog"], cat=[0.9, 0.3]), r"foreign, oof: .* 1 do not: 'b' \(the first sums to 1.1\)"),
    ],
)
def test_broken_out_of_fold_frame_is_named(oof, message):
    with pytest.raises(ValueError, match=message):
        kk.Predictions.from_frame(make_frame(), oof)
