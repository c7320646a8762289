"""Laws of stages: a new kind is one object, which planning, training, resuming and plots know how to use."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import kagglekit as kk
from kagglekit.inference.traced import predict_rows
from kagglekit.pipeline.datasets import eval_dataset
from kagglekit.runs.history import history_row, history_table
from kagglekit.training import stages
from kagglekit.training.callbacks import held_out_scores
from kagglekit.training.stages.base import Cost, Stage


class Priors(Stage):
    """A toy: makes the classes of the training rows likelier, by the bias of the head, in one epoch at the end."""

    fitted = ()

    @classmethod
    def plan(cls, setup):
        return [cls(setup, "priors", first=setup.recipe.epochs, epochs=1)]

    def cost(self, timing):
        return Cost(minutes=2.0, disk=3 * 2**20)

    def steps(self, fold):
        return 1

    def fit(self, fold, checkpoint):
        setup = self.setup
        counts = np.bincount(setup.records.index(setup.training_folds(fold))["label"], minlength=len(setup.class_names))
        bias = setup.model.get_layer("probabilities").bias
        bias.assign(bias + 0.1 * np.log(counts + 1.0))
        predictions, labels, _ = predict_rows(
            setup.infer(setup.recipe.image_size), eval_dataset(setup.records, setup.recipe, fold)
        )
        type(self).fitted += (fold,)
        if type(self).fitted == (0, 1):
            raise KeyboardInterrupt
        return [history_row(self.name, self.end, **held_out_scores(setup, labels, predictions))], predictions


def test_a_new_kind_of_stage_is_one_object(digits, quick_recipe, workspace, monkeypatch):
    monkeypatch.setattr(stages, "STAGES", [*stages.STAGES, Priors])
    recipe, folds = quick_recipe.replace(epochs=1), [row % 2 for row in range(len(digits.train))]
    plan = kk.plan(digits, recipe, n_splits=2).set_index("part")["value"]
    assert plan["priors, 1 epochs, 2 folds"] == 2.0
    assert plan["in all"] >= 2.0
    assert plan["feature cache on disk"] == 3.0
    with pytest.raises(KeyboardInterrupt):
        kk.cross_validate(digits, folds, recipe)
    run = kk.cross_validate(digits, folds, recipe)
    assert Priors.fitted == (0, 1, 1)  # the finished fold is left alone
    assert run.history["stage"].tolist() == ["training", "priors"] * 2
    assert run.history["epoch"].tolist() == [1, 2] * 2
    _, metric = kk.plot_history(run)
    drawn = next(line for line in metric.get_lines() if line.get_label() == "held out accuracy")
    assert drawn.get_ydata()[1] == pytest.approx(run.history.query("epoch == 2")["held_out_accuracy"].mean())
    mpl.pyplot.close("all")


def test_every_stage_and_task_writes_the_same_columns():
    empty = history_table(0, [], "rmse")
    some = history_table("refit", [history_row("training", 1, loss=0.5, seconds=2)], "rmse")
    assert empty.columns.tolist() == some.columns.tolist()
    assert some["loss"].tolist() == [0.5]
    assert some[["accuracy", "held_out_loss", "held_out_rmse"]].isna().all(axis=None)
    with pytest.raises(TypeError, match="expected values among"):
        history_row("training", 1, losses=0.5)
    assert isinstance(pd.concat([empty, some]), pd.DataFrame)
