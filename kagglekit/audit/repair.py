"""Repairs that are asked for by name and are written down: images taken out, cells filled in."""

import dataclasses
import warnings

import numpy as np
import pandas as pd

from kagglekit._checks import check_choice, first_few
from kagglekit._files import written_whole
from kagglekit.competition.columns import RESERVED
from kagglekit.competition.sources import name_of
from kagglekit.competition.tables import read_text_csv

WAYS = ("unknown", "mode", "median", "marker")
_COLUMNS = ["image_id", "source", "problem"]


def quarantine(comp, report=None, *, problems=()):
    """Take images that stop a run out of the competition, and write down which and why.

    Training images whose problem begins with "unreadable" are removed. A test image is removed only where its
    submission row has another image to be predicted from; else it stays, with a warning, because a submission needs
    every row. The raw files are not touched.

    Args:
        comp: a `Competition`.
        report: what `kk.check_images(comp)` returned. Defaults to what an earlier call wrote to `quarantine.csv` in the
            workspace, so that later notebooks take out the same images; without that file nothing is taken out.
        problems: further problems to take out, as text that they begin with, like `"very long"`; a text or a list.

    Returns:
        `Competition` without these images (`comp` itself if there are none). With a `report`, `quarantine.csv` in the
        workspace lists `image_id`, `source` and `problem` of what was taken out, whole or not at all.

    Raises:
        ValueError: if the report is not that of the competition, `problems` names none that occurs, or no two classes
            would remain.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> kk.quarantine(comp, kk.check_images(comp)) is comp
    True
    """
    path = comp.folders.quarantine_file
    if report is None:
        if problems:
            raise ValueError("problems= needs a report; pass report=kk.check_images(comp)")
        listed = read_text_csv(path) if path.is_file() else pd.DataFrame(columns=_COLUMNS, dtype=object)
    else:
        listed = _bad_rows(comp, report, [problems] if isinstance(problems, str) else list(problems))
    bad = set(zip(listed["image_id"], listed["source"], strict=True))
    train_bad, test_bad = (_is_listed(table, bad) for table in (comp.train, comp.test))
    if train_bad.all():
        raise ValueError("no training image would remain; look at kk.check_images(comp)")
    readable = set(comp.test.loc[~test_bad, "id"])
    needed = test_bad & ~comp.test["id"].isin(readable)
    if needed.any():
        warnings.warn(
            f"{int(needed.sum())} test images cannot be used and stay, because the submission needs their rows: "
            f"{first_few(comp.test.loc[needed, 'source'].map(name_of))}. Predicting will stop at them: put a readable "
            "file into a copy of the folder (any image will do: such a row is a guess) and load that copy",
            stacklevel=2,
        )
    gone = train_bad.sum() + (test_bad & ~needed).sum()
    result = comp
    if gone:
        result = dataclasses.replace(
            comp,
            train=comp.train[~train_bad].reset_index(drop=True),
            test=comp.test[~test_bad | needed].reset_index(drop=True),
        )
        _warn_of_lost_classes(comp, result)
    if report is not None:
        staying = set(zip(comp.test.loc[needed, "image_id"], comp.test.loc[needed, "source"].map(name_of), strict=True))
        taken_out = [key not in staying for key in zip(listed["image_id"], listed["source"], strict=True)]
        with written_whole(path) as temporary:
            listed.loc[taken_out, _COLUMNS].to_csv(temporary, index=False)
    if gone:
        print(f"{gone} images taken out, {len(result.train)} training images remain; why: {path}")
    return result


def fill_missing(data, columns, how, *, reference=None):
    """Fill in missing cells (empty text or NaN) of metadata or labels.

    Every figure is learnt from training rows alone and applied to the test rows.

    Args:
        data: a `Competition`, whose metadata are filled in train and test; or a DataFrame of your own, like `train.csv`
            with missing labels, before it becomes a competition.
        columns: name of a column, or a list of them. A column that only train has is filled there.
        how: what to do, or a list of it in order. `"unknown"`: write the text `unknown`, a class of its own. `"mode"`:
            the most frequent value, of several the first in order. `"median"`: the median, for numbers.
            `"marker"`: add a column `<column>_missing` of `"yes"` and `"no"` and leave the cells as they are.
        reference: DataFrame to learn mode and median from when `data` is a DataFrame. Defaults to `data` itself.

    Returns:
        A new `Competition` or DataFrame; `data` stays as it is. Text stays text: a median of ages is `"55"`.

    Raises:
        ValueError: for an unknown column or way, a median of what is not a number, or a column without any value.

    Example:

    >>> table = pd.DataFrame({"image_id": ["a", "b", "c"], "age": ["50", "", "60"], "sex": ["f", "f", ""]})
    >>> fill_missing(fill_missing(table, "age", ["marker", "median"]), "sex", "mode")
      image_id age sex age_missing
    0        a  50   f          no
    1        b  55   f         yes
    2        c  60   f          no
    """
    columns = [columns] if isinstance(columns, str) else list(columns)
    ways = [how] if isinstance(how, str) else list(how)
    for way in ways:
        check_choice("how", way, WAYS)
    if isinstance(data, pd.DataFrame):
        return _filled(data, data if reference is None else reference, columns, ways)
    if reference is not None:
        raise ValueError("reference= is for a DataFrame; a Competition's train is the reference for its test")
    reserved = [column for column in columns if column in RESERVED]
    if reserved:
        raise ValueError(
            f"{first_few(reserved)} of a Competition are not metadata; fill labels in the organiser's table, "
            "kk.fill_missing(table, 'label', 'unknown'), before it becomes a competition"
        )
    train = _filled(data.train, data.train, columns, ways)
    shared = [column for column in columns if column in data.test]
    return dataclasses.replace(data, train=train, test=_filled(data.test, data.train, shared, ways))


def has_problem(report, kind):
    """Return a boolean Series: which images of a report have a problem that begins with `kind`."""
    return report["problem"].map(lambda text: any(problem.startswith(kind) for problem in problems_of(text)))


def problems_of(text):
    """Return the problems of an image, which its text joins, as a list."""
    return [text] if text.startswith("unreadable") else [problem for problem in text.split("; ") if problem]


def missing_cells(column):
    """Return a boolean Series: which cells of a column are empty text, spaces or NaN."""
    return column.isna() | (column.astype(str).str.strip() == "")


def as_numbers(column):
    """Return the cells of a column as float64, NaN where missing; None if one of them is not a number."""
    numbers = pd.to_numeric(column.mask(missing_cells(column)), errors="coerce").astype("float64")
    return None if (numbers.isna() & ~missing_cells(column)).any() else numbers


def _filled(table, reference, columns, ways):
    table = table.copy()
    for column in columns:
        for place in (table, reference):
            if column not in place:
                raise ValueError(f"no column {column!r}; there are {first_few(place.columns, most=20)}")
        empty = missing_cells(table[column])
        for way in ways:
            if way == "marker":
                table[f"{column}_missing"] = empty.map({True: "yes", False: "no"}).astype(object)
            elif empty.any():
                table[column] = table[column].astype(object).mask(empty, _replacement(reference[column], way))
    return table.infer_objects()


def _replacement(column, way):
    """What a missing cell of this column becomes, of the type that its other cells have."""
    if way == "unknown":
        return "unknown"
    present = column[~missing_cells(column)]
    if present.empty:
        raise ValueError(f"column {column.name!r} has no value to learn from; use how='unknown'")
    if way == "mode":
        return present.mode().iloc[0]
    numbers = as_numbers(present)
    if numbers is None:
        odd = present[pd.to_numeric(present, errors="coerce").isna()]
        raise ValueError(f"column {column.name!r} has no median, it holds {first_few(odd, most=3)}; use how='mode'")
    return float(numbers.median()) if pd.api.types.is_numeric_dtype(column) else f"{numbers.median():.12g}"


def _bad_rows(comp, report, problems):
    for part, table in (("train", comp.train), ("test", comp.test)):
        lacking = set(table["image_id"]) - set(report.loc[report["part"] == part, "image_id"])
        if lacking:
            raise ValueError(f"the report lacks {part} images: {first_few(sorted(lacking))}; run kk.check_images(comp)")
    for problem in problems:
        if not has_problem(report, problem).any():
            occurring = first_few(report.loc[report["problem"] != "", "problem"].unique())
            raise ValueError(f"no image has a problem that begins with {problem!r}; found: {occurring or 'none'}")
    bad = np.any([has_problem(report, problem) for problem in ("unreadable", *problems)], axis=0)
    return report[bad]


def _is_listed(table, bad):
    keys = zip(table["image_id"], table["source"].map(name_of), strict=True)
    return pd.Series([key in bad for key in keys], index=table.index, dtype=bool)


def _warn_of_lost_classes(before, after):
    counts = after.class_counts()
    if counts is None:
        return
    lost = [name for name in counts.index[counts == 0] if before.class_counts()[name]]
    if lost:
        warnings.warn(f"classes without a training image now: {first_few(lost)}", stacklevel=3)
