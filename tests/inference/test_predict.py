"""Predictions of a run: views are kept where they help, rows are never lost."""

import numpy as np
import pytest

import kagglekit as kk
from kagglekit.inference.predict import _choose_views


def test_every_row_is_predicted_and_probabilities_sum_to_one(quick_run, digits):
    predictions = kk.predict(quick_run, tta=["identity"])
    assert sorted(predictions.oof_ids) == sorted(digits.train["image_id"])
    assert predictions.test_ids.tolist() == digits.test["id"].tolist()
    assert np.allclose(predictions.test.sum(axis=1), 1, atol=1e-5)
    assert predictions.score == pytest.approx(quick_run.score)


def test_test_rows_are_the_mean_of_the_folds_networks(quick_run, digits):
    from kagglekit.pipeline.datasets import eval_dataset

    images = next(iter(eval_dataset(quick_run.records(), quick_run.recipe, "test")))[0]
    by_hand = np.mean([quick_run.model(fold)(images).numpy() for fold in range(3)], axis=0)
    assert np.allclose(kk.predict(quick_run, tta=["identity"]).test[: len(images)], by_hand, atol=1e-6)


def test_automatic_views_never_lower_the_score(quick_run):
    predictions = kk.predict(quick_run)
    assert predictions.score >= quick_run.score
    assert predictions.info["views"][0] == "identity"
    assert not {"hflip", "vflip"} & set(predictions.info["views"]), "the policy 'tiny' trains without flips"


def test_a_view_that_lowers_the_score_is_dropped_and_one_that_helps_is_kept():
    """Four rows, two classes: the harmful view turns a right row wrong, the helpful one turns the wrong row right."""
    labels = np.array([0, 1, 0, 1])
    views = {
        "identity": np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.6, 0.4]]),
        "harmful": np.array([[0.0, 1.0], [0.1, 0.9], [0.8, 0.2], [0.6, 0.4]]),
        "helpful": np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.1, 0.9]]),
    }
    kept, mean, tried = _choose_views(["harmful", "helpful"], views.get, labels, "accuracy")
    assert kept == ["identity", "helpful"]
    assert (mean.argmax(axis=1) == labels).all()
    assert tried == {"identity": 0.75, "identity + harmful": 0.5, "identity + helpful": 1.0}


def test_the_result_is_kept_and_found_again(quick_run):
    first = kk.predict(quick_run)
    stored = sorted((quick_run.folder / "predictions").glob("*.npz"))
    again = kk.predict(quick_run)
    assert np.array_equal(first.test, again.test)
    assert sorted((quick_run.folder / "predictions").glob("*.npz")) == stored


def test_views_are_asked_for_by_name_and_by_set(quick_run):
    alone, flipped = kk.predict(quick_run, tta="none"), kk.predict(quick_run, tta="hflip")
    assert (alone.info["views"], flipped.info["views"]) == (["identity"], ["identity", "hflip"])
    scales = kk.predict(quick_run, tta="scales")
    assert scales.info["views"] == ["identity", "scale_90", "scale_75", "scale_60"]
    folder = quick_run.folder / "predictions"
    assert {path.name for path in folder.glob("identity*")} >= {
        "identity-12.npz", "identity+hflip-12.npz", "identity+scale_90+scale_75+scale_60-12.npz",
    }  # fmt: skip


def test_an_unknown_view_is_named(quick_run):
    for tta in ("hflop", ["hflop"]):
        with pytest.raises(ValueError, match=r"expected the views .* got 'hflop'\. Did you mean 'hflip'"):
            kk.predict(quick_run, tta=tta)


def test_an_unfinished_run_is_refused_and_not_listed(digits, quick_folds, quick_recipe):
    from kagglekit.runs.creation import open_run

    records = kk.write_records(digits, quick_folds, record_size=16)
    run = open_run(digits, quick_folds, quick_recipe.replace(seed=77), records)
    with pytest.raises(ValueError, match="is not complete; call kk.cross_validate"):
        kk.predict(run)
    assert run.folder not in [listed.folder for listed in kk.list_runs(digits)]
