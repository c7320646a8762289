"""A recipe's loss, optimizer, schedule, clipping, rates by layer and moving average reach the training."""

import keras
import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit._knobs import CHOICES, PREPROCESS
from kagglekit.metrics import accuracy
from kagglekit.models.backbones import ACTIVATIONS
from kagglekit.models.heads import KINDS, NECKS
from kagglekit.models.losses import LOSSES
from kagglekit.models.losses.base import FiniteKerasLoss
from kagglekit.models.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer, make_schedule
from kagglekit.models.pooling import POOLINGS
from kagglekit.records import preprocess
from kagglekit.tasks import TASKS
from kagglekit.training.fold_trainer import train_fold
from kagglekit.training.networks import loss_of
from kagglekit.training.setup import Setup
from kagglekit.training.stages import plan_stages

KNOBS = {
    "loss": "focal", "optimizer": "lion", "schedule": "one_cycle", "warmup": 0.3, "clip": 1.0, "layer_decay": 0.8,
    "ema": 0.5, "learning_rate": 1e-3, "weight_decay": 0.01,
}  # fmt: skip


def test_a_recipe_knows_the_names_that_the_stages_know():
    known = {
        "pooling": POOLINGS, "head": KINDS, "activation": ACTIVATIONS,
        "neck": NECKS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES,
        "loss": {"auto", *LOSSES} - {"distillation"},  # which needs a teacher
    }  # fmt: skip
    for knob, names in known.items():
        assert set(CHOICES[knob]) == set(names), knob
    assert set(PREPROCESS) == set(preprocess.PREPROCESS)
    for name in CHOICES["initializer"]:
        assert keras.initializers.get(name)((2, 2)).shape == (2, 2)


@pytest.mark.parametrize("knob", ["loss", "optimizer", "schedule"])
def test_an_unknown_name_is_refused_before_anything_is_loaded(knob):
    with pytest.raises(ValueError, match=f"expected {knob} to be one of"):
        kk.Recipe(**{knob: "best"})


@pytest.mark.parametrize("task", TASKS)
def test_the_default_loss_is_the_task_s_with_smoothing_of_certain_targets(task):
    loss = loss_of(task, kk.Recipe(label_smoothing=0.2))
    assert isinstance(loss, (keras.losses.MeanSquaredError, FiniteKerasLoss))
    certain = task in ("single_label", "multi_label", "ordinal")
    assert loss.get_config().get("label_smoothing", 0.0) == (0.2 if certain else 0.0)


def test_a_loss_of_another_task_is_refused():
    with pytest.raises(ValueError, match="'focal' is not for the task 'regression'"):
        loss_of("regression", kk.Recipe(loss="focal"))


def test_every_knob_reaches_the_training_and_the_average_is_what_is_kept(digits, quick_folds, quick_recipe, tmp_path):
    recipe = quick_recipe.replace(**KNOBS)
    records = kk.write_records(digits, quick_folds, record_size=recipe.record_size)
    setup = Setup.of_run(records, recipe, "accuracy", tmp_path / "features")
    (stage,) = stages = plan_stages(setup)
    (tmp_path / "fold").mkdir()
    train_fold(setup, stages, 1, tmp_path / "fold", tmp_path / "state.npz")
    network, _ = stage._compiled
    assert isinstance(network.loss, keras.losses.CategoricalFocalCrossentropy)
    optimizer = network.optimizer
    assert type(optimizer) is type(make_optimizer("lion", 1e-3))
    assert (optimizer.global_clipnorm, optimizer.weight_decay, optimizer.ema_momentum) == (1.0, 0.01, 0.5)
    assert optimizer.scales["stage0_conv1/kernel"] == pytest.approx(0.8**12)
    schedule = make_schedule("one_cycle", 1e-3, stage.steps(1), warmup=0.3)
    assert optimizer.get_config()["learning_rate"]["config"] == schedule.get_config()
    # What was validated last, what was saved, and the moving average are one network.
    said, history = np.load(tmp_path / "fold" / "oof.npz"), pd.read_csv(tmp_path / "fold" / "history.csv")
    assert history["held_out_accuracy"].iloc[-1] == pytest.approx(accuracy(said["labels"], said["probabilities"]))
    saved = keras.saving.load_model(tmp_path / "fold" / "model.keras", compile=False)
    for weight, average in zip(saved.trainable_weights, optimizer._model_variables_moving_average, strict=True):
        np.testing.assert_array_equal(weight, average)
