"""What `assign_folds` promises line by line, and a report that sees every promise broken."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold

import kagglekit as kk

RNG = np.random.default_rng(0)
SKEWED = RNG.permutation(["a"] * 53 + ["b"] * 31 + ["c"] * 8).tolist()  # 92 rows; no count is a multiple of 3, 5 or 7
GROUPS = [f"g{number}" for number in RNG.integers(0, 40, len(SKEWED))]


def make_rows(labels, groups=None):
    """Return a competition of so many rows; folds need no pixels."""
    ids = [f"{number:05d}" for number in range(len(labels))]
    train = pd.DataFrame({"image_id": ids, "id": ids, "source": ids, "label": list(labels)}, dtype=object)
    if groups is not None:
        train["group"] = list(groups)
    return kk.Competition("toy", None, train, train.iloc[:0].drop(columns="label"))


def shuffled(comp, seed=1):
    return kk.Competition("toy", None, comp.train.sample(frac=1, random_state=seed), comp.test)


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["alone", "grouped"])
@pytest.mark.parametrize("n_splits", [2, 3, 5, 7])
def test_every_row_is_in_exactly_one_fold(n_splits, groups):
    comp = make_rows(SKEWED)
    folds = kk.assign_folds(comp, n_splits, groups=groups)
    assert folds.index.tolist() == comp.train["image_id"].tolist()
    assert set(folds) == set(range(n_splits))
    assert folds.name == "fold"


@pytest.mark.parametrize("n_splits", [2, 3, 5, 7, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_class_counts_of_folds_differ_by_at_most_one_without_groups(n_splits, seed):
    comp = make_rows(SKEWED)
    counts = pd.crosstab(comp.train["label"].to_numpy(), kk.assign_folds(comp, n_splits, seed=seed).to_numpy())
    assert counts.shape == (3, n_splits)
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()
    assert np.ptp(counts.sum()) <= 1


@pytest.mark.parametrize("own", [None, GROUPS])
@pytest.mark.parametrize("given", [None, [f"{group}-{label}" for group, label in zip(GROUPS, SKEWED, strict=True)]])
def test_order_of_rows_changes_nothing(own, given):
    comp = make_rows(SKEWED, own)
    groups = None if given is None else dict(zip(comp.train["image_id"], given, strict=True))
    folds = kk.assign_folds(comp, groups=groups)
    again = kk.assign_folds(shuffled(comp), groups=groups)
    assert again.index.tolist() == shuffled(comp).train["image_id"].tolist()
    assert again.loc[folds.index].tolist() == folds.tolist()


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["alone", "grouped"])
def test_seed_alone_decides(groups):
    comp = make_rows(SKEWED)
    first, again, other = (kk.assign_folds(comp, groups=groups, seed=seed) for seed in (3, 3, 4))
    assert first.equals(again)
    assert not first.equals(other)


def test_names_of_groups_do_not_matter():
    comp = make_rows(SKEWED)
    renamed = [group[::-1].upper() for group in GROUPS]
    assert kk.assign_folds(comp, groups=GROUPS).equals(kk.assign_folds(comp, groups=renamed))


@pytest.mark.parametrize("form", [list, np.array, "series", "dict", "own column"])
@pytest.mark.parametrize("seed", range(3))
def test_groups_never_cross_folds(form, seed):
    comp = make_rows(SKEWED, GROUPS if form == "own column" else None)
    named = pd.Series(GROUPS, index=comp.train["image_id"].tolist())
    groups = {"own column": None, "series": named[::-1], "dict": named.to_dict()}.get(form, named)
    groups = form(GROUPS) if callable(form) else groups
    folds = kk.assign_folds(comp, groups=groups, seed=seed)
    assert folds.groupby(GROUPS).nunique().eq(1).all()


def test_rows_that_share_either_kind_of_group_stay_together():
    # Pairs 0-1, 2-3, ... by the own column and 1-2, 5-6, ... by the given one: chains of four rows.
    comp = make_rows(["a", "b"] * 20, [number // 2 for number in range(40)])
    given = [f"{(number + 1) // 2}" if number % 4 in (1, 2) else f"alone{number}" for number in range(40)]
    for seed in range(5):
        folds = kk.assign_folds(comp, groups=given, seed=seed)
        assert folds.groupby(np.arange(40) // 4).nunique().eq(1).all()
    assert kk.fold_report(comp, folds, given).set_index("check").loc["groups", "value"] == "10 (largest 4)"


def test_grouped_folds_are_stratified_where_grouping_alone_is_not():
    # 50 groups of 4 rows of class a and 10 of class b: 5 folds can hold exactly 40 a and 8 b each. Dealing out groups
    # of equal size in turn, as GroupKFold does, gives one fold every group of b.
    kinds = ["b" if number % 5 == 0 and number < 50 else "a" for number in range(60)]
    labels, groups = np.repeat(kinds, 4), np.repeat(np.arange(60), 4)
    unstratified = [np.sum(labels[rows] == "b") for _, rows in GroupKFold(5).split(labels, labels, groups)]
    assert max(unstratified) == 40
    for seed in range(5):
        folds = kk.assign_folds(make_rows(labels), groups=groups, seed=seed)
        counts = pd.crosstab(labels, folds.to_numpy())
        assert counts.loc["a"].tolist() == [40] * 5
        assert counts.loc["b"].tolist() == [8] * 5


@pytest.mark.parametrize("seed", range(4))
def test_uneven_groups_keep_each_class_within_the_largest_group(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, 80)
    labels = np.repeat(list("aaaaaaabbc") * 8, sizes)  # 8 groups of c, enough for 5 folds
    comp, groups = make_rows(labels), np.repeat(np.arange(80), sizes)
    report = kk.fold_report(comp, kk.assign_folds(comp, groups=groups, seed=seed), groups)
    assert report["verdict"].tolist() == ["good"] * 5


@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        (SKEWED, {"n_splits": 1}, "n_splits of 2 or more, got 1"),
        (SKEWED, {"n_splits": 9}, "class 'c' has 8 images, fewer than 9 folds .*use n_splits=8, or merge or remove"),
        ([*SKEWED, "d"], {}, "class 'd' has 1 images, fewer than 5 folds"),
        (SKEWED, {"groups": [number % 4 for number in range(92)]}, "at least 5 groups for 5 folds, got 4"),
        (SKEWED, {"groups": GROUPS[:-1]}, "expected groups for 92 rows, got 91"),
        (SKEWED, {"groups": {"00000": "g"}}, "groups lack 91 images: '00001', .* and 86 more; expected one for each"),
        (SKEWED, {"groups": [None, *GROUPS[1:]]}, "groups lack 1 images: '00000'"),
        (SKEWED, {"groups": pd.Series(["g", "h"], ["00000", "00000"])}, "image_id in groups once, but '00000' stand"),
    ],
)
def test_impossible_folds_are_refused_with_the_reason(labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        kk.assign_folds(make_rows(labels), **arguments)


@pytest.mark.parametrize(
    ("folds", "groups", "line", "verdict"),
    [
        ([0, 1] * 10, np.arange(20) // 2, "groups in several folds", "leak: '0', '1', '2', '3', '4' and 5 more"),
        ([0, 1] * 10, None, "classes that a fold lacks", "'a in fold 1', 'b in fold 0'"),
        ([0, 1] * 10, None, "largest distance from a class's fair share", "not stratified"),
        ([0] * 16 + [1] * 4, None, "images in a fold", "uneven"),
    ],
)
def test_report_sees_a_bad_split(folds, groups, line, verdict):
    report = kk.fold_report(make_rows(["a", "b"] * 10), folds, groups).set_index("check")
    assert report.loc[line, "verdict"] == verdict


def test_report_derives_the_fair_share():
    # 12 a and 4 b; fold 0 has 8 rows and so a fair share of 6 a and 2 b, but holds 8 a: 2 images away.
    report = kk.fold_report(make_rows(["a"] * 12 + ["b"] * 4), [0] * 8 + [1] * 8).set_index("check")
    assert report.loc["largest distance from a class's fair share"].tolist() == ["2.0 images", "not stratified"]


def test_report_refuses_a_row_in_no_fold():
    with pytest.raises(ValueError, match="folds lack 1 images: '00003'"):
        kk.fold_report(make_rows(["a", "b"] * 10), [0, 1, 0, None] + [0, 1] * 8)


def test_saved_folds_come_back_by_id(make_competition, workspace):
    comp = kk.load_competition(make_competition(ids=["00012", "NA", "x,1", "7"], labels=["0", "1", "0", "1"]))
    with pytest.raises(FileNotFoundError, match=r"no .*folds.csv; run the notebook 01_eda .*call kk.save_folds"):
        kk.load_folds(comp)
    folds = kk.assign_folds(comp, 2)
    path = kk.save_folds(comp, folds[::-1])
    assert path == workspace / comp.name / "folds.csv"
    assert kk.load_folds(comp).to_dict() == folds.to_dict()
    path.write_text("image_id,fold\n00012,0\nNA,1\n")
    with pytest.raises(ValueError, match=r"folds in .*folds.csv lack 2 images: 'x,1', '7'"):
        kk.load_folds(comp)
    with pytest.raises(ValueError, match="folds lack 3 images"):
        kk.save_folds(comp, {"00012": 0})
    assert path.read_text() == "image_id,fold\n00012,0\nNA,1\n"
    assert [file.name for file in path.parent.iterdir()] == ["folds.csv"]


def test_real_photographs_are_split_fairly(flowers):
    groups = kk.duplicate_groups(flowers)
    assert kk.fold_report(flowers, kk.assign_folds(flowers, groups=groups), groups)["verdict"].eq("good").all()
