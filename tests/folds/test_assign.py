"""What `assign_folds` promises line by line, and a report that sees every promise broken."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold

import kagglekit as kk

RNG = np.random.default_rng(0)
SKEWED = RNG.permutation(["a"] * 53 + ["b"] * 31 + ["c"] * 8).tolist()  # 92 rows; no count is a multiple of 3, 5 or 7
GROUPS = [f"g{number}" for number in RNG.integers(0, 40, len(SKEWED))]


# Labels of every task for the same 92 rows
LABELS = {
    "single_label": SKEWED,
    "multi_label": [tuple(name for name in "abcd" if RNG.random() < 0.3) for _ in SKEWED],
    "regression": RNG.normal(size=92).tolist(),
    "distribution": [tuple(row) for row in RNG.dirichlet(np.ones(4), 92).tolist()],
}
LOOKED_FOR = "near-duplicates in several folds"


def make_rows(labels, groups=None, task="single_label", classes=None, ids=None):
    """Return a competition of so many rows; folds need no pixels."""
    names = [f"{number:05d}" for number in range(len(labels))]
    train = pd.DataFrame({"image_id": names, "id": names if ids is None else ids, "source": names}, dtype=object)
    train["label"] = pd.Series(list(labels), dtype=object)
    if groups is not None:
        train["group"] = list(groups)
    if task == "distribution":
        classes = classes or tuple("1234")
    return kk.Competition("toy", None, train, train.iloc[:0].drop(columns="label"), task=task, classes=classes)


def shuffled(comp, seed=1):
    train = comp.train.sample(frac=1, random_state=seed)
    return kk.Competition("toy", None, train, comp.test, task=comp.task, classes=comp.classes)


@pytest.mark.parametrize("task", LABELS)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["alone", "grouped"])
@pytest.mark.parametrize("n_splits", [2, 5])
def test_every_row_is_in_exactly_one_fold(n_splits, groups, task):
    comp = make_rows(LABELS[task], task=task)
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


@pytest.mark.parametrize("task", LABELS)
def test_order_of_rows_changes_nothing_in_any_task(task):
    comp = make_rows(LABELS[task], GROUPS, task)
    for assign in (kk.assign_folds, kk.assign_holdout):
        assert assign(comp).to_dict() == assign(shuffled(comp)).to_dict()


def test_names_of_classes_do_not_matter():
    other = {"a": "zebra", "b": "9", "c": "B", "d": "10"}
    for groups in (None, GROUPS):
        folds = kk.assign_folds(make_rows(SKEWED), groups=groups)
        assert folds.equals(kk.assign_folds(make_rows([other[name] for name in SKEWED]), groups=groups))
        sets = LABELS["multi_label"]
        folds = kk.assign_folds(make_rows(sets, task="multi_label"), groups=groups)
        renamed = [tuple(other[name] for name in names) for names in sets]
        assert folds.equals(kk.assign_folds(make_rows(renamed, task="multi_label"), groups=groups))


@pytest.mark.parametrize("task", LABELS)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["alone", "grouped"])
def test_seed_alone_decides(groups, task):
    comp = make_rows(LABELS[task], task=task)
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
    assert report.loc[report["verdict"] != "good", "check"].tolist() == [LOOKED_FOR]


@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        (SKEWED, {"n_splits": 1}, "n_splits to be a whole number of 2 or more, got 1"),
        (SKEWED, {"n_splits": 93}, "at least 93 rows for 93 folds, got 92"),
        (SKEWED, {"groups": [number % 4 for number in range(92)]}, "at least 5 groups for 5 folds, got 4"),
        (SKEWED, {"groups": GROUPS[:-1]}, "expected groups for 92 rows, got 91"),
        (SKEWED, {"groups": {"00000": "g"}}, "groups lack 91 images: '00001', .* and 86 more; expected one for each"),
        (SKEWED, {"groups": [None, *GROUPS[1:]]}, "groups lack 1 images: '00000'"),
        (SKEWED, {"groups": pd.Series(["g", "h"], ["00000", "00000"])}, "image_id in groups once, but '00000' occur"),
    ],
)
def test_impossible_folds_are_refused_with_the_reason(labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        kk.assign_folds(make_rows(labels), **arguments)


def test_a_class_rarer_than_the_folds_is_spread_with_a_warning_and_named_in_the_report():
    comp = make_rows([*SKEWED, "d", "d"])
    with pytest.warns(UserWarning, match=r"fewer images of a class than 5 folds \('d: 2'\).*or merge or remove"):
        folds = kk.assign_folds(comp)
    assert folds.iloc[-2:].nunique() == 2
    value, verdict = kk.fold_report(comp, folds).set_index("check").loc["classes that a fold lacks"]
    lacking = sorted(set(range(5)) - set(folds.iloc[-2:]))
    named = ", ".join(f"'d in fold {fold}'" for fold in lacking)
    assert (value, verdict) == ("3", f"unavoidable, too rare: {named}")
    # The same class in one fold alone could have been avoided
    together = folds.copy()
    together.iloc[-2:] = 0
    assert (
        kk.fold_report(comp, together).set_index("check").loc["classes that a fold lacks", "verdict"].startswith("'d")
    )


def test_a_class_in_fewer_groups_than_folds_is_named():
    groups = [*GROUPS, "h", "h", "i", "i", "j"]
    with pytest.warns(UserWarning, match=r"fewer groups of a class than 5 folds \('d: 3'"):
        folds = kk.assign_folds(make_rows(SKEWED + ["d"] * 5), groups=groups)
    assert folds.iloc[-5:].nunique() == 3


def test_images_of_one_submission_row_stay_together():
    ids = [f"product{number // 3}" for number in range(92)]
    for task, labels in LABELS.items():
        comp = make_rows(labels, task=task, ids=ids)
        assert kk.assign_folds(comp, 3).groupby(ids).nunique().eq(1).all()
        assert (
            kk.fold_report(comp, np.arange(92) % 3).set_index("check").loc["groups in several folds", "value"] == "31"
        )


def test_unknown_groups_are_groups_of_their_own():
    known = [group if number % 2 else "" for number, group in enumerate(GROUPS)]
    comp = make_rows(SKEWED, known)
    folds = kk.assign_folds(comp)
    assert folds[np.array(known) == ""].nunique() == 5
    assert folds.groupby([group or f"alone{number}" for number, group in enumerate(known)]).nunique().eq(1).all()
    whole = kk.fold_report(comp, folds).set_index("check").loc["groups"]
    assert whole["value"].startswith(f"{46 + len(set(known) - {''})} (")


@pytest.mark.parametrize("task", LABELS)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["alone", "grouped"])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_holdout_has_its_share_of_everything(task, groups, share):
    comp = make_rows(LABELS[task], task=task)
    folds = kk.assign_holdout(comp, share, groups=groups, seed=3)
    assert set(folds) == {0, 1}
    assert abs((folds == 0).sum() - share * 92) <= (1 if groups is None else 3)
    report = kk.fold_report(comp, folds, groups)
    assert report.loc[report["verdict"] != "good", "check"].tolist() == [LOOKED_FOR]
    if groups:
        assert folds.groupby(groups).nunique().eq(1).all()
    if task == "single_label":
        held = pd.Series(SKEWED)[folds.to_numpy() == 0].value_counts()
        assert (held - share * pd.Series(SKEWED).value_counts()).abs().max() <= (1 if groups is None else 3)


@pytest.mark.parametrize("share", [0, 1, -0.2, 20])
def test_impossible_holdout_is_refused(share):
    with pytest.raises(ValueError, match="share above 0 and below 1"):
        kk.assign_holdout(make_rows(SKEWED), share)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda comp: kk.assign_folds(comp, 2.0), "n_splits to be a whole number of 2 or more, got 2.0"),
        (lambda comp: kk.assign_folds(comp, "5"), "n_splits to be a whole number of 2 or more, got '5'"),
        (lambda comp: kk.assign_folds(comp, seed=None), "seed to be a whole number of 0 or more, got None"),
        (lambda comp: kk.assign_folds(comp, balance_group_sizes=2), "balance_group_sizes to be True or False, got 2"),
        (lambda comp: kk.assign_holdout(comp, "0.2"), "share above 0 and below 1, got '0.2'"),
        (lambda comp: kk.assign_holdout(comp, None), "share above 0 and below 1, got None"),
        (lambda comp: kk.assign_holdout(comp, seed=1.5), "seed to be a whole number of 0 or more, got 1.5"),
        (lambda comp: kk.merge_folds(kk.assign_folds(comp, 4), 2.0), "n_splits to be a whole number of 2 or more"),
        (lambda comp: kk.merge_folds(kk.assign_folds(comp, 4), None), "n_splits to be a whole number of 2 or more"),
        (lambda comp: kk.merge_folds([0, 1, 2, 3], 2), "folds as a Series indexed by image_id, got list"),
        (lambda comp: kk.merge_folds(pd.Series([0, 1, None, 2]), 2), "folds numbered 0, 1, 2 and on, got"),
        (lambda comp: kk.merge_folds(pd.Series(["a", "b"]), 2), r"folds numbered 0, 1, 2 and on, got \['a', 'b'\]"),
    ],
)
def test_arguments_of_another_type_are_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call(make_rows(SKEWED))


def test_a_holdout_of_no_image_is_refused():
    with pytest.raises(ValueError, match=r"3 rows are too few for shares of \[0.01, 0.99\]"):
        kk.assign_holdout(make_rows(["a", "a", "b"]), 0.01)


def test_fifteen_folds_merge_to_five_and_three():
    comp = make_rows(SKEWED * 3)
    with pytest.warns(UserWarning, match="'c: 5'"):
        folds = kk.assign_folds(comp, 15, groups=GROUPS * 3)
    fine = kk.assign_folds(comp, 15)
    for n_splits in (3, 5):
        merged = kk.merge_folds(folds, n_splits)
        assert set(merged) == set(range(n_splits))
        assert merged.groupby(GROUPS * 3).nunique().eq(1).all()
        assert merged.groupby(folds).nunique().eq(1).all()
        # Each of the joined folds is within one row of the others
        counts = pd.crosstab(np.array(SKEWED * 3), kk.merge_folds(fine, n_splits).to_numpy())
        assert (counts.max(axis=1) - counts.min(axis=1) <= 15 // n_splits).all()
    assert kk.merge_folds(folds, 15).equals(folds)


@pytest.mark.parametrize(
    ("folds", "n_splits", "message"),
    [
        (np.arange(15), 4, r"15 folds cannot be joined to 4 .*choose one of \[3, 5, 15\]"),
        (np.arange(15), 1, "n_splits to be a whole number of 2 or more, got 1"),
        ([0, 2, 3], 3, r"numbered 0, 1, 2 and on, got \[0, 2, 3\]"),
    ],
)
def test_folds_that_do_not_merge_are_refused(folds, n_splits, message):
    with pytest.raises(ValueError, match=message):
        kk.merge_folds(pd.Series(folds), n_splits)


def test_report_looks_for_near_duplicates_in_what_it_is_given():
    comp, folds = make_rows(["a", "b"] * 10), [0, 1] * 10
    line = kk.fold_report(comp, folds).set_index("check").loc[LOOKED_FOR].tolist()
    assert line == ["not looked for", "unknown; pass duplicates=kk.duplicate_groups(comp)"]
    duplicates = [["00000", "00002"], ["00003", "00004", "test1"]]
    named = pd.Series([f"g{number}" for number in range(20)], index=comp.train["image_id"].tolist())
    named.attrs["duplicates"] = duplicates
    for given in ({"duplicates": duplicates}, {"groups": named}, {"duplicates": named}):
        value, verdict = kk.fold_report(comp, folds, **given).set_index("check").loc[LOOKED_FOR]
        assert value == "1 of 2"
        assert verdict.startswith("leak: '00003, 00004'; pass groups=")


def test_report_sees_small_and_large_groups_apart():
    # 40 groups of 1 and 8 groups of 5 of one class each: fold 0 gets all the large ones.
    labels = ["a", "b"] * 20 + ["a"] * 20 + ["b"] * 20
    groups = [f"s{number}" for number in range(40)] + [f"l{number // 5}" for number in range(40)]
    report = kk.fold_report(make_rows(labels), [1] * 40 + [0] * 40, groups).set_index("check")
    value, verdict = report.loc["images per group"]
    assert value == "mean 1.0 to 5.0"
    assert verdict == "fold 0 has 8 groups of 5 to 5 images where 1.3 were fair; use balance_group_sizes=True"


def test_triple_stratification_balances_group_sizes_as_well():
    # 30 patients each of 1, 2, 4 and 8 images and of one favourite class each: 5 folds can have 6 of every size.
    rng = np.random.default_rng(0)
    sizes = np.repeat([1, 2, 4, 8], 30)
    groups, favourite = np.repeat(np.arange(120), sizes), rng.integers(0, 8, 120)
    labels = np.where(rng.random(450) < 0.8, favourite[groups], rng.integers(0, 8, 450)).astype(str)
    comp, farthest = make_rows(labels), {False: [], True: []}
    for triple, found in farthest.items():
        for seed in range(3):
            folds = kk.assign_folds(comp, groups=groups, balance_group_sizes=triple, seed=seed)
            of_size = pd.crosstab(sizes, folds.groupby(groups).first().to_numpy())
            found.append((of_size - 6).abs().to_numpy().max())
            counts = pd.crosstab(labels, folds.to_numpy())
            assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1
    assert farthest[True] == [0, 0, 0]
    assert min(farthest[False]) > 0


@pytest.mark.parametrize("task", LABELS)
def test_report_sees_sorted_rows_in_every_task(task):
    labels = sorted(LABELS[task], key=lambda label: label if task != "distribution" else np.dot(label, range(4)))
    comp = make_rows(labels, task=task)
    report = kk.fold_report(comp, np.arange(92) // 31).set_index("check")
    distance = [name for name in report.index if name.startswith("largest distance")]
    assert report.loc[distance, "verdict"].tolist() == ["not stratified"]


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
