"""The cells of a table show the task, and what does not fit it is named."""

import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.competition.layouts.labels import read_labels


def read(cells, task=None, columns="label"):
    return read_labels(pd.DataFrame(cells, dtype=object), columns, task, "train.csv")


@pytest.mark.parametrize(
    ("cells", "task", "first"),
    [
        (["cat", "dog", "cat"], "single_label", "cat"),
        (["0", "1", "2"], "single_label", "0"),
        (["1.0", "0.0", "2.0"], "single_label", "1.0"),
        (["black rot", "healthy", "apple scab"], "single_label", "black rot"),
        (["16 0", "3", "0"], "multi_label", ("16", "0")),
        (["scab rust", "rust", "scab", "rust"], "multi_label", ("scab", "rust")),
        (["0.25", "3", "-1e-3"], "regression", 0.25),
    ],
)
def test_one_column_shows_its_task(cells, task, first):
    labels, found, classes = read({"label": cells})
    assert (found, classes, labels[0]) == (task, None, first)


@pytest.mark.parametrize(
    ("rows", "task", "first"),
    [
        ([["0", "1"], ["1", "0"]], "single_label", "b"),
        ([["1", "1"], ["0", "0"]], "multi_label", ("a", "b")),
        ([["0.25", "0.75"], ["1", "0"]], "distribution", (0.25, 0.75)),
        ([["3.5", "-1"], ["0", "2"]], "regression", (3.5, -1.0)),
    ],
)
def test_a_column_for_each_class_shows_its_task(rows, task, first):
    labels, found, classes = read({"a": [row[0] for row in rows], "b": [row[1] for row in rows]}, columns=["a", "b"])
    assert (found, classes, labels[0]) == (task, ("a", "b"), first)


def test_bars_part_labels_unless_the_task_says_one_class():
    cells = {"label": ["Pleural Thickening|Mass", "Mass"]}
    labels, task, _ = read(cells)
    assert (task, labels.tolist()) == ("multi_label", [("Pleural_Thickening", "Mass"), ("Mass",)])
    labels, task, _ = read(cells, "single_label")
    assert (task, labels.tolist()) == ("single_label", cells["label"])


def test_votes_become_shares():
    labels, *_ = read({"1": ["3", "0"], "2": ["1", "5"]}, "distribution", ["1", "2"])
    assert labels.tolist() == [(0.75, 0.25), (0.0, 1.0)]


@pytest.mark.parametrize(
    ("cells", "task", "columns", "message"),
    [
        ({"label": ["1", "x"]}, "regression", "label", "1 cells of column 'label' are not numbers: 'x'"),
        ({"label": ["1", "2"]}, "distribution", "label", "needs a column for each class, got the one column 'label'"),
        ({"a": ["1", "1"], "b": ["0", "1"]}, "single_label", ["a", "b"], "1 rows have another number: rows '1'"),
        (
            {"a": ["2", "1"], "b": ["0", "1"]},
            "multi_label",
            ["a", "b"],
            "expected 0 or 1 in the label .* 'a', 'b'",
        ),
        ({"a": ["0", "1"], "b": ["0", "1"]}, "distribution", ["a", "b"], "counts or shares above 0: rows '0'"),
    ],
)
def test_cells_that_do_not_fit_are_named(cells, task, columns, message):
    with pytest.raises(ValueError, match=message):
        read(cells, task, columns)


def test_targets_follow_the_task():
    single = kk.from_arrays(np.zeros((3, 8, 8), np.uint8), ["10", "9", "10"], name="single")
    assert (single.class_names, single.targets.tolist()) == (["9", "10"], [1, 0, 1])
    several = kk.from_arrays(np.zeros((3, 8, 8), np.uint8), [["b"], [], ["a", "b"]], name="several")
    assert several.targets.tolist() == [[0, 1], [0, 0], [1, 1]]
    numbers = kk.from_arrays(np.zeros((2, 8, 8), np.uint8), [0.5, 2.25], name="numbers")
    assert (numbers.task, numbers.metric, numbers.targets.tolist()) == ("regression", "rmse", [[0.5], [2.25]])
    assert numbers.class_counts() is None
    assert several.class_counts().to_dict() == {"b": 2, "a": 1}


def test_one_hot_columns_of_a_sample_are_the_classes(make_competition):
    folder = make_competition(ids=["a", "b", "c", "d"], labels=["0"] * 4)
    table = "image_id,healthy,rust,scab\na,1,0,0\nb,0,1,0\nc,0,0,1\nd,0,1,0\n"
    (folder / "train.csv").write_text(table)
    (folder / "sample_submission.csv").write_text("image_id,healthy,rust,scab\nx,0.3,0.3,0.4\n")
    comp = kk.load_competition(folder)
    assert (comp.task, comp.class_names) == ("single_label", ["healthy", "rust", "scab"])
    assert comp.train["label"].tolist() == ["healthy", "rust", "scab", "rust"]
    (folder / "train.csv").write_text(table.replace("d,0,1,0", "d,0,1,1"))
    comp = kk.load_competition(folder)
    assert (comp.task, comp.train["label"].tolist()[3]) == ("multi_label", ("rust", "scab"))
