"""The splitter beside scikit-learn's and iterative-stratification's, as scikit-learn uses it, and its laws."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
import sklearn.datasets
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold, cross_val_score

import kagglekit as kk

RNG = np.random.default_rng(0)
CLASSES = RNG.permutation([0] * 53 + [1] * 31 + [2] * 8)
NUMBERS = RNG.normal(size=92)
KINDS = {
    "classes": CLASSES,
    "text": CLASSES.astype(str),
    "labels": (RNG.random((92, 6)) < 0.2).astype(int),
    "numbers": NUMBERS,
    "several numbers": RNG.normal(size=(92, 2)),
    "distributions": RNG.dirichlet(np.ones(5), 92),
}
GROUPS = RNG.integers(0, 30, 92)


def problem(number):
    """Return one of the random problems: a kind, the number of folds, `y` and `groups`."""
    rng = np.random.default_rng(number)
    kind = ("rows", "groups", "groups", "labels")[number % 4]
    n_splits, rows, classes = int(rng.integers(2, 9)), int(rng.integers(60, 500)), int(rng.integers(2, 12))
    frequency = rng.dirichlet(np.full(classes, rng.choice([0.5, 2, 10])))
    if kind == "labels":
        y = (rng.random((rows, classes)) < np.clip(frequency * rng.uniform(0.5, 3), 0.02, 0.9)).astype(int)
        return kind, n_splits, y[:, y.any(axis=0)], None
    if kind == "rows":
        y = rng.choice(classes, rows, p=frequency)
        return kind, n_splits, np.concatenate([y, np.repeat(np.arange(classes), n_splits)]), None
    # Groups of very uneven size, each with a favourite class that more or fewer of its rows have
    count = int(rng.integers(3 * n_splits, 12 * n_splits))
    groups = rng.choice(count, rows, p=rng.dirichlet(np.full(count, rng.choice([0.5, 2, 10]))))
    purity, favourite = rng.uniform(), rng.choice(classes, count, p=frequency)
    y = np.where(rng.random(rows) < purity, favourite[groups], rng.choice(classes, rows, p=frequency))
    return kind, n_splits, np.unique(y, return_inverse=True)[1], np.unique(groups, return_inverse=True)[1]


def rivals(kind, n_splits, y, groups):
    """Return the splits of the public splitter for this kind, three shuffles of each."""
    splits = []
    for seed in range(3):
        if kind == "rows":
            splits.append(StratifiedKFold(n_splits, shuffle=True, random_state=seed).split(y, y))
        elif kind == "labels":
            splits.append(MultilabelStratifiedKFold(n_splits, shuffle=True, random_state=seed).split(y, y))
        else:
            splits.append(StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed).split(y, y, groups))
            # Before scikit-learn 1.8 its shuffle does not stratify, but renamed groups do shuffle
            renamed = np.random.default_rng(seed).permutation(groups.max() + 1)[groups]
            splits.append(StratifiedGroupKFold(n_splits).split(y, y, renamed))
    return splits


def unevenness(splits, y):
    """Return how far a class's count is from its fair share, in rows, and the measure that scikit-learn minimises.

    The latter: the mean over classes of the standard deviation over folds of the fold's part of the class.
    """
    indicators = y if y.ndim == 2 else np.eye(y.max() + 1)[y]
    counts = np.array([indicators[test].sum(axis=0) for _, test in splits])
    totals = indicators.sum(axis=0)
    return np.array([np.abs(counts - totals / len(counts)).max(), np.std(counts / totals, axis=0).mean()])


@pytest.mark.filterwarnings("ignore:fewer .* of a class:UserWarning", "ignore:The least populated:UserWarning")
@pytest.mark.parametrize(
    "first", [0, 75, *(pytest.param(n, marks=pytest.mark.slow) for n in (25, 50, 100, 125, 150, 175))]
)
def test_no_public_splitter_is_more_even_on_200_random_problems(first):
    beaten = {}
    for number in range(first, first + 25):
        kind, n_splits, y, groups = problem(number)
        ours = unevenness(kk.StratifiedFolds(n_splits).split(None, y, groups), y)
        best = np.min([unevenness(splits, y) for splits in rivals(kind, n_splits, y, groups)], axis=0)
        if (ours > best + 1e-9).any():
            beaten[number] = (kind, ours, best)
    assert beaten == {}


def folds_of(splitter, y, groups=None):
    """Return the fold of each row, having checked that a repeat's test parts are a partition."""
    folds = np.full(len(y), -1)
    for fold, (train, test) in enumerate(splitter.split(np.zeros(len(y)), y, groups)):
        assert (folds[test] == -1).all()
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
        folds[test] = fold
    assert (folds >= 0).all()
    return folds


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["alone", "grouped"])
@pytest.mark.parametrize("triple", [False, True])
def test_every_row_is_tested_once_and_groups_stay_whole(kind, groups, triple):
    folds = folds_of(kk.StratifiedFolds(4, balance_group_sizes=triple), KINDS[kind], groups)
    assert len(set(folds)) == 4
    if groups is not None:
        assert all(len(set(folds[groups == group])) == 1 for group in groups)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["alone", "grouped"])
def test_seed_alone_decides(kind, groups):
    first, again, other = (folds_of(kk.StratifiedFolds(3, seed=seed), KINDS[kind], groups) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["alone", "grouped"])
def test_names_and_the_order_of_label_columns_decide_nothing(groups):
    splitter = kk.StratifiedFolds(5)
    renamed = np.array(["zebra", "ant", "9"])[CLASSES]
    assert np.array_equal(folds_of(splitter, CLASSES, groups), folds_of(splitter, renamed, groups))
    labels = KINDS["labels"]
    assert np.array_equal(folds_of(splitter, labels, groups), folds_of(splitter, labels[:, ::-1], groups))
    if groups is not None:
        assert np.array_equal(folds_of(splitter, CLASSES, groups), folds_of(splitter, CLASSES, 100 - groups))


@pytest.mark.parametrize("n_splits", [2, 3, 5, 7])
def test_counts_of_a_class_and_of_rows_differ_by_at_most_one_without_groups(n_splits):
    folds = folds_of(kk.StratifiedFolds(n_splits), CLASSES)
    for rows in (CLASSES >= 0, CLASSES == 0, CLASSES == 1, CLASSES == 2):
        assert np.ptp(np.bincount(folds[rows], minlength=n_splits)) <= 1


def test_numbers_are_shared_out_over_their_whole_range():
    # 92 numbers in ten bins of 9 or 10; a fold of a fifth holds 1 or 2 of each.
    folds = folds_of(kk.StratifiedFolds(5), NUMBERS)
    deciles = np.searchsorted(np.quantile(NUMBERS, np.arange(1, 10) / 10), NUMBERS)
    counts = np.array([np.bincount(deciles[folds == fold], minlength=10) for fold in range(5)])
    assert set(counts.ravel()) == {1, 2}


def test_few_distinct_numbers_are_taken_as_they_are():
    grades = CLASSES.astype(float)
    assert np.array_equal(folds_of(kk.StratifiedFolds(5), grades), folds_of(kk.StratifiedFolds(5), CLASSES))


def test_more_folds_than_a_bin_could_hold_still_share_out_low_and_high_numbers():
    # 12 numbers in 4 folds: three bins at most, each fold one of each.
    folds = folds_of(kk.StratifiedFolds(4), np.arange(12.0))
    assert all(np.array_equal(np.sort(folds[part : part + 4]), np.arange(4)) for part in (0, 4, 8))


def test_distributions_are_shared_out_by_their_expected_value():
    # Scores whose mean is below or above the middle, 30 of each
    low, high = np.tile([0.6, 0.3, 0.1], (30, 1)), np.tile([0.1, 0.3, 0.6], (30, 1))
    folds = folds_of(kk.StratifiedFolds(5), np.concatenate([low, high]))
    assert np.bincount(folds[:30]).tolist() == np.bincount(folds[30:]).tolist() == [6] * 5


def test_a_rare_class_is_in_as_many_folds_as_it_has_rows():
    y = np.array(["a"] * 40 + ["b"] * 3 + ["c"] * 2)
    with pytest.warns(UserWarning, match=r"fewer images of a class than 5 folds \('c: 2', 'b: 3'\)"):
        folds = folds_of(kk.StratifiedFolds(5), y)
    assert len(set(folds[40:43])) == 3
    assert len(set(folds[43:])) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds_of(kk.StratifiedFolds(2), y)


def test_repeats_differ_and_are_counted():
    splitter = kk.StratifiedFolds(3, n_repeats=2)
    splits = list(splitter.split(CLASSES, CLASSES))
    assert len(splits) == splitter.get_n_splits() == splitter.get_n_splits(CLASSES, CLASSES) == 6
    once, twice = ({tuple(test) for _, test in part} for part in (splits[:3], splits[3:]))
    assert once.isdisjoint(twice)


def test_scikit_learn_takes_it_for_a_splitter():
    X, y = sklearn.datasets.load_digits(return_X_y=True)
    splitter = kk.StratifiedFolds(3)
    assert cross_val_score(RidgeClassifier(), X, y, cv=splitter).min() > 0.9
    groups = np.arange(len(y)) // 4
    expected = cross_val_score(RidgeClassifier(), X, y, cv=splitter, groups=groups)
    assert expected.shape == (3,)
    search = GridSearchCV(RidgeClassifier(), {"alpha": [1.0, 10.0]}, cv=splitter).fit(X, y, groups=groups)
    assert search.n_splits_ == 3
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_score(RidgeClassifier(), X, y, cv=splitter, params={"groups": groups})
    assert np.array_equal(routed, expected)
    assert repr(kk.StratifiedFolds(4, seed=7)).startswith("StratifiedFolds(")


@pytest.mark.parametrize(
    ("arguments", "y", "groups", "message"),
    [
        ({"n_splits": 1}, CLASSES, None, "n_splits to be a whole number of 2 or more, got 1"),
        ({"n_splits": 2.0}, CLASSES, None, "n_splits to be a whole number of 2 or more, got 2.0"),
        ({"n_splits": "5"}, CLASSES, None, "n_splits to be a whole number of 2 or more, got '5'"),
        ({"n_splits": None}, CLASSES, None, "n_splits to be a whole number of 2 or more, got None"),
        ({"n_splits": CLASSES}, CLASSES, None, r"n_splits to be a whole number of 2 or more, got array"),
        ({"n_repeats": 0}, CLASSES, None, "n_repeats to be a whole number of 1 or more, got 0"),
        ({"n_repeats": 1.5}, CLASSES, None, "n_repeats to be a whole number of 1 or more, got 1.5"),
        ({"n_repeats": True}, CLASSES, None, "n_repeats to be a whole number of 1 or more, got True"),
        ({"seed": None}, CLASSES, None, "seed to be a whole number of 0 or more, got None"),
        ({"seed": -1}, CLASSES, None, "seed to be a whole number of 0 or more, got -1"),
        ({"seed": 0.5}, CLASSES, None, "seed to be a whole number of 0 or more, got 0.5"),
        ({"bins": 2.5}, NUMBERS, None, "bins to be a whole number of 1 or more, got 2.5"),
        ({"bins": None}, NUMBERS, None, "bins to be a whole number of 1 or more, got None"),
        ({"balance_group_sizes": "yes"}, CLASSES, GROUPS, "balance_group_sizes to be True or False, got 'yes'"),
        ({"n_splits": 4}, CLASSES[:3], None, "at least 4 rows for 4 folds, got 3"),
        ({"n_splits": 4}, CLASSES, np.arange(92) % 3, "at least 4 groups for 4 folds, got 3"),
        ({}, CLASSES, GROUPS[:-1], "groups for 92 rows, got 91"),
        ({}, CLASSES, [None, *GROUPS[1:]], "groups have missing values"),
        ({}, np.where(NUMBERS > 1, np.nan, NUMBERS), None, "missing or infinite"),
        ({}, np.where(NUMBERS > 1, np.inf, NUMBERS), None, "missing or infinite"),
        ({}, np.array(["a", None] * 46, object), None, "missing or infinite"),
        ({}, np.zeros((92, 2, 2)), None, r"y of shape \(rows,\) or \(rows, columns\), got \(92, 2, 2\)"),
    ],
)
def test_impossible_splits_are_refused_with_the_reason(arguments, y, groups, message):
    with pytest.raises(ValueError, match=message):
        next(kk.StratifiedFolds(**arguments).split(np.zeros(len(y)), y, groups))


@pytest.mark.parametrize("n_splits", [2.0, "5", None])
def test_the_number_of_splits_is_refused_as_splits_are(n_splits):
    with pytest.raises(ValueError, match="n_splits to be a whole number of 2 or more"):
        kk.StratifiedFolds(n_splits).get_n_splits()
    with pytest.raises(ValueError, match="n_repeats to be a whole number of 1 or more, got 1.5"):
        kk.StratifiedFolds(n_repeats=1.5).get_n_splits()


def test_whole_numbers_of_numpy_are_whole_numbers():
    splitter = kk.StratifiedFolds(np.int64(4), n_repeats=np.int32(1), bins=np.uint8(10), seed=np.int16(3))
    assert np.array_equal(folds_of(splitter, NUMBERS), folds_of(kk.StratifiedFolds(4, seed=3), NUMBERS))


COLUMNS = {
    "classes": CLASSES,
    "many classes": RNG.permutation(np.repeat(np.arange(23), 4)),
    "text": CLASSES.astype(str),
    "objects": CLASSES.astype(str).astype(object),
    "two classes": CLASSES % 2,
    "numbers": NUMBERS,
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["alone", "grouped"])
@pytest.mark.filterwarnings("ignore:fewer .* of a class:UserWarning")
def test_one_column_is_what_the_flat_labels_are(kind, groups):
    y, splitter = COLUMNS[kind], kk.StratifiedFolds(4)
    expected = folds_of(splitter, y, groups)
    column = None if groups is None else groups[:, None]
    assert np.array_equal(folds_of(splitter, y[:, None], column), expected)
    assert np.array_equal(folds_of(splitter, pd.DataFrame({"label": y}), column), expected)


def test_a_rare_class_in_one_column_is_warned_of():
    y = np.array([["a"]] * 40 + [["b"]] * 3)
    with pytest.warns(UserWarning, match=r"fewer images of a class than 5 folds \('b: 3'\)"):
        folds_of(kk.StratifiedFolds(5), y)


def test_rows_of_X_and_y_must_agree():
    with pytest.raises(ValueError, match="as many rows in X as in y, 92, got 91"):
        next(kk.StratifiedFolds().split(np.zeros((91, 2)), CLASSES))


def test_constructor_only_stores():
    splitter = kk.StratifiedFolds(1, n_repeats=0, balance_group_sizes=True, bins=4, seed=3)
    assert vars(splitter) == {"n_splits": 1, "n_repeats": 0, "balance_group_sizes": True, "bins": 4, "seed": 3}
