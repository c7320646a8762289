"""A metric of one's own is one object, and passes from the competition to the plots as the kit's do."""

import dataclasses
import functools
import math

import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit import metrics
from kagglekit.competition.presets import SUBMISSION_FORMS
from kagglekit.predictions.forms import sample_of, submission_form
from kagglekit.runs.creation import open_run


def mean_doubt(labels, probabilities):
    """Smaller is better; seldom equal."""
    return 1 - np.mean(probabilities[np.arange(len(labels)), labels])


DOUBT = kk.Metric(mean_doubt, higher_is_better=False, name="mean doubt")


@pytest.fixture(scope="module")
def comp():
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 3
    images = (rng.uniform(0, 90, (60, 8, 8)) + 70 * (np.arange(60) % 3)[:, None, None]).astype(np.uint8)
    preset = kk.Preset(metric=DOUBT)
    return kk.from_arrays(images[:48], list("abc"[n] for n in labels), images[48:], name="doubtful", preset=preset)


@pytest.fixture(scope="module")
def recipe():
    return kk.Recipe(
        name="tiny", backbone="small_cnn", weights=None, image_size=8, channels=1, batch_size=16, policy="none",
        frozen_epochs=0, epochs=6, patience=2, learning_rate=3e-2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folds(comp):
    return kk.assign_folds(comp, n_splits=2)


@pytest.fixture(scope="module")
def run(comp, folds, recipe):
    return kk.cross_validate(comp, folds, recipe)


def test_a_run_is_scored_and_stopped_by_it(run):
    arrays = run.oof_arrays()
    assert run.metric is DOUBT
    assert run.score == pytest.approx(mean_doubt(arrays["labels"], arrays["probabilities"].astype(float)))
    assert run.best_fold == min(run.scores(), key=run.scores().get)
    assert repr(run).endswith(f"out-of-fold mean doubt {run.score:.4f}")
    assert "<th>mean doubt</th>" in run._repr_html_()
    assert len(run.history) < 12, "no fold was stopped before its last epoch"
    for fold, rows in run.history.groupby("fold"):
        kept = rows["held_out_mean doubt"].min()
        assert run.scores()[fold] == pytest.approx(kept, abs=1e-6), "the best epoch's weights are those with the least"


def test_predict_blend_and_submission_take_it(run, comp, tmp_path):
    predictions = kk.predict(run)
    assert predictions.metric is DOUBT
    assert predictions.score <= run.score, "views are kept only if they lower it"
    assert kk.blend(comp, [predictions, predictions]).score == pytest.approx(predictions.score)
    assert '"metric": "mean doubt"' in kk.make_submission(comp, predictions).with_suffix(".json").read_text()
    predictions.save(tmp_path / "kept.npz")
    assert kk.Predictions.load(tmp_path / "kept.npz", metric=DOUBT).score == predictions.score
    with pytest.raises(
        ValueError, match=r"scored by 'mean doubt', a metric of your own.*Predictions.load\(path, metric=...\)"
    ):
        kk.Predictions.load(tmp_path / "kept.npz")


def test_tuning_and_its_plot_find_the_least(comp, folds, recipe, run):
    best = kk.tune(comp, folds, recipe, max_trials=2, fold_numbers=[0], study="by doubt")
    trials = kk.read_trials(comp, "by doubt")
    lowest = trials.loc[trials["score"].idxmin()]
    assert best.learning_rate == pytest.approx(lowest["learning_rate"])
    for given in ({}, {"metric": DOUBT}):
        axes = kk.plot_trials(trials, **given)
        marked = axes[0].collections[0].get_offsets().tolist()
        assert marked == [[lowest["learning_rate"], lowest["score"]]]
        assert axes[0].get_ylabel() == "mean doubt"
    other = kk.Metric(mean_doubt, higher_is_better=True, name="mean doubt")
    with pytest.raises(
        ValueError, match="the study 'by doubt' was searched by another metric than .*, or by another version"
    ):
        kk.tune(_with(comp, other), folds, recipe, max_trials=2, fold_numbers=[0], study="by doubt")


def test_plots_and_refit_bear_it(run):
    axes = kk.plot_history(run)
    assert axes[1].get_ylabel() == "mean doubt"
    kk.plot_mistakes(kk.predict(run))
    refitted = kk.refit(run)
    assert (refitted.fold_folder("refit") / "model.keras").is_file()


def test_runs_are_listed_with_it_and_a_bare_run_asks_for_it(run, comp):
    assert [listed.metric for listed in kk.list_runs(comp)] == [DOUBT]
    assert kk.best_run(comp).score == run.score
    assert kk.Run(str(run.folder), metric=DOUBT).score == run.score
    bare = kk.Run(run.folder)
    assert repr(bare) == f"Run {run.name}: 2 of 2 folds"
    assert "mean doubt" in bare._repr_html_()
    for asked in (lambda: bare.score, bare.scores, lambda: bare.best_fold, lambda: kk.predict(bare)):
        with pytest.raises(ValueError, match=r"'mean doubt', a metric of your own.* open it with kk.Run\(.*, metric="):
            asked()


def test_a_run_can_be_asked_for_another_metric_and_keeps_what_it_was_trained_for(run, comp):
    by_loss = kk.Run(run.folder, metric="log_loss")
    arrays = run.oof_arrays()
    assert by_loss.score == metrics.score("log_loss", arrays["labels"], arrays["probabilities"].astype(float))
    assert kk.list_runs(_with(comp, "accuracy"))[0].metric == "accuracy"
    predictions = kk.predict(by_loss)
    assert predictions.metric == "log_loss"
    assert kk.predict(run).metric is DOUBT


def test_the_source_is_part_of_a_runs_identity(run, comp, folds, recipe):
    def mean_doubt(labels, probabilities):  # another function of the same name
        return float(1 - np.mean(probabilities[np.arange(len(labels)), labels]))

    changed = kk.Metric(mean_doubt, higher_is_better=False, name="mean doubt")
    assert changed.key != DOUBT.key
    names = [open_run(_with(comp, metric), folds, recipe, run.records()).name for metric in (DOUBT, changed)]
    assert names[0] == run.name != names[1]
    partial = [functools.partial(mean_doubt, power=power) for power in (1, 2)]
    keys = [kk.Metric(function, higher_is_better=True, name="powered").key for function in partial]
    assert keys[0] != keys[1]
    unreadable = kk.Metric(math.dist, higher_is_better=True)
    assert unreadable.key == ["dist", True, "dist"]


def test_a_mistake_in_it_is_found_when_the_competition_is_loaded(comp):
    def two(labels, probabilities):
        return labels, probabilities

    def broken(labels):
        return 0.0

    for function, message in ((two, "float.. argument must be"), (broken, "takes 1 positional argument")):
        with pytest.raises(TypeError, match=message) as raised:
            _with(comp, kk.Metric(function, higher_is_better=True))
        note = f"raised by the metric '{function.__name__}' on 48 rows: it must return one number"
        assert note in raised.value.__notes__[0]


@pytest.mark.parametrize(
    ("error", "message", "function", "given"),
    [
        (ValueError, "'auc' is the name of a built-in metric", mean_doubt, {"name": "auc"}),
        (ValueError, "'loss' is the name of a built-in metric or loss", mean_doubt, {"name": "loss"}),
        (ValueError, "expected the metric to have a name .* got '<lambda>'", lambda a, b: 0, {}),
        (TypeError, "expected a function of labels and probabilities, got 'auc'", "auc", {}),
        (TypeError, "expected higher_is_better to be .* got 'max'", mean_doubt, {"higher_is_better": "max"}),
    ],
)
def test_wrong_metrics_are_refused(error, message, function, given):
    with pytest.raises(error, match=message):
        kk.Metric(function, **({"higher_is_better": True} | given))


def test_it_gets_the_names_of_the_classes_if_it_asks_for_them(comp):
    seen = []

    def curious(labels, probabilities, class_names=None):
        seen.append(class_names)
        return 0.0

    own = kk.Metric(curious, higher_is_better=True)
    metrics.score(own, [0, 1], [[1, 0], [0, 1]], class_names=["cat", "dog"])
    metrics.score(own, [0, 1], [[1, 0], [0, 1]])
    assert seen == [["cat", "dog"], None]


def test_whether_it_goes_by_probabilities_decides_the_form_of_a_submission():
    """A sample of zeros, the classes 0 and 1: class names, unless the metric would lose by them."""
    sample = pd.DataFrame({"id": ["x"], "label": ["0"]})
    images = np.zeros((4, 8, 8), np.uint8)
    hard, forms = kk.Metric(mean_doubt, higher_is_better=False, name="hard", of_probabilities=False), {}
    for metric in (*metrics.METRICS.values(), DOUBT, hard):
        if metric.fits("single_label"):
            comp = kk.from_arrays(images, [0, 1, 0, 1], images[:1], name="binary", preset=kk.Preset(metric=metric))
            forms[metric.name] = submission_form(comp, sample)
    assert set(forms.values()) <= set(SUBMISSION_FORMS)
    assert {name for name, form in forms.items() if form == "labels"} == {
        "accuracy", "balanced_accuracy", "precision", "recall", "f1", "macro_f1", "micro_f1", "matthews",
        "quadratic_weighted_kappa", "hard",
    }  # fmt: skip
    assert forms["average_precision"] == forms["auc"] == forms["log_loss"] == "one probability"
    assert sample_of(comp).columns.tolist() == ["id", "label"]


def _with(comp, metric):
    return dataclasses.replace(comp, metric=metric)
