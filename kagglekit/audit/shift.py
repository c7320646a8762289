"""Train against test: can a model tell where an image comes from?"""

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from kagglekit._checks import first_few
from kagglekit.audit.repair import as_numbers, missing_cells

TELLING = 0.6  # a column alone that separates train from test better than this gives it away
_MOST_ROWS = 20_000
_MOST_COLUMNS = 40


def adversarial_validation(comp, report=None, *, features=None, seed=0):
    """Ask a model to tell test images from training images, and say what gives them away.

    If it can, out-of-fold scores may not hold on the leaderboard. The model sees the statistics of the files and the
    metadata that train and test share, never at `group`, whose values differ by design; or at your own `features`, such
    as a network's. At most 20,000 images are drawn.

    Args:
        comp: a `Competition` with test rows.
        report: what `kk.check_images(comp)` returned. Defaults to metadata alone.
        features: array `(train rows + test rows, columns)` to judge instead, rows in the order of `comp.train` and then
            `comp.test`; of many columns the 40 that differ most are listed.
        seed: integer.

    Returns:
        DataFrame, the most telling column first: `column`; `importance`, by how much the model's AUC falls when the
        column is shuffled; `auc`, what a small tree reaches with the column alone (0.5 is chance).
        `attrs["auc"]` is the mean over 5 folds of the model's exact area under the ROC curve, on held-out images, and
        `attrs["verdict"]` says in words what it means.

    Raises:
        ValueError: if train or test has fewer than 2 rows, there is nothing to compare, or rows do not match.

    Reference:
        J. Pan, V. Pham, M. Dorairaj, H. Chen, J.-Y. Lee, "Adversarial Validation Approach to Concept Drift Problem in
        User Targeting Automation Systems at Uber", 2020, arXiv:2004.03045; importance: L. Breiman, "Random Forests",
        Machine Learning 45, 2001.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> shift = kk.adversarial_validation(comp, kk.check_images(comp))
    >>> shift.attrs["auc"] < 0.6
    True
    """
    for part, rows in (("training", comp.train), ("test", comp.test)):
        if len(rows) < 2:
            raise ValueError(f"expected train and test images to compare, got {len(rows)} {part} rows")
    is_test = np.repeat([0, 1], [len(comp.train), len(comp.test)])
    table = _numeric_table(comp, report) if features is None else _feature_table(features, len(is_test))
    rng = np.random.default_rng(seed)
    if len(table) > _MOST_ROWS:
        drawn = np.sort(rng.permutation(len(table))[:_MOST_ROWS])
        table, is_test = table.iloc[drawn], is_test[drawn]
    table = table.loc[:, table.nunique(dropna=False) > 1]
    columns = _candidates(table, is_test)
    auc, importance, column_auc = 0.5, pd.Series(dtype=float), {}
    if len(columns):
        splits = list(
            StratifiedKFold(min(5, *np.bincount(is_test)), shuffle=True, random_state=seed).split(is_test, is_test)
        )
        # On few values more threads only wait for each other, the more so where others share the cores.
        with threadpool_limits(1 if table.size < 1_000_000 else None, user_api="openmp"):
            auc, importance = _model_auc(table, is_test, splits, columns, rng)
        column_auc = {column: _column_auc(table[[column]].to_numpy(), is_test, splits) for column in columns}
    result = pd.DataFrame(
        {
            "column": list(columns),
            "importance": [float(importance[column]) for column in columns],
            "auc": [column_auc[column] for column in columns],
        }
    )
    result = result.sort_values(["auc", "importance"], ascending=False, kind="stable").reset_index(drop=True)
    result.attrs = {"auc": auc, "verdict": _verdict(auc, result, np.bincount(is_test, minlength=2))}
    return result


def _numeric_table(comp, report):
    """Return the table that is judged: numbers, NaN where missing; text is numbered in the order of its values."""
    shared = [column for column in comp.metadata_columns if column in comp.test]
    table = pd.concat([comp.train[shared], comp.test[shared]], ignore_index=True)
    if report is not None:
        files = _file_statistics(comp, report)
        table = pd.concat([files, table.rename(columns={name: f"metadata {name}" for name in files})], axis=1)
    if table.columns.empty:
        raise ValueError("train and test share no metadata; pass report=kk.check_images(comp) or features=")
    return pd.DataFrame({column: _codes(table[column]) for column in table})


def _file_statistics(comp, report):
    rows = [("train", image_id) for image_id in comp.train["image_id"]]
    rows += [("test", image_id) for image_id in comp.test["image_id"]]
    statistics = report.set_index(["part", "image_id"])
    lacking = [image_id for part, image_id in rows if (part, image_id) not in statistics.index]
    if lacking:
        raise ValueError(f"the report lacks images: {first_few(lacking)}; run kk.check_images(comp) again")
    statistics = statistics.loc[rows]
    width, height = (statistics[side].where(statistics[side] > 0).astype(float) for side in ("width", "height"))
    table = {"width": width, "height": height, "aspect": width / height, "bytes": statistics["bytes"]}
    table |= {"bytes per pixel": statistics["bytes"] / (width * height), "mode": statistics["mode"]}
    measured = [column for column in statistics if column == "channels" or column.startswith(("mean_", "std_"))]
    return pd.DataFrame(table | {column: statistics[column] for column in measured}).reset_index(drop=True)


def _codes(column):
    numbers = as_numbers(column)
    if numbers is not None:
        return numbers.to_numpy()
    # Numbered by value, not by first appearance: that would put what only test has at the end.
    codes = pd.factorize(column.astype(str), sort=True)[0].astype(float)
    return np.where(missing_cells(column), np.nan, codes)


def _feature_table(features, rows):
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) != rows:
        raise ValueError(f"expected features of shape ({rows} train and test rows, columns), got {features.shape}")
    return pd.DataFrame(features, columns=[f"feature {number}" for number in range(features.shape[1])])


def _candidates(table, is_test):
    """Return the columns whose ranks differ most between train and test (Mann-Whitney's AUC), at most 40."""
    if len(table.columns) <= _MOST_COLUMNS:
        return table.columns
    ranks = rankdata(table.to_numpy(), axis=0, nan_policy="omit")
    difference = np.abs(np.nanmean(ranks[is_test == 1], axis=0) - np.nanmean(ranks[is_test == 0], axis=0))
    return table.columns[np.sort(np.argsort(-difference, kind="stable")[:_MOST_COLUMNS])]


def _model_auc(table, is_test, splits, columns, rng):
    """Return the mean AUC of the folds, and the mean fall of it when a column is shuffled."""
    values = table.to_numpy(np.float64)
    leaf = int(np.clip(len(values) // 50, 2, 20))
    scores, falls = [], []
    for train, held_out in splits:
        model = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=15, min_samples_leaf=leaf, early_stopping=False, random_state=0
        )
        model.fit(values[train], is_test[train])

        def score(rows, model=model, truth=is_test[held_out]):
            return roc_auc_score(truth, model.predict_proba(rows)[:, 1])

        auc = score(values[held_out])
        fold_falls = []
        for position in table.columns.get_indexer(columns):
            shuffled = values[held_out]
            shuffled[:, position] = rng.permutation(shuffled[:, position])
            fold_falls.append(auc - score(shuffled))
        scores.append(auc)
        falls.append(fold_falls)
    return float(np.mean(scores)), pd.Series(np.mean(falls, axis=0), index=columns)


def _column_auc(values, is_test, splits):
    scores = []
    for train, held_out in splits:
        tree = DecisionTreeClassifier(max_leaf_nodes=12, min_samples_leaf=max(2, len(values) // 25), random_state=0)
        tree.fit(values[train], is_test[train])
        scores.append(roc_auc_score(is_test[held_out], tree.predict_proba(values[held_out])[:, 1]))
    return float(np.mean(scores))


def _verdict(auc, result, counts):
    if result.empty:
        return "nothing to tell train and test apart by: every column is constant (AUC 0.50, chance)"
    # Standard error of the AUC of two samples that do not differ: Hanley and McNeil, Radiology 143, 1982
    noise = np.sqrt((counts.sum() + 1) / (12 * counts.prod()))
    if auc <= max(TELLING, 0.5 + 2 * noise):
        words = "train and test look alike: out-of-fold scores should hold on the test images"
        return f"{words} (AUC {auc:.2f}; 0.5 is chance)"
    telling = result.loc[result["auc"] > TELLING, "column"]
    how = "clearly" if auc > 0.8 else "somewhat"
    by = f"given away by {first_few(telling)}" if len(telling) else "by several columns together, none of them alone"
    return (
        f"train and test differ {how} (AUC {auc:.2f}; 0.5 is chance), {by}: trust out-of-fold scores less, look for "
        "the cause, and validate on the training images that are most like the test images"
    )
