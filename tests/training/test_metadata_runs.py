"""Columns of the table reach the network: learnt, predicted with gaps, saved, and the same each time."""

import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.inputs.metadata import fitted_encoder, metadata_of
from kagglekit.inputs.records import open_records
from kagglekit.inputs.writing import records_of
from kagglekit.models.heads import add_head, build_extractor, split_at_features
from kagglekit.models.metadata import add_metadata

ROWS, TEST = 120, 24
COLUMNS = {"numeric": ("age",), "categorical": ("site",)}


def competition(folder):
    """Four pictures again and again; `young` are those below 60 but for the scalp. Gaps, and values of test alone."""
    rng = np.random.default_rng(0)
    ages = rng.choice([20, 30, 40, 80], ROWS + TEST) + rng.uniform(-5, 5, ROWS + TEST)
    sites = rng.choice(["arm", "leg", "scalp"], ROWS + TEST)
    labels = np.where((ages < 60) & (sites != "scalp"), "young", "old")
    pixels = rng.integers(0, 256, (4, 16, 16, 1), np.uint8)[np.arange(ROWS + TEST) % 4]
    table = pd.DataFrame({"age": ages, "site": sites}).map(str)
    table.loc[0, ["age", "site"]] = table.loc[ROWS, ["age", "site"]] = ""
    table.loc[ROWS + 1, ["age", "site"]] = ["unknown", "nose"]
    comp = kk.from_arrays(pixels[:ROWS], labels[:ROWS].tolist(), pixels[ROWS:], name=folder)
    for part, rows in ((comp.train, table[:ROWS]), (comp.test, table[ROWS:])):
        part[["age", "site"]] = rows.to_numpy()
    return comp, labels[ROWS:]


@pytest.fixture(scope="module")
def made():
    return competition("columns")


@pytest.fixture(scope="module")
def recipe():
    return kk.Recipe(
        backbone="small_cnn", weights=None, image_size=12, channels=1, record_size=16, batch_size=16, policy="none",
        frozen_epochs=0, epochs=12, learning_rate=1e-2, dropout=0.0, label_smoothing=0.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(made, recipe):
    return kk.cross_validate(made[0], kk.assign_folds(made[0], n_splits=2), recipe.replace(**COLUMNS))


def test_a_run_learns_from_columns_what_the_pixels_do_not_say(made, recipe, run):
    comp, truth = made
    blind = kk.cross_validate(comp, kk.assign_folds(comp, n_splits=2), recipe)
    assert blind.score < 0.7  # about half of the rows are of each class
    assert run.score > 0.95
    predictions = kk.predict(run, tta=["identity", "hflip"])
    names = np.array(run.info["class_names"])[predictions.test.argmax(axis=1)]
    assert (names[2:] == truth[2:]).mean() > 0.9  # the first two have gaps, and values that training never saw
    assert np.isfinite(predictions.test).all()
