"""From the cells of a table to labels and the task that they show."""

import numpy as np
import pandas as pd

from kagglekit._checks import first_few
from kagglekit.tasks import DISTRIBUTION, MULTI_LABEL, REGRESSION, SINGLE_LABEL, as_numbers, find_task


def read_labels(table, columns, task, where):
    """Read the labels of every row.

    One column holds a class, classes joined by spaces, or a number; several hold one value per class.

    Args:
        table: DataFrame of text.
        columns: name of the label column, or a list of names.
        task: a `Task` or its name, or None to infer it from the cells.
        where: name of the table in errors.

    Returns:
        `(labels, task, classes)`: a Series in the form of `Competition`'s column `label`, the `Task`, and the names
        of the outputs (None where they are the labels that occur).

    Raises:
        ValueError: naming the cells that do not fit the task.
    """
    if isinstance(columns, str):
        cells = table[columns]
        task = find_task(task or _task_of(cells, where))
        return task.read_column(cells, where), task, None
    cells = table[list(columns)]
    task = find_task(task or _task_of_columns(cells, where))
    return task.read_columns(cells, where), task, tuple(map(str, cells.columns))


def _task_of(cells, where):
    """Return the task of one column: fractions are regression; several known words in a cell are several labels."""
    if cells.str.contains("|", regex=False).any():
        return MULTI_LABEL
    distinct = pd.unique(cells)
    values = pd.to_numeric(pd.Series(distinct), errors="coerce")
    # "1.0" is a class that pandas once made a float of; 0.25 is a number to predict.
    fractions = (values.notna() & (values != values.round())).sum()
    if fractions and values.notna().all():
        return REGRESSION
    if fractions > len(values) / 2:
        raise ValueError(
            f"{where}: most labels are numbers, but not {first_few(pd.Series(distinct)[values.isna()])}; take these "
            "rows out, or pass task='single_label'"
        )
    joined = [cell.split() for cell in distinct if len(cell.split()) > 1]
    words = {word for cell in joined for word in cell}
    if joined and all(word.isdecimal() for word in words):
        return MULTI_LABEL
    # "black rot" is one class; "scab rust" is two when both occur alone as well.
    if joined and np.mean([word in set(distinct) for word in words]) >= 0.9:
        return MULTI_LABEL
    return SINGLE_LABEL


def _task_of_columns(cells, where):
    """Return the task of several columns: one 1 a row is a class, other 0 and 1 are labels, shares a distribution."""
    values = as_numbers(cells, where)
    sums = values.sum(axis=1)
    if values.isin((0, 1)).to_numpy().all():
        return SINGLE_LABEL if (sums == 1).all() else MULTI_LABEL
    shares = (values >= 0).to_numpy().all() and np.allclose(sums, 1, atol=0.01)
    return DISTRIBUTION if shares else REGRESSION
