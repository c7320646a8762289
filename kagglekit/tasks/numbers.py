"""Tasks whose labels are numbers: values, or the shares of classes."""

import numpy as np
import pandas as pd

from kagglekit._checks import first_few
from kagglekit.tasks.base import Task, as_numbers, check_finite


class Regression(Task):
    """Numbers. A label is a float, or a tuple of them; a target a row of one float or more."""

    name = "regression"
    activation = None
    metric = "rmse"
    error = "rmse"
    losses = ("mean_squared_error", "mean_absolute_error", "smooth_l1")
    forms = ("values",)
    mean_is = "mean"
    labels_plot = "histogram"

    def read_column(self, cells, where):
        return as_numbers(cells.to_frame(), where)[cells.name].astype(object)

    def read_columns(self, cells, where):
        rows = as_numbers(cells, where).to_numpy().tolist()
        return pd.Series(list(map(tuple, rows)), cells.index, dtype=object)

    def class_names(self, labels, column):
        first = labels.iloc[0]
        return tuple(f"{column}_{n}" for n in range(len(first))) if isinstance(first, tuple) else (column,)

    def units(self, targets):
        """Return the targets' mean and standard deviation, a list of a number for each output.

        Two numbers of all rows are no leak that a network could use.
        """
        targets = np.asarray(targets, np.float64)
        return targets.mean(axis=0).tolist(), np.maximum(targets.std(axis=0), 1e-6).tolist()

    def values(self, labels, names):
        return np.array([label if np.ndim(label) == 0 else label[0] for label in labels], np.float64)

    def value_name(self, names):
        return names[0]

    def strata(self, labels, names):
        targets = self.targets(labels, names)
        return targets[:, 0] if targets.shape[1] == 1 else targets, None

    def describe_outputs(self, count):
        return f"{count} values ({self})"

    def check_predictions(self, what, ids, rows):
        check_finite(what, ids, rows)

    def describe_prediction(self, names, row, truth):
        return "\n".join(f"{value:.4g} (is {true:.4g})" for value, true in zip(row, truth, strict=True))

    def in_range(self, values, outputs):
        return np.asarray(values, np.float64).reshape(len(values), outputs)

    def submission_form(self, comp, sample, ranked=False):
        return "values" if len(sample.columns) - 1 == len(comp.classes) else None


class Distribution(Task):
    """Shares of ordered classes, such as votes from 1 to 10. A label is a tuple of floats that sum to 1.

    Where classes need a number each, it is the name if all names are numbers, else 1, 2, 3 and so on.
    """

    name = "distribution"
    activation = "softmax"
    metric = "emd"
    error = "emd"
    losses = ("cross_entropy", "earth_movers", "kl_divergence", "distillation")
    heads = ("linear", "ordinal")
    forms = ("probabilities",)
    values_are = "means of the distributions"

    def read_columns(self, cells, where):
        values = as_numbers(cells, where)
        sums = values.sum(axis=1)
        empty = cells.index[(sums <= 0) | (values < 0).any(axis=1)]
        if len(empty):
            raise ValueError(f"{where}: a distribution needs counts or shares above 0: rows {first_few(empty)}")
        rows = values.div(sums, axis=0).to_numpy().tolist()  # votes become shares
        return pd.Series(list(map(tuple, rows)), cells.index, dtype=object)

    def class_names(self, labels, column):
        raise ValueError("a distribution needs the names of its bins: pass classes=")

    def values(self, labels, names):
        try:
            bins = np.array(names, np.float64)
        except ValueError:
            bins = np.arange(1, len(names) + 1, dtype=np.float64)
        return (np.array(list(labels), np.float64) @ bins).round(9)  # so that equal means are equal

    def value_name(self, names):
        return "mean of the distribution"

    def strata(self, labels, names):
        return self.targets(labels, names).astype(np.float64) @ np.arange(len(names)), None

    def describe_prediction(self, names, row, truth):
        mean, true = self.values([row, truth], names)
        return f"mean {mean:.2f}\n(is {true:.2f})"
