"""A metric's name is checked when a competition is loaded, before anything is written."""

import dataclasses

import numpy as np
import pytest

import kagglekit as kk

PIXELS, LABELS = np.zeros((4, 8, 8), np.uint8), ["a", "b", "a", "b"]


def test_an_unknown_metric_is_an_error_at_load_with_the_nearest_name(make_competition, workspace, digits):
    zipped = workspace.parent / "competition.zip"
    zipped.write_bytes(b"not even a zip: it is not opened")
    unknown = "expected metric to be one of 'accuracy', .* got 'acuracy'. Did you mean 'accuracy'?"
    for load in (
        lambda: kk.load_competition(make_competition(), metric="acuracy"),
        lambda: kk.load_competition(zipped, metric="acuracy"),
        lambda: kk.from_arrays(PIXELS, LABELS, name="blank", preset=kk.Preset(metric="acuracy")),
        lambda: dataclasses.replace(digits, metric="acuracy"),
    ):
        with pytest.raises(ValueError, match=unknown):
            load()
    assert not workspace.exists()


def test_a_metric_of_another_task_is_an_error_at_load(make_competition, workspace, digits):
    for metric, task, load in (
        ("rmse", "single_label", lambda: kk.load_competition(make_competition(), metric="rmse")),
        ("emd", "multi_label", lambda: kk.load_competition("nowhere", metric="emd", task="multi_label")),
        ("rmse", "single_label", lambda: kk.from_arrays(PIXELS, LABELS, name="blank", preset=kk.Preset(metric="rmse"))),
        (
            "accuracy",
            "regression",
            lambda: kk.from_arrays(PIXELS, [0.5, 1.0, 2.0, 3.5], name="blank", preset=kk.Preset(metric="accuracy")),
        ),
        ("accuracy", "regression", lambda: kk.Preset(metric="accuracy", task="regression")),
        ("sample_f2", "single_label", lambda: dataclasses.replace(digits, metric="sample_f2")),
    ):
        with pytest.raises(ValueError, match=f"the metric '{metric}' is not for the task '{task}'; expected one of"):
            load()
    assert not workspace.exists()


def test_a_function_is_answered_with_what_to_make_of_it(workspace):
    with pytest.raises(TypeError, match=r"got the function .*; give kk.Metric\(function, higher_is_better=...\)"):
        kk.from_arrays(PIXELS, LABELS, name="blank", preset=kk.Preset(metric=lambda labels, probabilities: 0.0))


def test_the_metric_is_held_as_one_and_equals_its_name(digits):
    assert isinstance(digits.metric, kk.Metric)
    assert digits.metric == "accuracy"
    assert f"{digits.metric}" == "accuracy"
    assert repr(digits).endswith("metric accuracy")
