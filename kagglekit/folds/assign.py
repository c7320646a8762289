"""Folds that leak nothing, by image_id; `kk.fold_report` shows it."""

import numbers

import numpy as np
import pandas as pd

from kagglekit._files import written_whole
from kagglekit.competition.tables import as_series, read_text_csv
from kagglekit.folds.report import joined_groups, strata
from kagglekit.folds.splitters import check_settings, fold_numbers, unit_numbers, warn_of_rare


def assign_folds(comp, n_splits=5, *, groups=None, balance_group_sizes=False, seed=0):
    """Give every training image one of `n_splits` folds, each with nearly the same share of every class.

    For every task: classes, labels (iterative stratification), numbers (by quantile bins) and distributions (by their
    expected value).

    Designed to hold: every image is in exactly one fold; a group is never split, nor are the images of one `id`;
    without groups the folds' counts of each class differ by at most one; the order of the rows and the names of the
    classes and groups do not matter; the same seed gives the same folds. With groups, equal shares of the classes come
    first and equal numbers of images second. A class rarer than `n_splits` is in as many folds as possible.

    Args:
        comp: a `Competition`.
        n_splits: number of folds, 2 or more.
        groups: groups that must stay whole (duplicates, patients): a Series indexed by image_id such as
            `kk.duplicate_groups` returns, a dict, or a list in row order. Images of the competition's own `group`
            column stay together as well; empty text means unknown, a group of its own. Defaults to that column alone.
        balance_group_sizes: also give every fold its share of small and large groups: triple stratification, for
            competitions such as SIIM-ISIC melanoma, where some patients have many times the images of others.
        seed: integer.

    Returns:
        Series of integers 0 to `n_splits - 1` named `fold`, indexed by image_id in the order of `comp.train`.

    Raises:
        ValueError: if there are fewer images or groups than folds.

    Warns:
        UserWarning: naming the classes that have fewer images (groups) than there are folds.

    Example:

    >>> import kagglekit as kk
    >>> folds = kk.assign_folds(kk.load_competition("digits"), n_splits=5)
    >>> sorted(folds.value_counts())
    [287, 287, 287, 288, 288]

    Reference:
        See `kagglekit.StratifiedFolds`, the same for scikit-learn.
    """
    check_settings(n_splits=n_splits, seed=seed, balance_group_sizes=balance_group_sizes)
    shares = np.full(n_splits, 1 / n_splits)
    return _spread(comp, shares, groups, seed, balance_group_sizes=balance_group_sizes)


def assign_holdout(comp, share=0.2, *, groups=None, seed=0):
    """Hold out a share of the training images, with the same shares of every class: one fold instead of five.

    A network is then trained once: `kk.cross_validate(comp, folds, recipe, fold_numbers=[0])`.

    Args:
        comp: a `Competition`.
        share: part of the images to hold out, above 0 and below 1.
        groups: as in `assign_folds`.
        seed: integer.

    Returns:
        Series named `fold` indexed by image_id: 0 for what is held out, 1 for the rest. `attrs["shares"]` tells
        `fold_report` that the two are meant to differ in size.

    Raises:
        ValueError: if `share` is not between 0 and 1, or no image or group is left for one of the two.

    Example:

    >>> import kagglekit as kk
    >>> kk.assign_holdout(kk.load_competition("digits"), share=0.2).value_counts().sort_index().tolist()
    [288, 1149]
    """
    if not isinstance(share, numbers.Real) or not 0 < share < 1:
        raise ValueError(f"expected a share above 0 and below 1, got {share!r}; 0.2 holds out a fifth")
    check_settings(seed=seed)
    folds = _spread(comp, np.array([share, 1 - share]), groups, seed)
    folds.attrs["shares"] = [share, 1 - share]
    return folds


def merge_folds(folds, n_splits):
    """Join folds to fewer, so that 15 saved folds serve as 15, 5 or 3.

    Args:
        folds: Series indexed by image_id with folds 0, 1, ... as `assign_folds` gives them.
        n_splits: how many to make, 2 or more; must divide the number of folds.

    Returns:
        Series like `folds`. Fold `n` becomes `n` modulo `n_splits`: groups stay whole, and of folds from a splitter
        that gives the first ones a row more, the large ones are not joined to each other.

    Raises:
        ValueError: if `n_splits` does not divide the number of folds, or a fold number is missing.

    Example:

    >>> import pandas as pd
    >>> merge_folds(pd.Series([0, 1, 2, 3, 4, 5]), 3).tolist()
    [0, 1, 2, 0, 1, 2]
    """
    check_settings(n_splits=n_splits)
    if not isinstance(folds, pd.Series):
        raise ValueError(f"expected folds as a Series indexed by image_id, got {type(folds).__name__}")
    count = folds.nunique(dropna=False)
    if not folds.isin(range(count)).all():
        raise ValueError(f"expected folds numbered 0, 1, 2 and on, got {folds.unique().tolist()}; see kk.assign_folds")
    if count % n_splits:
        fitting = [number for number in range(2, count + 1) if count % number == 0]
        raise ValueError(f"{count} folds cannot be joined to {n_splits} of equal size; choose one of {fitting}")
    return folds % n_splits


def save_folds(comp, folds):
    """Write the folds to `folds.csv` in the competition's workspace, for the later notebooks; return its path."""
    folds = as_series(folds, comp.train["image_id"], "folds").astype(int)
    path = comp.folders.folds_file
    with written_whole(path) as temporary:
        labels = comp.train["label"].astype(str).to_numpy()
        folds.rename_axis("image_id").rename("fold").to_frame().assign(label=labels).to_csv(temporary)
    return path


def load_folds(comp):
    """Read the folds that `save_folds` wrote.

    Raises:
        FileNotFoundError: if there are none yet.
        ValueError: if they are not those of the competition's images.
    """
    path = comp.folders.folds_file
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}; run the notebook 01_eda first, or call kk.save_folds(comp, kk.assign_folds(comp))"
        )
    table = read_text_csv(path).set_index("image_id")
    # Copies follow their originals
    train = comp.train[comp.train["copy_of"] == ""] if "copy_of" in comp.train else comp.train
    folds = as_series(table["fold"].astype(int), train["image_id"], f"folds in {path}")
    if "label" in table and table["label"].loc[folds.index].tolist() != train["label"].astype(str).tolist():
        raise ValueError(
            f"{path} was made for other labels, perhaps of another folder of that name; call kk.save_folds"
        )
    return folds


def _spread(comp, shares, groups, seed, *, balance_group_sizes=False):
    ids = comp.train["image_id"].to_numpy()
    order = np.argsort(ids, kind="stable")  # so that the order of the rows cannot matter
    columns, names = strata(comp, len(shares))
    columns, units = columns[order], unit_numbers(joined_groups(comp, groups)[0][order], len(ids))
    folds = np.empty(len(ids), np.int64)
    folds[order] = fold_numbers(columns, units, shares, balance_group_sizes=balance_group_sizes, seed=seed)
    warn_of_rare(columns, names, units, len(shares), stacklevel=4)
    return pd.Series(folds, index=ids.tolist(), name="fold")
