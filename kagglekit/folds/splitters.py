"""Cross-validation splits of labels, label sets, numbers and distributions, for scikit-learn and `assign_folds`."""

import warnings

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.model_selection import BaseCrossValidator

from kagglekit._checks import check_whole, first_few
from kagglekit.folds.search import spread


class StratifiedFolds(BaseCrossValidator):
    """Folds with equal shares of every class, label or range of values, and of whole groups where there are any.

    One splitter for what otherwise takes `StratifiedKFold`, `StratifiedGroupKFold` and a multi-label package; give it
    to `cross_val_score(cv=...)`. For a competition, `kk.assign_folds` does the same by image_id.

    Designed to hold: every row is in exactly one test part of a repeat; a group is never split; without groups the
    test parts' counts of each class differ by at most one; a class of fewer rows (groups) than folds is in as many
    folds as it has rows (groups) unless groups forbid; names of classes and groups decide nothing; the same seed gives
    the same folds. Class shares come first, equal sizes of the folds second.

    Args:
        n_splits: number of folds, 2 or more.
        n_repeats: how often the rows are split again.
        balance_group_sizes: also give every fold its share of small and large groups: triple stratification. The
            sizes of groups are binned as numbers are.
        bins: how many quantile bins numbers are cut into; fewer where a bin would hold fewer rows than there are
            folds. Up to `bins` distinct values are taken as they are.
        seed: integer.

    Example:

    >>> import numpy as np
    >>> labels = np.array(["cat"] * 6 + ["dog"] * 3)
    >>> for train, test in StratifiedFolds(n_splits=3).split(labels, labels):
    ...     print(labels[test])
    ['cat' 'cat' 'dog']
    ['cat' 'cat' 'dog']
    ['cat' 'cat' 'dog']

    Reference:
        Iterative stratification: K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the Stratification of Multi-Label Data",
        ECML PKDD 2011. Triple stratification: C. Deotte, SIIM-ISIC Melanoma Classification, Kaggle 2020.
    """

    # `groups` is requested by default where scikit-learn's metadata routing is enabled
    __metadata_request__split = {"groups": True}  # noqa: RUF012

    def __init__(self, n_splits=5, *, n_repeats=1, balance_group_sizes=False, bins=10, seed=0):
        self.n_splits = n_splits
        self.n_repeats = n_repeats
        self.balance_group_sizes = balance_group_sizes
        self.bins = bins
        self.seed = seed

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits, `n_splits * n_repeats`; the arguments are scikit-learn's and not used."""
        self._check()
        return self.n_splits * self.n_repeats

    def split(self, X, y, groups=None):
        """Yield the row numbers to train on and to test on, fold by fold, repeat by repeat.

        Args:
            X: anything with as many rows as `y`; not used.
            y: what is stratified: `(rows,)` classes (text or integers), `(rows,)` floats (by quantile bins), either
                also as one column, `(rows, 1)`; `(rows, labels)` of 0 and 1 (each label), `(rows, classes)` floats that
                sum to 1 (a distribution, by its expected class number), or `(rows, outputs)` of any other numbers (each
                output).
            groups: `(rows,)` group names; rows of equal name stay together. Defaults to each row on its own.

        Yields:
            Two int64 arrays: train and test row numbers, ascending.

        Raises:
            ValueError: if there are more folds than rows or groups, `y` holds NaN, lengths differ, or an argument of
                the constructor has the wrong type.

        Warns:
            UserWarning: naming the classes that have fewer rows (groups) than there are folds.
        """
        self._check()
        y = _flat(y)
        columns, names = label_columns(y, self.n_splits, bins=self.bins)
        rows = len(y)
        if X is not None and (X.shape[0] if hasattr(X, "shape") else len(X)) != rows:
            raise ValueError(f"expected as many rows in X as in y, {rows}, got {np.shape(X)[0]}")
        shares = np.full(self.n_splits, 1 / self.n_splits)
        units = unit_numbers(groups, rows)
        if len(np.unique(units)) >= self.n_splits:  # else an error follows
            warn_of_rare(columns, names, units, self.n_splits)
        for repeat in range(self.n_repeats):
            seed = [self.seed, repeat]
            folds = fold_numbers(
                columns, units, shares, balance_group_sizes=self.balance_group_sizes, bins=self.bins, seed=seed
            )
            for fold in range(self.n_splits):
                yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)

    def _check(self):
        check_settings(n_splits=self.n_splits, seed=self.seed, balance_group_sizes=self.balance_group_sizes)
        check_whole("n_repeats", self.n_repeats, 1)
        check_whole("bins", self.bins, 1)


def check_settings(*, n_splits=2, seed=0, balance_group_sizes=False):
    """Raise `ValueError` for settings of a splitter that have the wrong type or are too small."""
    check_whole("n_splits", n_splits, 2)
    check_whole("seed", seed, 0)
    if not isinstance(balance_group_sizes, bool | np.bool_):
        raise ValueError(f"expected balance_group_sizes to be True or False, got {balance_group_sizes!r}")


def label_columns(y, n_splits, *, bins=10):
    """Return as indicators what the folds distribute evenly.

    Args:
        y: as in `StratifiedFolds.split`.
        n_splits: number of folds, which bounds the number of bins.
        bins: the most bins for numbers.

    Returns:
        Sparse array `(rows, columns)` of 0 and 1, and a list of the columns' names (text), where a name stands for
        something that can be too rare; else None.

    Raises:
        ValueError: if `y` has NaN, infinity or None, or more than two dimensions.
    """
    y = np.asarray(y)
    if y.ndim not in (1, 2):
        raise ValueError(f"expected y of shape (rows,) or (rows, columns), got {y.shape}")
    if pd.isna(y).any() or (y.dtype.kind == "f" and not np.isfinite(y).all()):
        raise ValueError("y has missing or infinite values; fill them in or remove the rows")
    if y.ndim == 1 and y.dtype.kind != "f":
        codes, names = pd.factorize(y)
        return _one_hot(codes), [str(name) for name in names]
    if y.ndim == 1:
        return _one_hot(bin_numbers(y, n_splits, bins)), None
    if np.isin(y, (0, 1)).all():
        # Rows without labels are distributed like those of a label
        columns = sparse.csr_array(np.column_stack([y, ~y.any(axis=1)]).astype(float))
        return columns, [*map(str, range(y.shape[1])), "no label"]
    y = y.astype(float)
    if (y >= 0).all() and np.allclose(y.sum(axis=1), 1, atol=1e-3):
        return _one_hot(bin_numbers(y @ np.arange(y.shape[1]), n_splits, bins)), None
    return sparse.hstack([_one_hot(bin_numbers(column, n_splits, bins)) for column in y.T], format="csr"), None


def bin_numbers(values, n_splits, bins=10):
    """Return the quantile bin of each number; up to `bins` distinct numbers are bins of their own."""
    distinct, codes = np.unique(values, return_inverse=True)
    if len(distinct) <= bins:
        return codes
    count = max(1, min(bins, len(values) // n_splits))
    edges = np.unique(np.quantile(values, np.arange(1, count) / count))
    return np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]


def unit_numbers(groups, rows):
    """Return the number of what stays together for each row, in the order in which groups appear.

    Raises:
        ValueError: if there are more or fewer groups than rows, or a missing one.
    """
    if groups is None:
        return np.arange(rows)
    units = pd.factorize(_flat(groups))[0]
    if len(units) != rows:
        raise ValueError(f"expected groups for {rows} rows, got {len(units)}")
    if (units < 0).any():
        raise ValueError("groups have missing values; give every row of an unknown group a name of its own")
    return units


def fold_numbers(columns, units, shares, *, balance_group_sizes=False, bins=10, seed=0):
    """Return the fold of each row: `kagglekit.folds.search.spread` for rows that may belong together.

    Args:
        columns: sparse array `(rows, columns)` from `label_columns`.
        units: int array `(rows,)` from `unit_numbers`.
        shares: array `(folds,)` that sums to 1.
        balance_group_sizes, bins: as in `StratifiedFolds`.
        seed: integer or sequence of integers.

    Returns:
        int64 array `(rows,)`.

    Raises:
        ValueError: if there are fewer rows or groups than folds, or a share of them is less than one.
    """
    rows, folds = len(units), len(shares)
    sizes = np.bincount(units)
    what = "rows" if len(sizes) == rows else "groups"
    if len(sizes) < folds:
        raise ValueError(f"expected at least {folds} {what} for {folds} folds, got {len(sizes)}; use fewer folds")
    together = _one_hot(units).T
    blocks = [together @ columns, sparse.csr_array(sizes[:, None])]
    if balance_group_sizes:
        blocks.insert(1, _one_hot(bin_numbers(sizes, folds, bins)))
    numbers = spread(sparse.hstack(blocks, format="csr"), shares, seed=seed)
    if len(np.unique(numbers)) < folds:
        raise ValueError(f"{len(sizes)} {what} are too few for shares of {np.round(shares, 3).tolist()}; use others")
    return numbers[units]


def units_of(columns, units):
    """Return the number of units (groups, or rows) that hold each column, int64 `(columns,)`."""
    return np.asarray((_one_hot(units).T @ columns > 0).sum(axis=0)).ravel().astype(np.int64)


def warn_of_rare(columns, names, units, n_splits, *, stacklevel=3):
    """Warn of the classes that cannot be in every fold; `names` of None warns of nothing."""
    if names is None:
        return
    alone = len(np.unique(units)) == len(units)
    counts = units_of(columns, units)
    rare = [number for number in np.argsort(counts, kind="stable") if 0 < counts[number] < n_splits]
    rare = [number for number in rare if names[number] != "no label"]
    if rare:
        shown = first_few(f"{names[number]}: {counts[number]}" for number in rare)
        warnings.warn(
            f"fewer {'images' if alone else 'groups'} of a class than {n_splits} folds ({shown}): it is in as many "
            "folds as possible and others lack it; use fewer folds, or merge or remove the class",
            UserWarning,
            stacklevel=stacklevel,
        )


def _one_hot(codes):
    rows = np.arange(len(codes))
    return sparse.csr_array((np.ones(len(codes)), (rows, codes)), shape=(len(codes), codes.max(initial=-1) + 1))


def _flat(values):
    """Return an array; one column, `(rows, 1)`, as `(rows,)`, as scikit-learn's `column_or_1d` does."""
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
