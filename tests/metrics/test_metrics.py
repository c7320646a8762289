"""Metrics agree with scikit-learn and with numbers worked out by hand."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from kagglekit.metrics import METRICS, better, per_class, score

ONE_LABEL = [name for name, metric in METRICS.items() if metric.fits("single_label")]
LABELS = [0, 0, 0, 1, 1, 2]
PROBABILITIES = [
    [0.7, 0.2, 0.1],  # 0, right
    [0.4, 0.5, 0.1],  # 0, said 1
    [0.6, 0.3, 0.1],  # 0, right
    [0.2, 0.8, 0.0],  # 1, right
    [0.1, 0.3, 0.6],  # 1, said 2
    [0.3, 0.3, 0.4],  # 2, right
]


@pytest.fixture(params=range(4))
def rows(request):
    """Random labels and probabilities; the rarest of the five classes may be missing from the labels."""
    rng = np.random.default_rng(request.param)
    labels = rng.choice(5, 60, p=[0.4, 0.3, 0.2, 0.09, 0.01])
    return labels, rng.dirichlet(np.ones(5), 60)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 4 / 6),
        ("balanced_accuracy", (2 / 3 + 1 / 2 + 1) / 3),
        # F1 = 2 TP / (2 TP + FP + FN): class 0 has 2, 0, 1; class 1 has 1, 1, 1; class 2 has 1, 1, 0.
        ("macro_f1", (4 / 5 + 2 / 4 + 2 / 3) / 3),
        ("log_loss", -math.log(0.7 * 0.4 * 0.6 * 0.8 * 0.3 * 0.4) / 6),
    ],
)
def test_worked_numbers(metric, expected):
    assert score(metric, LABELS, PROBABILITIES) == pytest.approx(expected, rel=1e-12)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scikit_learn_agrees(rows):
    labels, probabilities = rows
    predicted = probabilities.argmax(axis=1)
    for metric, expected in {
        "accuracy": reference.accuracy_score(labels, predicted),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
        "macro_f1": reference.f1_score(labels, predicted, average="macro"),
        "log_loss": reference.log_loss(labels, probabilities, labels=range(5)),
    }.items():
        assert score(metric, labels, probabilities) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", [name for name in ONE_LABEL if name != "quadratic_weighted_kappa"])
def test_order_of_rows_and_numbering_of_classes_change_nothing(metric, rows):
    labels, probabilities = rows
    order, classes = np.random.default_rng(9).permutation(60), np.array([3, 0, 4, 1, 2])
    expected = pytest.approx(score(metric, labels, probabilities), rel=1e-12)
    assert score(metric, labels[order], probabilities[order]) == expected
    assert score(metric, np.argsort(classes)[labels], probabilities[:, classes]) == expected


@pytest.mark.parametrize(
    "metric", [name for name in ONE_LABEL if name != "top5_accuracy"]
)  # of five classes: all right
def test_certain_and_right_beats_everything(metric, rows):
    labels, probabilities = rows
    best = score(metric, labels, np.eye(5)[labels])
    assert best == pytest.approx(1 if METRICS[metric].higher_is_better else 0, abs=1e-12)
    assert better(metric, best, score(metric, labels, probabilities))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_of_certain_and_wrong_is_finite(dtype):
    # -ln(2 ** -52), float64's epsilon, is 52 ln 2 = 36.04 whatever the type of the probabilities.
    assert score("log_loss", [0], np.array([[0, 1]], dtype)) == pytest.approx(52 * math.log(2), rel=1e-12)


def test_log_loss_normalises_rows():
    assert score("log_loss", [1], [[1.0, 3.0]]) == pytest.approx(-math.log(0.75), rel=1e-12)


@pytest.mark.filterwarnings("ignore:The y_pro")
def test_log_loss_of_a_row_of_zeros_is_that_of_one_that_is_certain_and_wrong():
    given = [[0.0, 0.0], [0.2, 0.8]]
    expected = (52 * math.log(2) - math.log(0.8)) / 2
    assert score("log_loss", [0, 1], given) == pytest.approx(expected, rel=1e-12)
    assert reference.log_loss([0, 1], given) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("metric", "labels", "probabilities", "message"),
    [
        ("acuracy", LABELS, PROBABILITIES, "expected metric to be one of .*, got 'acuracy'. Did you mean 'accuracy'?"),
        ("accuracy", [], np.empty((0, 3)), r"got \(0,\) and \(0, 3\)"),
        ("accuracy", LABELS[:5], PROBABILITIES, r"got \(5,\) and \(6, 3\)"),
        ("accuracy", np.reshape(LABELS, (6, 1)), PROBABILITIES, r"got \(6, 1\) and \(6, 3\)"),
        ("accuracy", LABELS, LABELS, r"got \(6,\) and \(6,\)"),
        ("accuracy", [0, 0, 0, 1, 1, 3], PROBABILITIES, "class numbers from 0 to 2"),
        ("accuracy", [0, 0, 0, 1, 1, -1], PROBABILITIES, "class numbers from 0 to 2"),
        ("accuracy", list("001122"), PROBABILITIES, "class numbers from 0 to 2"),
        ("accuracy", [0.0, 0, 0, 1, 1, 2], PROBABILITIES, "class numbers from 0 to 2"),
    ],
)
def test_wrong_arguments_are_refused(metric, labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        score(metric, labels, probabilities)


SEVERAL = [[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0]]
CERTAINTIES = [[0.9, 0.2, 0.4], [0.3, 0.6, 0.1], [0.2, 0.8, 0.3], [0.1, 0.7, 0.2]]


@pytest.mark.parametrize(
    ("metric", "task", "labels", "values", "expected"),
    [
        # Decided: 100, 010, 010, 010. F1: label 0 2/(2+0+1), label 1 4/(4+1+0), label 2 0.
        ("macro_f1", "multi_label", SEVERAL, CERTAINTIES, (2 / 3 + 4 / 5 + 0) / 3),
        ("micro_f1", "multi_label", SEVERAL, CERTAINTIES, 2 * 3 / (2 * 3 + 1 + 2)),
        # Pairs in the right order: label 0 (.9 .2 over .3 .1) 3 of 4, label 1 (.6 .8 over .2 .7) 3 of 4, label 2 all.
        ("auc", "multi_label", SEVERAL, CERTAINTIES, (0.75 + 0.75 + 1) / 3),
        ("auc", "single_label", [0, 1, 1], [[0.6, 0.4], [0.7, 0.3], [0.2, 0.8]], 0.5),
        ("log_loss", "multi_label", [[1, 0]], [[0.8, 0.5]], -(math.log(0.8) + math.log(0.5)) / 2),
        # Observed squares: one row is 2 grades off: 4. By chance, counts (1, 1, 2) against (2, 1, 1): 26 / 4 = 6.5.
        ("quadratic_weighted_kappa", "single_label", [0, 1, 2, 2], np.eye(3)[[0, 1, 2, 0]], 1 - 4 / 6.5),
        ("quadratic_weighted_kappa", "regression", [[0], [1], [2], [2]], [[0.2], [1.4], [1.6], [-0.3]], 1 - 4 / 6.5),
        # Of the second class: said 3 times, twice right; it is there 3 times.
        ("precision", "single_label", [0, 0, 1, 1, 1], np.eye(2)[[0, 1, 1, 1, 0]], 2 / 3),
        ("recall", "single_label", [0, 0, 1, 1, 1], np.eye(2)[[0, 1, 1, 1, 0]], 2 / 3),
        ("f1", "single_label", [0, 1, 1, 1, 1], np.eye(2)[[0, 0, 1, 1, 1]], 6 / 7),
        ("matthews", "single_label", [0, 0, 1, 1], np.eye(2)[[0, 1, 1, 1]], (1 * 2 - 0) / math.sqrt(2 * 3 * 2 * 1)),
        # Rows: F2 = 5 right / (4 there + said): 5/9, 1, 5/9, 0.
        ("sample_f2", "multi_label", SEVERAL, CERTAINTIES, (5 / 9 + 1 + 5 / 9 + 0) / 4),
        ("hamming_loss", "multi_label", SEVERAL, CERTAINTIES, 3 / 12),
        # Right classes stand first, second, fourth.
        ("map3", "single_label", [0, 1, 3], [[4, 3, 2, 1]] * 3, (1 + 1 / 2 + 0) / 3),
        ("top3_accuracy", "single_label", [0, 1, 3], [[4, 3, 2, 1]] * 3, 2 / 3),
        # Places of the labels: 1 and 2; 1; 1 and 3; none.
        (
            "map3",
            "multi_label",
            [[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]],
            [[0.9, 0.8, 0.1]] * 4,
            (1 + 1 + (1 + 2 / 3) / 2 + 0) / 4,
        ),
        # By 0.9, 0.8, 0.7: present, absent, present; precision 1 / 1 and 2 / 3 where the recall grows by a half.
        ("average_precision", "single_label", [1, 0, 1], [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], (1 + 2 / 3) / 2),
        ("rmse", "regression", [[1.0], [3.0]], [[2.0], [3.0]], math.sqrt(0.5)),
        # Cumulated 1, 1, 1 against 0, 0.5, 1: squares 1, 0.25, 0.
        ("emd", "distribution", [[1.0, 0.0, 0.0]], [[0.0, 0.5, 0.5]], math.sqrt(1.25 / 3)),
    ],
)
def test_worked_numbers_of_other_tasks(metric, task, labels, values, expected):
    assert score(metric, np.array(labels), np.array(values), task) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees_on_ranks_and_grades(seed):
    rng = np.random.default_rng(seed)
    labels, probabilities = rng.integers(0, 4, 80), rng.dirichlet(np.ones(4), 80)
    several, certainties = rng.integers(0, 2, (80, 3)), rng.uniform(size=(80, 3))
    assert score("auc", labels, probabilities) == pytest.approx(
        reference.roc_auc_score(labels, probabilities, multi_class="ovr"), rel=1e-12
    )
    assert score("auc", several, certainties, "multi_label") == pytest.approx(
        reference.roc_auc_score(several, certainties), rel=1e-12
    )
    assert score("quadratic_weighted_kappa", labels, probabilities) == pytest.approx(
        reference.cohen_kappa_score(labels, probabilities.argmax(axis=1), weights="quadratic"), rel=1e-12
    )


def test_kappa_goes_by_the_grades_values_where_all_are_whole_numbers():
    """Classes 0, 1, 2, 4. Squares: 2 for 4 is 4; by chance 9 + 3 + 5 + 33 = 50 over the 16 pairs."""
    labels, said = np.array([0, 1, 2, 3]), np.eye(4)[[0, 1, 2, 2]]
    expected = 1 - (4 / 4) / (50 / 16)
    for names in (["0", "1", "2", "4"], ["0.0", "1.0", "2.0", "4."], [0, 1, 2, 4]):
        found = score("quadratic_weighted_kappa", labels, said, class_names=names)
        assert found == pytest.approx(expected, rel=1e-12), names
    values, places = np.array([0, 1, 2, 4]), np.arange(4)
    for names, grades, known in (
        (["0", "1", "2", "4"], values, range(5)),  # the empty grade 3 keeps its place
        (["-3", "1", "2", "40"], np.array([-3, 1, 2, 40]), range(-3, 41)),
        (["none", "mild", "severe", "4"], places, range(4)),
        (["0", "0.33", "0.67", "1"], places, range(4)),
        (None, places, range(4)),
    ):
        rng = np.random.default_rng(0)
        rows, given = rng.integers(0, 4, 50), rng.dirichlet(np.ones(4), 50)
        theirs = reference.cohen_kappa_score(
            grades[rows], grades[given.argmax(axis=1)], labels=list(known), weights="quadratic"
        )
        ours = score("quadratic_weighted_kappa", rows, given, class_names=names)
        assert ours == pytest.approx(theirs, rel=1e-12), names


def test_kappa_of_several_numbers_is_their_mean():
    labels, values = np.array([[0, 2], [1, 1], [2, 0]]), np.array([[0.1, 0.0], [0.9, 1.2], [2.0, 2.4]])
    assert score("quadratic_weighted_kappa", labels, values, "regression") == pytest.approx((1 + -1) / 2, abs=1e-12)


def test_class_names_must_be_one_for_each_output():
    with pytest.raises(ValueError, match="expected 3 class names, one for each output, got 2"):
        score("accuracy", LABELS, PROBABILITIES, class_names=["a", "b"])


def test_metric_of_another_task_is_refused_with_those_that_fit():
    with pytest.raises(ValueError, match=r"'emd' is not for the task 'single_label'; expected one of \['accuracy'"):
        score("emd", [0], [[1.0, 0.0]])


@pytest.mark.parametrize("metric", ["auc", "average_precision"])
def test_a_ranking_of_rows_that_are_all_alike_is_nan_and_says_why(metric):
    alike = "is not defined on these 2 rows and counts as NaN: it needs rows of a class and rows of another"
    with pytest.warns(UserWarning, match=alike):
        assert math.isnan(score(metric, [1, 1], [[0.5, 0.5], [0.2, 0.8]]))
    with pytest.warns(UserWarning, match=alike):
        assert math.isnan(score(metric, [[1, 0], [1, 0]], [[0.5, 0.5], [0.2, 0.8]], "multi_label"))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [2, 6])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore::RuntimeWarning")
def test_scikit_learn_agrees_on_one_label(seed, classes):
    rng = np.random.default_rng(seed)
    labels, probabilities = rng.integers(0, classes, 90), rng.dirichlet(np.ones(classes), 90)
    said, average = probabilities.argmax(axis=1), "binary" if classes == 2 else "macro"
    hot = np.eye(classes)[labels]
    area = (hot[:, 1], probabilities[:, 1]) if classes == 2 else (hot, probabilities)
    places = np.argsort(np.argsort(-probabilities, axis=1), axis=1)[np.arange(90), labels]
    for metric, expected in {
        "precision": reference.precision_score(labels, said, average=average),
        "recall": reference.recall_score(labels, said, average=average),
        "f1": reference.f1_score(labels, said, average=average),
        "macro_f1": reference.f1_score(labels, said, average="macro"),
        "micro_f1": reference.f1_score(labels, said, average="micro"),
        "matthews": reference.matthews_corrcoef(labels, said),
        "average_precision": reference.average_precision_score(*area),
        "top3_accuracy": np.mean(places < 3),
        "map3": np.mean(np.where(places < 3, 1 / (1 + places), 0)),
        "map5": reference.label_ranking_average_precision_score(hot, probabilities) if classes == 2 else None,
    }.items():
        if expected is not None:
            assert score(metric, labels, probabilities) == pytest.approx(expected, rel=1e-12), metric
    if classes > 3:
        expected = reference.top_k_accuracy_score(labels, probabilities, k=3)
        assert score("top3_accuracy", labels, probabilities) == pytest.approx(expected, rel=1e-12)
    found = per_class(labels, probabilities, beta=2.0)
    expected = reference.precision_recall_fscore_support(labels, said, beta=2.0, zero_division=0)
    for name, values in zip(("precision", "recall", "f", "rows"), expected, strict=True):
        np.testing.assert_allclose(found[name], values, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_agrees_on_several_labels(seed):
    rng = np.random.default_rng(seed)
    labels, probabilities = rng.integers(0, 2, (70, 5)), rng.uniform(size=(70, 5))
    said = probabilities >= 0.5
    for metric, expected in {
        "precision": reference.precision_score(labels, said, average="macro"),
        "recall": reference.recall_score(labels, said, average="macro"),
        "f1": reference.f1_score(labels, said, average="macro"),
        "macro_f1": reference.f1_score(labels, said, average="macro"),
        "micro_f1": reference.f1_score(labels, said, average="micro"),
        "sample_f2": reference.fbeta_score(labels, said, beta=2, average="samples", zero_division=0),
        "hamming_loss": reference.hamming_loss(labels, said),
        "average_precision": reference.average_precision_score(labels, probabilities),
    }.items():
        assert score(metric, labels, probabilities, "multi_label") == pytest.approx(expected, rel=1e-12), metric
    some = labels.any(axis=1)  # scikit-learn counts a row without labels as right
    assert score("map5", labels[some], probabilities[some], "multi_label") == pytest.approx(
        reference.label_ranking_average_precision_score(labels[some], probabilities[some]), rel=1e-12
    )


def test_labels_that_are_nowhere_count_as_zero():
    assert score("sample_f2", np.zeros((2, 3), int), np.zeros((2, 3)), "multi_label") == 0
    assert score("macro_f1", np.array([[1, 0]]), np.array([[1.0, 0.0]]), "multi_label") == 0.5


def test_among_equals_the_first_class_comes_first():
    assert score("top3_accuracy", [2, 3], np.full((2, 6), 1 / 6)) == 0.5
    assert score("map3", [0, 2], np.full((2, 6), 1 / 6)) == pytest.approx((1 + 1 / 3) / 2)
