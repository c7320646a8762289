"""Every task reads, learns, checks and describes its own labels; one more is one object."""

import json

import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit import metrics
from kagglekit.competition.layouts.labels import read_labels
from kagglekit.tasks import TASKS, Ordinal, SingleLabel, Task, find_task

NAMES = ["0", "1", "2"]
# task -> labels as arrays give them, as the table holds them, and as a network learns them
CASES = {
    "single_label": (["0", "2", "1", "1"], ["0", "2", "1", "1"], [0, 2, 1, 1]),
    "ordinal": (["0", "2", "1", "1"], ["0", "2", "1", "1"], [0, 2, 1, 1]),
    "multi_label": ([["2"], [], ["0", "1"], ["1"]], [("2",), (), ("0", "1"), ("1",)], np.eye(3)[[2, 0, 0, 1]]),
    "regression": ([[1.5, 0, -2], [0, 0, 4], [1, 2, 3], [9, 9, 9]], None, None),
    "distribution": ([[0.5, 0.25, 0.25], [0, 0, 1], [1, 0, 0], [0.25, 0.75, 0]], None, None),
}
CASES["multi_label"][2][1], CASES["multi_label"][2][2] = (0, 0, 0), (1, 1, 0)
CELLS = {
    "single_label": [["1", "0", "0"], ["0", "0", "1"], ["0", "1", "0"], ["0", "1", "0"]],
    "ordinal": [["1", "0", "0"], ["0", "0", "1"], ["0", "1", "0"], ["0", "1", "0"]],
    "multi_label": [["0", "0", "1"], ["0", "0", "0"], ["1", "1", "0"], ["0", "1", "0"]],
}
RIGHT = {
    "single_label": [0.5, 0.25, 0.25], "ordinal": [0.5, 0.25, 0.25], "distribution": [0.5, 0.25, 0.25],
    "multi_label": [1.0, 1.0, 0.0], "regression": [-5.0, 1e6, 0.0],
}  # fmt: skip
WRONG = {
    "single_label": [0.5, 0.5, 0.5], "ordinal": [1.5, -0.5, 0.0], "distribution": [0.0, 0.0, 0.0],
    "multi_label": [1.5, 0.0, 0.0], "regression": [np.inf, 0.0, 0.0],
}  # fmt: skip


def arrays(task, rows=4, **choices):
    """A competition of noise whose labels are those of `CASES`, over and over."""
    images = np.random.default_rng(0).integers(0, 256, (rows, 8, 8), np.uint8)
    labels = (CASES[task][0] * rows)[:rows]
    preset = kk.Preset(task=task, **{"classes": tuple(NAMES)} | choices)
    return kk.from_arrays(images, labels, images[:2], name=f"tiny_{task}", preset=preset)


def targets_of(task):
    given, _, targets = CASES[task]
    return np.array(given if targets is None else targets)


def test_a_task_is_its_name_wherever_names_are_compared_kept_or_shown():
    for name, task in TASKS.items():
        assert task == name
        assert name == task
        assert task in (name, "other")
        assert {name: 1}[task] == 1
        assert (str(task), f"{task!r}") == (name, repr(name))
        assert find_task(name) is find_task(task) is task
        assert [other for other in TASKS.values() if other == task] == [task]
    assert TASKS["ordinal"] != 1
    with pytest.raises(ValueError, match="Did you mean 'multi_label'"):
        find_task("multilabels")


def test_every_task_says_what_all_are_asked():
    for name, task in TASKS.items():
        for trait in Task.__annotations__:
            assert hasattr(task, trait), (name, trait)
        assert metrics.find_metric(task.metric, task), name
        assert not metrics.find_metric(task.error, name).higher_is_better, name


@pytest.mark.parametrize("task", TASKS)
def test_labels_become_targets_and_targets_what_a_loss_takes(task, workspace):
    comp = arrays(task)
    assert comp.task is TASKS[task]
    assert comp.class_names == NAMES
    expected = targets_of(task)
    assert comp.targets.tolist() == expected.tolist()
    assert comp.targets.dtype == (np.int64 if comp.task.one_label else np.float32)
    stored = comp.task.as_labels(comp.targets.tolist())
    assert stored.dtype == comp.targets.dtype
    assert np.array_equal(stored, comp.targets)
    learnt = comp.task.one_hot(comp.targets, 3)
    assert (learnt.dtype, learnt.shape) == (np.float32, (4, 3))
    assert learnt.tolist() == (np.eye(3)[expected] if comp.task.one_label else expected).tolist()
    turned = comp.task.one_hot(comp.task.reorder(comp.targets, [2, 0, 1]), 3)
    assert turned.tolist() == learnt[:, [2, 0, 1]].tolist()
    comp.task.check_predictions("rows", range(4), learnt)
    assert np.shape(comp.task.no_label(3)) == comp.targets.shape[1:]


@pytest.mark.parametrize("task", TASKS)
def test_labels_are_read_from_a_column_for_each_output(task):
    rows = CELLS.get(task) or [list(map(str, row)) for row in CASES[task][0]]
    labels, found, names = read_labels(pd.DataFrame(rows, columns=NAMES, dtype=object), NAMES, task, "train.csv")
    assert (found, names) == (task, tuple(NAMES))
    wanted = CASES[task][1] or [tuple(map(float, row)) for row in CASES[task][0]]
    assert labels.tolist() == wanted
    assert found.targets(labels, names).tolist() == targets_of(task).tolist()


@pytest.mark.parametrize("task", TASKS)
def test_rows_of_predictions_are_accepted_or_their_ids_named(task):
    found = find_task(task)
    rows = np.tile(RIGHT[task], (3, 1))
    found.check_predictions("rows", ["a", "b", "c"], rows)
    rows[1] = WRONG[task]
    with pytest.raises(ValueError, match="rows: .* 'b'"):
        found.check_predictions("rows", ["a", "b", "c"], rows)
    rows[1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite .* 'b'"):
        found.check_predictions("rows", ["a", "b", "c"], rows)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_folded_described_scored_and_submitted(task, workspace):
    comp = arrays(task, rows=40)
    assert comp.metric == find_task(task).metric
    folds = kk.assign_folds(comp, n_splits=2)
    assert "good" in kk.fold_report(comp, folds)["verdict"].tolist()
    assert len(kk.describe_data(comp, kk.check_images(comp))) > 3
    counts = comp.class_counts()
    assert (counts is not None) == comp.task.has_classes
    if not comp.task.has_classes:
        values = comp.task.values(comp.train["label"], comp.class_names)
        assert np.array_equal(values, comp.task.values(comp.targets, comp.class_names))
        assert comp.task.value_name(comp.class_names)
    reference = kk.reference_predictions(comp, folds)
    assert reference.task is comp.task
    assert np.isfinite(reference.score)
    reference.save(workspace / "reference.npz")
    assert kk.Predictions.load(workspace / "reference.npz").task is comp.task
    assert len(kk.make_submission(comp, reference).read_text().splitlines()) == 3


@pytest.mark.parametrize("task", TASKS)
def test_what_a_run_says_of_its_rows_follows_the_task(task):
    found, targets = find_task(task), find_task(task).as_labels(targets_of(task))
    rows = np.tile(RIGHT[task], (4, 1))
    columns = dict(found.oof_columns(NAMES, targets, rows))
    assert np.column_stack([columns[name] for name in NAMES]).tolist() == rows.tolist()
    if found.one_label:
        assert columns["label"].tolist() == CASES[task][1]
        assert columns["predicted"].tolist() == ["0"] * 4
    else:
        assert np.column_stack([columns[f"true {name}"] for name in NAMES]).tolist() == targets.tolist()
    assert all(isinstance(found.describe_prediction(NAMES, *pair), str) for pair in zip(rows, targets, strict=True))


def test_several_numbers_without_a_sample_are_submitted_as_numbers(workspace):
    """They were once taken for class names."""
    comp = arrays("regression", rows=12)
    written = pd.read_csv(kk.make_submission(comp, kk.reference_predictions(comp, kk.assign_folds(comp, n_splits=2))))
    assert written.columns.tolist() == ["id", *NAMES]
    assert written[NAMES].dtypes.unique().tolist() == [np.float64]


class TestGrades:
    """Ordinal labels are single labels whose classes stand in an order."""

    def test_are_seen_by_whole_numbers_and_their_metric(self, make_competition):
        folder = make_competition(labels=[str(number % 5) for number in range(24)])
        assert kk.load_competition(folder).task == "single_label"
        comp = kk.load_competition(folder, metric="quadratic_weighted_kappa")
        assert comp.task == "ordinal"
        assert "of 5 grades, " in repr(comp)
        assert kk.load_competition(folder, metric="quadratic_weighted_kappa", task="single_label").task == (
            "single_label"
        )
        assert kk.load_competition(folder, task="ordinal").metric == "quadratic_weighted_kappa"
        assert kk.load_competition(folder, task="ordinal", metric="accuracy").metric == "accuracy"

    def test_are_seen_in_arrays_and_folders_too(self, workspace):
        images, labels = np.zeros((4, 8, 8), np.uint8), np.array([[0], [10], [2], [1]])
        preset = kk.Preset(metric="quadratic_weighted_kappa")
        comp = kk.from_arrays(images, labels, name="grades", preset=preset)
        assert (comp.task, comp.class_names) == ("ordinal", ["0", "1", "2", "10"])
        assert kk.from_arrays(images, labels, name="grades", preset=kk.Preset(task="ordinal")).task == "ordinal"
        named = kk.from_arrays(images, ["low", "high"] * 2, name="named", preset=preset)
        assert named.task == "single_label"

    def test_in_words_need_their_order(self, make_competition):
        folder = make_competition(labels=["mild", "none", "severe"] * 8)
        with pytest.raises(ValueError, match=r"'mild', 'none', 'severe' do not show the order .*classes="):
            kk.load_competition(folder, task="ordinal")
        order = ("none", "mild", "severe")
        comp = kk.load_competition(folder, kk.Preset(classes=order, metric="quadratic_weighted_kappa"))
        assert (comp.task, comp.class_names) == ("ordinal", list(order))

    def test_are_the_task_of_the_presets_with_grades(self):
        kappa = {name for name, preset in kk.PRESETS.items() if preset.metric == "quadratic_weighted_kappa"}
        assert kappa == {name for name, preset in kk.PRESETS.items() if preset.task == "ordinal"}
        assert "aptos2019-blindness-detection" in kappa

    def test_do_what_single_labels_do(self):
        grades, single = TASKS["ordinal"], TASKS["single_label"]
        for trait in ("heads", "losses", "forms"):
            assert set(getattr(grades, trait)) == set(getattr(single, trait)), trait
        for metric in metrics.METRICS.values():
            assert metric.fits(grades) == metric.fits(single), metric
        assert not single.is_one_of(["ordinal"])
        assert grades.losses[:3] == ("cross_entropy", "earth_movers", "quadratic_kappa")


@pytest.mark.parametrize(
    ("task", "knobs", "message"),
    [
        ("multi_label", {"loss": "focal"}, "loss='focal' is not for the task 'multi_label'; .*'binary_focal'"),
        ("regression", {"head": "cosine"}, "head='cosine' is not for the task 'regression'"),
        ("regression", {"sampling": "balanced"}, "sampling='balanced' needs one class a row"),
        ("distribution", {"sampling": {"0": 2.0}}, "use 'none' for the task 'distribution'"),
        ("multi_label", {"class_weights": "inverse_frequency"}, "class_weights='inverse_frequency' needs"),
    ],
)
def test_a_knob_that_does_not_fit_the_task_is_found_before_anything_is_written(task, knobs, message, workspace):
    comp = arrays(task, rows=12)
    before = sorted(comp.workspace.rglob("*"))
    with pytest.raises(ValueError, match=message):
        kk.cross_validate(comp, kk.assign_folds(comp, n_splits=2), kk.Recipe(backbone="small_cnn", **knobs))
    assert sorted(comp.workspace.rglob("*")) == before


def test_a_form_of_submission_that_does_not_fit_the_task_is_refused(workspace):
    comp = arrays("regression", submission="labels")
    with pytest.raises(ValueError, match=r"submission of labels does not fit the task 'regression'.*\['values'\]"):
        kk.make_submission(comp, pd.DataFrame({"id": ["0", "1"]}))


class Letters(SingleLabel):
    """Classes whose names end in a note, such as `a?`, which is no part of the class."""

    name = "toy"
    shared_out = "letter"

    def read_column(self, cells, where):
        return cells.str.rstrip("?")

    def ordered(self, names):
        return tuple(sorted(names, reverse=True))


def test_a_task_of_ones_own_is_one_object(monkeypatch, workspace):
    monkeypatch.setitem(TASKS, "toy", Letters())
    images = np.random.default_rng(0).integers(0, 256, (24, 8, 8), np.uint8)
    labels = ["a", "b?", "c", "a?", "b", "c?"] * 4
    comp = kk.from_arrays(images, labels, images[:2], name="toy", preset=kk.Preset(task="toy"))
    assert (comp.task, comp.class_names, comp.metric) == ("toy", ["c", "b", "a"], "accuracy")
    assert comp.train["label"].tolist() == ["a", "b", "c", "a", "b", "c"] * 4
    folds = kk.assign_folds(comp, n_splits=2)
    report = kk.fold_report(comp, folds)
    assert "largest distance from a letter's fair share" in report["check"].tolist()
    assert (report["verdict"].iloc[:3] == "good").all()
    assert "3 classes" in kk.describe_data(comp, kk.check_images(comp))["finding"].str.cat(sep=" ")
    records = kk.write_records(comp, folds, record_size=8)
    assert json.loads((records.folder / "manifest.json").read_text())["task"] == "toy"
    assert kk.open_records(records.folder).task is TASKS["toy"]
    assert records.table([0, 1])["label"].value_counts().tolist() == [8, 8, 8]
    reference = kk.reference_predictions(comp, folds)
    assert reference.task == "toy"
    assert reference.score == metrics.score("accuracy", reference.oof_labels, reference.oof, "toy")
    assert set(pd.read_csv(kk.make_submission(comp, reference))["label"]) <= {"a", "b", "c"}
    recipe = kk.Recipe(
        backbone="small_cnn", weights=None, image_size=8, channels=1, record_size=8, frozen_epochs=0, epochs=1,
        policy="tiny", sampling="balanced",
    )  # fmt: skip
    run = kk.cross_validate(comp, folds, recipe)
    assert run.oof[["label", "predicted"]].isin(["a", "b", "c"]).all(axis=None)
    assert isinstance(TASKS["ordinal"], Ordinal)
