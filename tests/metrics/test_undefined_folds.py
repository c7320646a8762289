"""A fold that does not define the metric scores NaN and says so; it never stops a run, and the other folds count."""

import math

import keras
import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.metrics import find_metric
from kagglekit.tasks import find_task
from kagglekit.training.callbacks import HeldOut, held_out_scores
from kagglekit.training.setup import Setup

WARNING = "auc is not defined on these 8 rows and counts as NaN: it needs rows of a class and rows of another"


@pytest.fixture(scope="module")
def run():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 0, 1], [8, 8, 4, 4])
    images = (rng.uniform(0, 90, (24, 8, 8)) + 100 * labels[:, None, None]).astype(np.uint8)
    comp = kk.from_arrays(images, list(map(str, labels)), name="lopsided", preset=kk.Preset(metric="auc"))
    folds = pd.Series(np.repeat([0, 1, 2], 8), index=comp.train["image_id"])  # fold 0 and 1 hold one class each
    recipe = kk.Recipe(
        name="tiny", backbone="small_cnn", weights=None, image_size=8, channels=1, batch_size=8, policy="none",
        frozen_epochs=0, epochs=4, patience=1, learning_rate=1e-2,
    )  # fmt: skip
    with pytest.warns(UserWarning, match=WARNING):
        return kk.cross_validate(comp, folds, recipe)


def test_the_run_is_complete_and_scored_over_all_rows(run):
    with pytest.warns(UserWarning, match=WARNING):
        scores = run.scores()
    assert [math.isnan(scores[fold]) for fold in range(3)] == [True, True, False]
    assert 0 <= run.score <= 1
    assert f"auc {run.score:.4f}" in repr(run)
    assert "<td>nan</td>" in run._repr_html_()


def test_an_undefined_fold_is_neither_the_best_nor_stopped_early(run):
    assert run.best_fold == 2
    assert run.history.groupby("fold").size()[[0, 1]].tolist() == [4, 4]
    assert run.history.groupby("fold")["held_out_auc"].count().tolist()[:2] == [0, 0]


def test_refit_plots_and_predictions_bear_it(run):
    assert (kk.refit(run).fold_folder("refit") / "model.keras").is_file()
    kk.plot_history(run)
    assert kk.predict(run).score >= run.score


def test_the_last_weights_are_kept_where_the_metric_is_never_defined():
    """Three epochs of rows of one class, then of two: a number is better than none, and the patience begins there."""
    seen = iter([[1, 1], [1, 1], [0, 1], [0, 1], [0, 1]])
    setup = make_setup("auc")
    watcher = HeldOut(
        setup, lambda: (np.array([[0.6, 0.4], [0.4, 0.6]]), np.array(next(seen)), None), "any", patience=2
    )
    watcher.set_model(setup.model)
    for epoch in range(5):
        setup.model.layers[-1].bias.assign([epoch, 0])
        watcher.on_epoch_begin(epoch)
        watcher.on_epoch_end(epoch)
        assert watcher.ended == (epoch == 4)
        assert watcher.weights[-1][0] == min(epoch, 2)
    assert watcher.best == 1


def test_predictions_that_are_no_numbers_stop_the_training():
    """After the last step of an epoch the weights may be NaN though no loss was."""
    broken = np.array([[0.6, 0.4], [np.nan, np.nan]])
    with pytest.raises(FloatingPointError, match="predicts NaN or infinity .* lower the learning rate"):
        held_out_scores(make_setup("accuracy"), np.array([0, 1]), broken)


def make_setup(metric):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd")
    task, recipe = find_task("single_label"), kk.Recipe(backbone="small_cnn", weights=None)
    return Setup(recipe, lambda size: model, task=task, class_names=["0", "1"], metric=find_metric(metric))
