"""From the cells of a table to labels and the task that they show."""

import numpy as np
import pandas as pd

from kagglekit._checks import first_few

METRIC_OF_TASK = {
    "single_label": "accuracy",
    "multi_label": "macro_f1",
    "regression": "rmse",
    "distribution": "emd",
}


def read_labels(table, columns, task, where):
    """Read the labels of every row.

    One column holds a class, classes joined by spaces, or a number; several hold one value per class.

    Args:
        table: DataFrame of text.
        columns: name of the label column, or a list of names.
        task: the task, or None to see it from the cells.
        where: what the table is called in errors.

    Returns:
        `(labels, task, classes)`: a Series in the form of `Competition`'s column `label`, the task, and the names of
        the outputs (None where they are the labels that occur).

    Raises:
        ValueError: naming the cells that do not fit the task.
    """
    if isinstance(columns, str):
        return _from_column(table[columns], task, where)
    return _from_columns(table[list(columns)], task, where)


def _from_column(cells, task, where):
    if cells.str.contains("|", regex=False).any():  # NIH's form
        cells = cells.str.replace(" ", "_").str.replace("|", " ", regex=False)
        task = task or "multi_label"
    task = task or _task_of(cells, where)
    if task == "single_label":
        return cells, task, None
    if task == "multi_label":
        return cells.map(lambda cell: tuple(dict.fromkeys(cell.split()))).astype(object), task, None
    if task == "regression":
        return _numbers(cells.to_frame(), where)[cells.name].astype(object), task, None
    raise ValueError(
        f"{where}: a distribution needs a column for each class, got the one column {cells.name!r}; name all of them "
        "with label_column=(...)"
    )


def _task_of(cells, where):
    """What one column shows: fractions are regression; several known words in a cell are several labels."""
    distinct = pd.unique(cells)
    values = pd.to_numeric(pd.Series(distinct), errors="coerce")
    # "1.0" is a class that pandas once made a float of; 0.25 is a number to predict.
    fractions = (values.notna() & (values != values.round())).sum()
    if fractions and values.notna().all():
        return "regression"
    if fractions > len(values) / 2:
        raise ValueError(
            f"{where}: most labels are numbers, but not {first_few(pd.Series(distinct)[values.isna()])}; take these "
            "rows out, or pass task='single_label'"
        )
    joined = [cell.split() for cell in distinct if len(cell.split()) > 1]
    words = {word for cell in joined for word in cell}
    if joined and all(word.isdecimal() for word in words):
        return "multi_label"
    # "black rot" is one class; "scab rust" is two when both stand alone as well.
    if joined and np.mean([word in set(distinct) for word in words]) >= 0.9:
        return "multi_label"
    return "single_label"


def _from_columns(cells, task, where):
    values = _numbers(cells, where)
    zero_or_one = values.isin((0, 1)).to_numpy().all()
    sums = values.sum(axis=1)
    if task is None:
        if zero_or_one:
            task = "single_label" if (sums == 1).all() else "multi_label"
        else:
            shares = (values >= 0).to_numpy().all() and np.allclose(sums, 1, atol=0.01)
            task = "distribution" if shares else "regression"
    names = np.array([str(name) for name in cells.columns], dtype=object)
    classes = tuple(names)
    if task in ("single_label", "multi_label") and not zero_or_one:
        raise ValueError(f"{where}: expected 0 or 1 in the label columns {first_few(names)} for the task {task}")
    if task == "single_label":
        wrong = cells.index[sums != 1]
        if len(wrong):
            raise ValueError(
                f"{where}: expected one 1 in the label columns of each row, but {len(wrong)} rows have another number: "
                f"rows {first_few(wrong)}; pass task='multi_label' if an image may have several labels"
            )
        return pd.Series(names[values.to_numpy().argmax(axis=1)], cells.index, dtype=object), task, classes
    if task == "multi_label":
        labels = [tuple(names[row == 1]) for row in values.to_numpy()]
    else:
        if task == "distribution":
            empty = cells.index[(sums <= 0) | (values < 0).any(axis=1)]
            if len(empty):
                raise ValueError(f"{where}: a distribution needs counts or shares above 0: rows {first_few(empty)}")
            values = values.div(sums, axis=0)  # votes become shares
        labels = [tuple(row) for row in values.to_numpy(np.float64).tolist()]
    return pd.Series(labels, cells.index, dtype=object), task, classes


def _numbers(cells, where):
    values = cells.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    for column in cells:
        wrong = cells.index[~np.isfinite(values[column])]
        if len(wrong):
            raise ValueError(
                f"{where}: {len(wrong)} cells of column {column!r} are no numbers: {first_few(cells[column][wrong])}"
            )
    return values
