"""A report that shows whether folds are fair and leak nothing."""

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from kagglekit._checks import first_few
from kagglekit.competition.tables import as_series, row_folds
from kagglekit.folds.splitters import bin_numbers, label_columns, units_of


def fold_report(comp, folds, groups=None, *, duplicates=None):
    """Check that the folds are fair and leak nothing, a verdict per line.

    Args:
        comp: a `Competition`.
        folds: what `assign_folds` or `assign_holdout` returned, or your own folds (a Series indexed by image_id,
            a dict, or a list in row order).
        groups: the groups that must not cross folds, as in `assign_folds`.
        duplicates: what `kk.duplicate_groups` returned, or a list of lists of ids that look alike. Defaults to
            `groups`, where that is what `kk.duplicate_groups` returned.

    Returns:
        DataFrame with the columns `check`, `value` and `verdict`: `"good"`, what is wrong, or what could not be
        avoided (a class rarer than the folds) or was not looked for.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> groups = kk.duplicate_groups(comp)
    >>> kk.fold_report(comp, kk.assign_folds(comp, groups=groups), groups)["verdict"].unique().tolist()
    ['good']
    """
    shares = getattr(folds, "attrs", {}).get("shares")
    fold = row_folds(comp, folds)
    if duplicates is None and "duplicates" in getattr(groups, "attrs", {}):
        duplicates = groups
    numbers, position = np.unique(fold.to_numpy(), return_inverse=True)
    units, unit_names = joined_groups(comp, groups)
    per_unit = np.bincount(units)
    crossing = np.bincount(np.unique(np.stack([units, position]), axis=1)[0]) > 1
    lines = [
        _sizes(position, shares, per_unit.max()),
        *_shares(comp, units, position, numbers, shares),
        ("groups", f"{len(per_unit)} (largest {per_unit.max()})", "good"),
        (
            "groups in several folds",
            str(int(crossing.sum())),
            _verdict(not crossing.any(), f"leak: {first_few(unit_names[crossing])}"),
        ),
        _group_sizes(units, position, numbers),
        _near_duplicates(fold, duplicates),
    ]
    return pd.DataFrame(lines, columns=["check", "value", "verdict"])


def strata(comp, n_splits):
    """Return what the folds distribute evenly, as `label_columns` gives it, rows in the order of `comp.train`."""
    y, names = comp.task.strata(comp.train["label"], comp.class_names)
    columns, column_names = label_columns(y, n_splits)
    return columns, names or column_names


def joined_groups(comp, groups):
    """Join images that share a group (of `groups` or the competition's column) or an `id`.

    Returns:
        int64 array `(rows,)`: the number of each image's group, in the order of `comp.train`; and an object array
        `(groups,)` of names for messages, which need not be unique.
    """
    ids = comp.train["image_id"].tolist()
    causes = [comp.train["id"].to_numpy()]
    if "group" in comp.train:
        causes.append(comp.train["group"].to_numpy())
    if groups is not None:
        causes.append(as_series(groups, ids, "groups").astype(str).to_numpy())
    names, nodes, links = np.array(ids, object), len(ids), []
    for cause in causes:
        grouped = np.flatnonzero(cause != "")  # empty text: an unknown group, joined to nothing
        names[grouped] = cause[grouped]
        codes = pd.factorize(cause[grouped])[0]
        links.append((grouped, nodes + codes))
        nodes += codes.max(initial=-1) + 1
    images, shared = (np.concatenate(arrays) for arrays in zip(*links, strict=True))
    graph = sparse.coo_array((np.ones(len(images)), (images, shared)), shape=(nodes, nodes))
    units = pd.factorize(connected_components(graph, directed=False)[1][: len(ids)])[0]
    first = np.unique(units, return_index=True)[1]
    return units, names[first]


def _verdict(fine, otherwise):
    return "good" if fine else otherwise


def _sizes(position, shares, largest):
    counts = np.bincount(position)
    fair = np.full(len(counts), len(position) / len(counts))
    if shares is not None and len(shares) == len(counts):
        fair = np.array(shares) * len(position)
    # Whole groups cannot always be distributed better than to the size of the largest
    fine = np.abs(counts - fair).max() <= max(largest, 0.01 * fair.min())
    return "images in a fold", f"{counts.min()} to {counts.max()}", _verdict(fine, "uneven")


def _shares(comp, units, position, numbers, shares):
    """Return the lines on the folds' shares of each class, label or bin."""
    columns, names = strata(comp, len(numbers))
    what = comp.task.shared_out
    names = names or [f"bin {number}" for number in range(columns.shape[1])]
    sizes = np.bincount(position)
    held = np.stack([np.asarray(columns[position == fold].sum(axis=0)).ravel() for fold in range(len(numbers))])
    # The fair share of a fold, against the number of images that the fold has
    fair = np.outer(sizes / sizes.sum(), held.sum(axis=0))
    distance = np.abs(held - fair)
    # Labels that occur together cannot all be exact, nor can whole groups; a twentieth is below what chance does to
    # a score.
    allowed = np.maximum(max(np.bincount(units).max(), 2 if what == "label" else 1), 0.05 * fair)
    lines = [
        (
            f"largest distance from a {what}'s fair share",
            f"{distance.max():.1f} images",
            _verdict((distance <= allowed + 1e-9).all(), "not stratified"),
        )
    ]
    possible = np.minimum(units_of(columns, units), len(numbers))
    lacking = (held == 0) & (possible > 0)
    avoidable = lacking & ((held > 0).sum(axis=0) < possible) & ((fair >= 1) | (shares is None))
    reported = avoidable if avoidable.any() else lacking
    examples = first_few(f"{names[column]} in fold {numbers[fold]}" for column, fold in np.argwhere(reported.T))
    verdict = examples if avoidable.any() else f"unavoidable, too rare: {examples}"
    plural = {"class": "classes"}.get(what, f"{what}s")
    return [*lines, (f"{plural} that a fold lacks", str(int(lacking.sum())), _verdict(not lacking.any(), verdict))]


def _group_sizes(units, position, numbers):
    """Return the line on whether all folds have small and large groups alike."""
    check, per_unit = "images per group", np.bincount(units)
    if per_unit.max() == 1:
        return check, "1", "good"
    fold = position[np.unique(units, return_index=True)[1]]
    size = bin_numbers(per_unit, len(numbers))
    held = np.zeros((len(numbers), size.max() + 1))
    np.add.at(held, (fold, size), 1)
    fair = np.outer(held.sum(axis=1) / held.sum(), held.sum(axis=0))
    off = np.abs(held - fair) - np.maximum(1, 3 * np.sqrt(fair))  # beyond what chance does
    worst, bin_number = np.unravel_index(off.argmax(), off.shape)
    sizes = per_unit[size == bin_number]
    means = [per_unit[fold == number].mean() for number in np.unique(fold)]
    return (
        check,
        f"mean {min(means):.1f} to {max(means):.1f}",
        _verdict(
            off.max() <= 0,
            f"fold {numbers[worst]} has {held[worst, bin_number]:.0f} groups of {sizes.min()} to {sizes.max()} images "
            f"where {fair[worst, bin_number]:.1f} were fair; use balance_group_sizes=True",
        ),
    )


def _near_duplicates(fold, duplicates):
    """Return the line on near-duplicates that are in several folds."""
    check = "near-duplicates in several folds"
    if duplicates is None:
        return check, "not looked for", "unknown; pass duplicates=kk.duplicate_groups(comp)"
    if isinstance(duplicates, pd.Series):
        duplicates = duplicates.attrs.get("duplicates", duplicates.groupby(duplicates).groups.values())
    fold_of = fold.to_dict()
    clusters = [[identifier for identifier in ids if identifier in fold_of] for ids in duplicates]
    crossing = [ids for ids in clusters if len({fold_of[identifier] for identifier in ids}) > 1]
    return (
        check,
        f"{len(crossing)} of {len(clusters)}",
        _verdict(
            not crossing,
            f"leak: {first_few(', '.join(map(str, ids[:3])) for ids in crossing)}; "
            "pass groups=kk.duplicate_groups(comp) to assign_folds",
        ),
    )
