"""Figures of what was predicted show the numbers that they are made of, in every task."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import kagglekit as kk


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def predictions(task, labels, oof, metric, classes=("a", "b")):
    ids = [f"r{row}" for row in range(len(oof))]
    return kk.Predictions(
        name=task, class_names=list(classes), oof_ids=ids, oof=oof, oof_labels=labels, oof_folds=[0] * len(oof),
        test_ids=["t0", "t1"], test=oof[:2], metric=metric, task=task,
    )  # fmt: skip


def test_labels_are_drawn_as_found_and_right():
    labels = [[1, 0], [1, 0], [1, 1], [0, 1]]
    said = predictions("multi_label", labels, [[0.9, 0.6], [0.2, 0.1], [0.7, 0.8], [0.6, 0.9]], "macro_f1")
    ax = kk.plot_mistakes(said)
    found, right = ([bar.get_width() for bar in bars] for bars in ax.containers)
    # a: 2 of 3 found, 2 of 3 right; b: 2 of 2 found, 2 of 3 right. The first label stands on top.
    assert found == pytest.approx([1, 2 / 3])
    assert right == pytest.approx([2 / 3, 2 / 3])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b (2)", "a (3)"]


@pytest.mark.parametrize(
    ("task", "labels", "oof", "metric", "point"),
    [
        ("regression", [[10.0], [20.0]], [[11.0], [19.5]], "rmse", (20.0, 19.5)),
        ("distribution", [[1.0, 0.0], [0.5, 0.5]], [[0.9, 0.1], [0.25, 0.75]], "emd", (1.5, 1.75)),
    ],
)
def test_numbers_are_drawn_against_the_truth(task, labels, oof, metric, point):
    classes = ("value",) if task == "regression" else ("1", "2")
    said = predictions(task, np.array(labels), np.array(oof), metric, classes)
    ax = kk.plot_mistakes(said)
    assert ax.collections[0].get_offsets()[1].tolist() == pytest.approx(point)
    assert f"{said.score:.4g}" in ax.get_title()


def test_shares_of_training_and_test_stand_side_by_side(digits, quick_run):
    said = kk.predict(quick_run)
    ax = kk.plot_shares(digits, said)
    train, test = ([bar.get_height() for bar in bars] for bars in ax.containers)
    assert train == pytest.approx(digits.train["label"].value_counts(normalize=True).sort_index().tolist())
    assert test == pytest.approx((np.bincount(said.test.argmax(axis=1), minlength=10) / 360).tolist())


def test_examples_say_what_the_network_says(digits, quick_run):
    axes = kk.plot_examples(digits, quick_run, 1, most=30)
    rows = quick_run.oof[quick_run.oof["fold"] == 1].head(30)
    for ax, (_, row) in zip(axes, rows.iterrows(), strict=True):
        assert ax.get_title().startswith(f"{row['predicted']} (")
        assert ("(is " in ax.get_title()) == (row["predicted"] != row["label"])


def test_the_best_run_and_fold_follow_the_metric(digits, quick_run):
    assert kk.best_run(digits).score == max(run.score for run in kk.list_runs(digits))
    assert quick_run.scores()[quick_run.best_fold] == max(quick_run.scores().values())
