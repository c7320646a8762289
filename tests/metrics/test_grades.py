"""Whoever holds class names passes them to the score: grades are as far apart as their values, wherever it is asked."""

import types

import numpy as np
import pytest

import kagglekit as kk
from kagglekit._files import write_json
from kagglekit.inference.predict import _choose_views
from kagglekit.metrics import find_metric
from kagglekit.tasks import find_task
from kagglekit.training.callbacks import held_out_scores

KAPPA, ORDINAL, NAMES = "quadratic_weighted_kappa", "ordinal", ["0", "1", "2", "4"]
LABELS, SAID = np.array([0, 1, 2, 3]), np.eye(4)[[0, 1, 2, 2]].astype(np.float32)
# One row of four is wrong: 4 for 2, or class 3 for class 2. By chance: the squares of all 16 pairs.
BY_VALUE, BY_NUMBER = 1 - (4 / 4) / (50 / 16), 1 - (1 / 4) / (32 / 16)


@pytest.fixture
def run(tmp_path):
    """A run of one finished fold, as it lies on disk."""
    write_json(tmp_path / "run.json", {"folds": [0], "metric": KAPPA, "task": ORDINAL, "class_names": NAMES})
    (tmp_path / "fold0").mkdir()
    np.savez(tmp_path / "fold0" / "oof.npz", image_ids=list("abcd"), labels=LABELS, probabilities=SAID)
    return kk.Run(tmp_path)


def make_predictions(names):
    return kk.Predictions("any", names, list("abcd"), SAID, LABELS, np.zeros(4), ["x"], SAID[:1], task=ORDINAL)


def test_predictions_runs_training_and_the_choice_of_views_go_by_the_values(run):
    setup = types.SimpleNamespace(metric=find_metric(KAPPA), task=find_task(ORDINAL), class_names=NAMES)
    for place, found in {
        "predictions": make_predictions(NAMES).score,
        "a run": run.score,
        "its fold": run.scores()[0],
        "an epoch": held_out_scores(setup, LABELS, SAID)["held_out_score"],
        "a view": _choose_views([], {"identity": SAID}.get, LABELS, KAPPA, find_task(ORDINAL), NAMES)[2]["identity"],
    }.items():
        assert found == pytest.approx(BY_VALUE, rel=1e-12), place


def test_classes_that_are_no_numbers_go_by_their_order():
    assert make_predictions(["none", "mild", "severe", "worst"]).score == pytest.approx(BY_NUMBER, rel=1e-12)
