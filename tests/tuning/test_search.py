"""Tuning: a study finds a recipe, goes on where it stopped, and costs no more than it must."""

from collections import Counter

import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.records import read, write
from kagglekit.tuning.search import _declare_knobs


@pytest.fixture(scope="module")
def study(digits, quick_folds, quick_recipe, quick_run):
    best = kk.tune(digits, quick_folds, quick_recipe, max_trials=3, fold_numbers=[0], study="tested")
    return best, kk.read_trials(digits, "tested")


def test_the_result_is_a_recipe_that_is_at_least_as_good_as_the_start(study, quick_recipe):
    best, trials = study
    assert isinstance(best, kk.Recipe)
    assert best.name == "tuned"
    assert trials["score"].max() >= trials["score"].iloc[0]
    assert len(trials) == 3


def test_only_the_knobs_of_the_space_change(study, quick_recipe):
    best, trials = study
    knobs = set(trials.columns) - {"trial", "score"}
    assert knobs == {"learning_rate", "dropout", "augment_strength"}, "a network from scratch has no frozen layers"
    changed = {knob for knob, value in best.to_dict().items() if quick_recipe.to_dict()[knob] != value}
    assert changed <= knobs | {"name", "reasons"}


def test_the_start_takes_over_the_baselines_folds(study, digits, quick_run):
    score = quick_run.scores()[0]
    assert study[1].loc[0, "score"] == pytest.approx(score)
    start = next((digits.workspace / "tuning" / "tested" / "runs").glob("quick-*"))
    copied, own = start / "fold0" / "model.keras", quick_run.fold_folder(0) / "model.keras"
    assert copied.read_bytes() == own.read_bytes()


def test_a_finished_study_trains_nothing_again(study, digits, quick_folds, quick_recipe):
    folder = digits.workspace / "tuning" / "tested"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/fold*/model.keras")}
    again = kk.tune(digits, quick_folds, quick_recipe, max_trials=3, fold_numbers=[0], study="tested")
    assert {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/fold*/model.keras")} == before
    assert again == study[0]


def test_a_second_study_tries_the_same(study, digits, quick_folds, quick_recipe):
    """keras-tuner takes the seed 0 for none."""
    kk.tune(digits, quick_folds, quick_recipe, max_trials=3, fold_numbers=[0], study="second")
    pd.testing.assert_frame_equal(kk.read_trials(digits, "second"), study[1])


def test_a_study_looks_at_the_sources_and_the_sidecars_once(digits, quick_folds, quick_recipe, quick_run, monkeypatch):
    calls = Counter()
    for module, name in ((write, "write_records"), (read, "read_sidecar")):
        plain = getattr(module, name)

        def counted(*args, plain=plain, name=name, **kwargs):
            calls[name, str(args[0]) if name == "read_sidecar" else ""] += 1
            return plain(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)
    kk.tune(digits, quick_folds, quick_recipe.replace(epochs=1), max_trials=2, fold_numbers=[0, 1], study="counted")
    assert set(calls.values()) == {1}
    shards = [shard for part in quick_run.records().manifest["parts"].values() for shard in part]
    assert 2 <= len(calls) <= 1 + len(shards), calls


def test_trials_are_not_runs(study, digits):
    assert not [run for run in kk.list_runs(digits) if run.recipe.name == "trial"]


@pytest.mark.parametrize("kept", [0, 1])
def test_no_trial_trains_all_layers_where_activations_are_kept(kept):
    keras_tuner = pytest.importorskip("keras_tuner")
    recipe = kk.Recipe(cached_views=kept)
    shares = _declare_knobs(keras_tuner.HyperParameters(), recipe, "baseline")._hps["unfrozen_layers"][0].values
    assert (1.0 in shares) == (not kept)
    for share in shares:
        recipe.replace(unfrozen_layers=share)


def test_an_unknown_space_is_named(digits, quick_folds, quick_recipe):
    with pytest.raises(ValueError, match="expected space to be one of 'baseline', got 'basline'. Did you mean"):
        kk.tune(digits, quick_folds, quick_recipe, space="basline")
