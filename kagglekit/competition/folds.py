"""Folds that leak nothing, and the proof."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from kagglekit._checks import first_few
from kagglekit._files import written_whole
from kagglekit.competition.tables import as_series, read_text_csv


def assign_folds(comp, n_splits=5, *, groups=None, seed=0):
    """Give every training image one of `n_splits` folds, each with nearly the same share of every class.

    Designed to hold: every image is in exactly one fold; a group is never split; without groups the folds' counts of
    each class differ by at most one; the order of the rows does not matter; the same seed gives the same folds.

    Args:
        comp: a `Competition`.
        n_splits: number of folds, 2 or more.
        groups: groups that must stay whole (duplicates, patients): a Series indexed by image_id, a dict, or a list in
            row order. Images of the competition's own `group` column stay together as well. Defaults to that alone.
        seed: integer.

    Returns:
        Series of integers 0 to `n_splits - 1` named `fold`, indexed by image_id in the order of `comp.train`.

    Raises:
        ValueError: if a class has fewer images than there are folds, or there are fewer groups than folds.

    Example:

    >>> import kagglekit as kk
    >>> folds = kk.assign_folds(kk.load_competition("digits"), n_splits=5)
    >>> folds.value_counts().sort_index().tolist()
    [288, 288, 287, 287, 287]
    """
    if n_splits < 2:
        raise ValueError(f"expected n_splits of 2 or more, got {n_splits}")
    ids = comp.train["image_id"]
    table = pd.DataFrame({"label": comp.train["label"].to_numpy()}, index=ids.tolist())
    table["group"] = _joined_groups(comp, groups)
    table = table.sort_index()  # so that the order of the rows cannot matter
    counts = table["label"].value_counts()
    if counts.min() < n_splits:
        rare = counts[counts < n_splits]
        raise ValueError(
            f"class {rare.index[-1]!r} has {rare.iloc[-1]} images, fewer than {n_splits} folds (such classes: "
            f"{first_few(rare.index)}); use n_splits={max(counts.min(), 2)}, or merge or remove the class"
        )
    codes = table["label"].factorize(sort=True)[0]
    if table["group"].is_unique:
        splits = StratifiedKFold(n_splits, shuffle=True, random_state=seed).split(codes, codes)
    else:
        numbers, names = table["group"].factorize()
        if len(names) < n_splits:
            raise ValueError(f"expected at least {n_splits} groups for {n_splits} folds, got {len(names)}")
        # Shuffled group numbers and shuffle=False: StratifiedGroupKFold's own shuffle does not stratify before
        # scikit-learn 1.8 (scikit-learn#32540), and ties are broken by the order of the numbers.
        numbers = np.random.default_rng(seed).permutation(len(names))[numbers]
        splits = StratifiedGroupKFold(n_splits).split(codes, codes, numbers)
    table["fold"] = -1
    for fold, (_, rows) in enumerate(splits):
        table.iloc[rows, table.columns.get_loc("fold")] = fold
    return table.loc[ids.tolist(), "fold"].rename("fold")


def fold_report(comp, folds, groups=None):
    """Show that the folds are fair and leak nothing, a verdict per line.

    Args:
        comp: a `Competition`.
        folds: what `assign_folds` returned, or a column of one's own (a Series indexed by image_id, or a list).
        groups: the groups that must not cross folds, as in `assign_folds`.

    Returns:
        DataFrame with the columns `check`, `value` and `verdict` (`"good"` or what is wrong).

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> kk.fold_report(comp, kk.assign_folds(comp))["verdict"].unique().tolist()
    ['good']
    """
    ids = comp.train["image_id"]
    fold = as_series(folds, ids, "folds")
    label = pd.Series(comp.train["label"].to_numpy(), index=fold.index)
    group = _joined_groups(comp, groups)
    sizes = fold.value_counts().sort_index()
    table = pd.crosstab(label, fold)
    # A class's fair share of a fold, against what the fold has; grouped folds cannot always be exact.
    expected = np.outer(table.sum(axis=1), sizes / len(fold))
    uneven = float(np.abs(table.to_numpy() - expected).max())
    largest_group = int(group.value_counts().iloc[0])
    crossing = fold.groupby(group).nunique() > 1
    lacking = [f"{name} in fold {number}" for name, row in table.iterrows() for number in row.index[row == 0]]
    lines = [
        (
            "images in a fold",
            f"{sizes.min()} to {sizes.max()}",
            _verdict(np.ptp(sizes) <= max(2 * largest_group, 1), "uneven"),
        ),
        (
            "largest distance from a class's fair share",
            f"{uneven:.1f} images",
            _verdict(uneven <= max(1, largest_group), "not stratified"),
        ),
        ("classes that a fold lacks", str(len(lacking)), _verdict(not lacking, first_few(lacking))),
        ("groups", f"{group.nunique()} (largest {largest_group})", "good"),
        (
            "groups in several folds",
            str(int(crossing.sum())),
            _verdict(not crossing.any(), f"leak: {first_few(crossing.index[crossing])}"),
        ),
    ]
    return pd.DataFrame(lines, columns=["check", "value", "verdict"])


def save_folds(comp, folds):
    """Write the folds to `folds.csv` in the competition's workspace, for the later notebooks; return its path."""
    folds = as_series(folds, comp.train["image_id"], "folds").astype(int)
    path = comp.workspace / "folds.csv"
    with written_whole(path) as temporary:
        folds.rename_axis("image_id").rename("fold").to_csv(temporary)
    return path


def load_folds(comp):
    """Read the folds that `save_folds` wrote.

    Raises:
        FileNotFoundError: if there are none yet.
        ValueError: if they are not those of the competition's images.
    """
    path = comp.workspace / "folds.csv"
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}; run the notebook 01_eda first, or call kk.save_folds(comp, kk.assign_folds(comp))"
        )
    table = read_text_csv(path).set_index("image_id")["fold"].astype(int)
    return as_series(table, comp.train["image_id"], f"folds in {path}")


def _verdict(fine, otherwise):
    return "good" if fine else otherwise


def _joined_groups(comp, groups):
    """Join `groups` and the competition's own: images that share either are together (connected components)."""
    ids = comp.train["image_id"].tolist()
    given = as_series(groups, ids, "groups").astype(str).tolist() if groups is not None else None
    own = comp.train["group"].tolist() if "group" in comp.train else None
    if given is None or own is None:
        return pd.Series(given or own or ids, index=ids)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left, right = pd.factorize(np.array(given))[0], pd.factorize(np.array(own))[0]
    nodes = left.max() + right.max() + 2
    links = coo_array((np.ones(len(ids)), (left, right + left.max() + 1)), shape=(nodes, nodes))
    return pd.Series(connected_components(links, directed=False)[1][left].astype(str), index=ids)
