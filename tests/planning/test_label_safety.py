"""The check of an op against the labels names what turns one class into another, and only that."""

import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.inference.traced import inference, predict_rows
from kagglekit.pipeline.datasets import eval_dataset
from kagglekit.planning.label_safety import _compare_probabilities, _verdict
from kagglekit.tasks import REGRESSION


@pytest.fixture(scope="module")
def arrows(_places):
    """A run on arrows that point left or right, in red or green, trained without augmentation."""
    rng = np.random.default_rng(0)
    images, labels = [], []
    for number in range(240):
        image = rng.integers(0, 60, (16, 16, 3), dtype=np.uint8)
        size, row = rng.integers(3, 6), rng.integers(5, 11)
        for step in range(size):
            image[row - step : row + step + 1, 5 + step] = 200
        side, colour = number % 2, number // 2 % 2
        shade = np.array([[1, 0.2, 0.2], [0.2, 1, 0.2]])[colour]
        images.append(((image[:, ::-1] if side else image) * shade).astype(np.uint8))
        labels.append(f"{('left', 'right')[side]} {('red', 'green')[colour]}")
    comp = kk.from_arrays(images, labels, name="arrows")
    recipe = kk.Recipe(
        backbone="small_cnn", weights=None, image_size=16, record_size=16, batch_size=16, policy="none",
        frozen_epochs=0, epochs=8, learning_rate=3e-3,
    )  # fmt: skip
    run = kk.cross_validate(comp, kk.assign_folds(comp, 3), recipe, fold_numbers=[0])
    assert run.score > 0.9
    return run


def test_a_flip_of_what_points_left_or_right_is_named_and_a_harmless_op_is_not(arrows):
    table = kk.label_safety(arrows, policy=[("flip_horizontal", 0.5), ("flip_vertical", 0.5), ("brightness", 0.1)])
    lines = table.set_index("op")
    for colour in ("red", "green"):
        pair = f"left {colour}", f"right {colour}"
        if lines.loc["flip_horizontal", "becomes"] in (" -> ".join(pair), " -> ".join(pair[::-1])):
            break
    else:
        pytest.fail(lines.loc["flip_horizontal", "becomes"])
    assert lines["rows"].tolist() == [80, 80, 80]  # the chance of a flip is no chance here
    assert lines.loc["flip_horizontal", "verdict"].startswith("leave it out or lower it: ")
    assert lines.loc["flip_horizontal", "confidence_after"] < 0.2 < 0.8 < lines.loc["flip_vertical", "confidence_after"]
    assert lines.loc[["flip_vertical", "brightness"], "verdict"].tolist() == ["good", "good"]
    assert table.attrs["verdict"].startswith("leave out or lower flip_horizontal (")
    assert "brightness" not in table.attrs["verdict"]


def test_a_turn_of_hue_is_named_where_colours_are_the_classes_and_a_slight_one_is_not(arrows):
    table = kk.label_safety(arrows, policy=[("hue", 0.02), ("hue", 0.5)])
    assert table["verdict"][0] == "good"
    assert table["verdict"][1] != "good"
    side, other = (name.split()[0] for name in table["becomes"][1].split(" -> "))
    assert side == other  # red and green change places, left and right do not


def test_confidence_before_is_that_of_evaluation(arrows):
    probabilities, labels, _ = predict_rows(
        inference(arrows.model(0)), eval_dataset(arrows.records(), arrows.recipe, 0)
    )
    table = kk.label_safety(arrows, policy=[("flip_vertical", 1)])
    assert table["confidence_before"][0] == pytest.approx(
        probabilities[np.arange(len(labels)), labels].mean(), abs=1e-5
    )


def test_the_same_seed_asks_the_same(arrows):
    first, again, other = (kk.label_safety(arrows, policy=[("noise", 0.3)], seed=seed, rows=30) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert first["confidence_after"][0] != other["confidence_after"][0]
    assert first["rows"][0] == 30


def test_an_op_that_is_not_defined_for_the_channels_did_nothing(quick_run):
    table = kk.label_safety(quick_run, policy=[("hue", 0.5), ("flip_vertical", 0.5)])
    assert table["rows"][0] == 0
    assert table["verdict"][0] == "did nothing to these images"
    assert table["verdict"][1].startswith("leave it out")  # a 5 upside down is a 2


def test_the_runs_own_policy_and_strength_are_the_default(quick_run):
    table = kk.label_safety(quick_run, rows=60)
    assert table[["op", "strength"]].to_numpy().tolist() == [["shift", 0.13], ["contrast", 0.2]]


def test_figures_of_a_worked_example():
    """Classes a, b, c. Of ten a, all right before, six become b; the five b stay; one of five c becomes b."""
    labels = np.repeat([0, 1, 2], [10, 5, 5])
    before, after = np.full((20, 3), 0.1), np.full((20, 3), 0.2)
    before[np.arange(20), labels] = 0.8
    now = labels.copy()
    now[[0, 1, 2, 3, 4, 5, 15]] = 1
    after[np.arange(20), now] = 0.6
    comparison = _compare_probabilities(before, after, labels, ["a", "b", "c"])
    assert comparison["confidence_before"] == pytest.approx(0.8)
    assert comparison["confidence_after"] == pytest.approx((13 * 0.6 + 7 * 0.2) / 20)
    assert comparison["changed"] == 7 / 20
    assert (comparison["worst_class"], comparison["worst_after"]) == ("a", pytest.approx((4 * 0.6 + 6 * 0.2) / 10))
    assert (comparison["becomes"], comparison["turned"]) == ("a -> b", 0.6)
    assert comparison["beyond"] == pytest.approx(0.6 - 0.2)  # c becomes b too
    assert _verdict(comparison | {"rows": 20}) == "leave it out or lower it: 60% of a become b"


def test_a_class_that_everything_becomes_is_no_pair_of_classes():
    labels = np.repeat([0, 1, 2, 3], 10)
    comparison = _compare_probabilities(np.eye(4)[labels], np.eye(4)[np.full(40, 3)], labels, list("abcd"))
    assert (
        _verdict(comparison | {"rows": 40}) == "hard on this network: 75% change their class, of no class in particular"
    )


def test_what_cannot_be_checked_says_why(arrows, quick_run):
    with pytest.raises(ValueError, match="the policy changes nothing"):
        kk.label_safety(arrows)
    with pytest.raises(ValueError, match=r"no network of fold 2; finished folds: \[0\]"):
        kk.label_safety(arrows, policy="light", fold=2)
    with pytest.raises(ValueError, match="Did you mean 'light'"):
        kk.label_safety(arrows, policy="ligth")

    class Regression(kk.Run):
        task = REGRESSION

    with pytest.raises(ValueError, match="one label a row"):
        kk.label_safety(Regression(quick_run.folder))
