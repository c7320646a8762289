"""Several labels, numbers, shares and stacks of channels are learnt as well, from raw arrays to a submission."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

import kagglekit as kk
from kagglekit import metrics

IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES = np.rint(IMAGES.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
TRAIN, TEST = slice(0, 1200), slice(1200, 1300)
BINS = np.arange(10)

SETS = {"even": (0, 2, 4, 6, 8), "large": (5, 6, 7, 8, 9), "round": (0, 6, 8, 9)}
LABELS = {
    "ordinal": DIGITS.tolist(),
    "multi_label": [[name for name, digits in SETS.items() if digit in digits] for digit in DIGITS],
    "regression": (1000 + 10.0 * DIGITS).tolist(),
    "distribution": np.exp(-((BINS - DIGITS[:, None]) ** 2) / 2),
}
# What a constant, the best one, scores: macro F1 of "all have every label", the deviation, the mean distribution's EMD
WORSE_THAN = {"ordinal": 0.8, "multi_label": 0.9, "regression": 14.0, "distribution": 0.12}


@pytest.mark.parametrize("task", LABELS)
def test_every_task_is_learnt_and_submitted(task, workspace, quick_recipe):
    labels = LABELS[task][TRAIN]
    comp = kk.from_arrays(IMAGES[TRAIN], labels, IMAGES[TEST], name=task, preset=kk.Preset(task=task))
    assert comp.task == task
    folds = kk.assign_folds(comp, n_splits=2)
    run = kk.cross_validate(comp, folds, quick_recipe.replace(epochs=8))
    assert metrics.better(comp.metric, run.score, WORSE_THAN[task])
    predictions = kk.predict(run)
    assert predictions.task == task
    assert predictions.score == pytest.approx(run.score, rel=0.1)
    written = pd.read_csv(kk.make_submission(comp, kk.blend(comp, [predictions])))
    assert written["id"].tolist() == list(range(100))
    truth = DIGITS[TEST]
    if task == "multi_label":
        assert written.columns.tolist() == ["id", "even", "large", "round"]
        assert ((written["even"] > 0.5) == (truth % 2 == 0)).mean() > 0.9
    elif task == "ordinal":
        assert comp.metric == "quadratic_weighted_kappa"
        assert np.abs(written["label"] - truth).mean() < 0.5
    elif task == "regression":
        assert np.abs(written["label"] - 1000 - 10 * truth).mean() < 12
    else:
        assert (written[[str(number) for number in BINS]].to_numpy().argmax(axis=1) == truth).mean() > 0.8
    assert ("predicted" if comp.task.one_label else f"true {comp.class_names[0]}") in run.oof


def test_stacked_channels_and_sampling_are_trained_on(workspace, quick_recipe):
    """Four channels of 16 bits, of which only the last one shows the digit, and a class that is seen less."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 65535, (*IMAGES[:600].shape, 3), endpoint=True)
    stacked = np.concatenate([noise, IMAGES[:600, ..., None] * np.uint16(257)], axis=-1).astype(np.uint16)
    comp = kk.from_arrays(stacked, DIGITS[:600], name="stacked")
    recipe = kk.suggest_recipe(comp, effort="fast")
    assert (recipe.channels, recipe.backbone) == (4, "small_cnn")
    recipe = recipe.replace(epochs=8, sampling="label_shuffling", subset=0.9, class_weights="effective_number")
    run = kk.cross_validate(comp, kk.assign_folds(comp, n_splits=2), recipe)
    assert run.score > 0.6
