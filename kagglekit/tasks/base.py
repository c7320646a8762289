"""The interface of all tasks, and what they share."""

import re

import numpy as np
import pandas as pd

from kagglekit._checks import first_few

TOLERANCE = 1e-3  # how far a row's probabilities may sum from 1
NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Task:
    """The interface of all tasks. A task equals its name, and hashes and prints as its name; files store the name.

    Labels exist in two forms: as the column `label` of a `Competition`, which people read, and as targets, which
    records, runs and `Predictions` store. The methods below convert one to the other.

    Attributes:
        name: text.
        activation: of a linear head, a name that Keras knows; None for numbers, whose head `units` rescales.
        metric: name of the metric of a competition that names none.
        error: name of the metric that says how far predictions are from the truth: smaller is better.
        losses: names of the losses that fit; the first is what `"auto"` stands for.
        heads: kinds of head that fit.
        forms: forms of a submission that fit, see `kk.make_submission`.
        has_classes: whether a label names classes, which can be counted, confused, or rare.
        one_label: whether targets are class numbers, int64 `(rows,)`; else they are float32 `(rows, outputs)`. Sampling
            by class and class weights need it.
        smooths_labels: whether label smoothing means anything.
        shared_out: word for what folds distribute evenly.
        values_are: words for the numbers that `values` gives, where labels have no classes.
        mean_is: words for the mean of the targets.
        labels_plot: `"counts"` (images of each class), `"shares"` (the mean of each output) or `"histogram"`.
        mistakes_plot: `"confusion"`, `"labels"` (recall and precision of each) or `"scatter"`.

    Example:

    >>> from kagglekit.tasks import find_task
    >>> find_task("ordinal").metric
    'quadratic_weighted_kappa'
    >>> find_task("ordinal") == "ordinal"
    True
    """

    name: str
    activation: str | None
    metric: str
    error: str
    losses: tuple
    heads: tuple = ("linear",)
    forms: tuple
    has_classes: bool = False
    one_label: bool = False
    smooths_labels: bool = False
    shared_out: str = "bin"
    values_are: str = "targets"
    mean_is: str = "share of the images"
    labels_plot: str = "shares"
    mistakes_plot: str = "scatter"

    def __eq__(self, other):
        return self.name == str(other) if isinstance(other, str | Task) else NotImplemented

    def __hash__(self):
        return hash(self.name)

    def __str__(self):
        return self.name

    def __repr__(self):
        return repr(self.name)

    def is_one_of(self, names):
        """Return whether this task, or one that it is derived from, is among `names`: an ordinal label is a class too.

        >>> from kagglekit.tasks import find_task
        >>> find_task("ordinal").is_one_of(("single_label", "multi_label"))
        True
        """
        return any(vars(kind).get("name") in names for kind in type(self).__mro__)

    # Reading

    def read_column(self, cells, where):
        """Read labels from one column.

        Args:
            cells: Series of text.
            where: name of the table in errors.

        Returns:
            Series in the form of `Competition`'s column `label`, with the index of `cells`.

        Raises:
            ValueError: naming the cells that are not labels of the task.
        """
        raise ValueError(
            f"{where}: a {self} needs a column for each class, got the one column {cells.name!r}; name all of them "
            "with label_column=(...)"
        )

    def read_columns(self, cells, where):
        """Read labels from one column for each output; `cells` is a DataFrame of text, the rest as `read_column`."""
        raise NotImplementedError

    def in_form(self, labels):
        """Return labels that a person put into a frame, a Series, in the form of `Competition`'s column `label`."""
        return labels

    def check_labels(self, labels, column):
        """Raise `ValueError` where labels leave nothing to learn; `column` is the name of their column."""

    def class_names(self, labels, column):
        """Return the names of the outputs, a tuple of text, as the labels show them."""
        raise NotImplementedError

    def ordered(self, names):
        """Return names of classes in the order of the outputs, a tuple."""
        return tuple(natural_order(names))

    # Learning

    def targets(self, labels, names):
        """Return labels as numbers: int64 `(rows,)` for one label a row, else float32 `(rows, outputs)`.

        Args:
            labels: list-like in the form of `Competition`'s column `label`.
            names: names of the outputs.

        Raises:
            ValueError: naming the labels that are not classes.
        """
        return np.array(list(labels), np.float32).reshape(len(labels), len(names))

    def as_labels(self, targets):
        """Return stored targets in the type that they have in memory."""
        return np.asarray(targets, np.int64 if self.one_label else np.float32)

    def no_label(self, outputs):
        """Return the placeholder for the label of a test row, in Python's own types."""
        return [0.0] * outputs

    def one_hot(self, targets, outputs):
        """Return targets as a loss takes them, float32 `(rows, outputs)`."""
        return np.asarray(targets, np.float32)

    def reorder(self, targets, order):
        """Return targets for outputs in another order: output `order[n]` becomes output `n`."""
        return targets[:, order]

    def units(self, targets):
        """Return the offset and the scale of a head without activation: where it starts, and the step it learns in."""
        return 0.0, 1.0

    def check_recipe(self, recipe):
        """Raise `ValueError` for the first knob of a recipe whose value does not fit the task."""
        for knob, fitting in (("loss", ("auto", *self.losses)), ("head", self.heads)):
            value = getattr(recipe, knob)
            if value not in fitting:
                raise ValueError(f"{knob}={value!r} is not for the task {self!r}; expected one of {list(fitting)}")
        for knob in () if self.one_label else ("sampling", "class_weights"):
            value = getattr(recipe, knob)
            if value != "none":
                raise ValueError(f"{knob}={value!r} needs one class a row; use 'none' for the task {self!r}")

    # Looking at labels

    def class_counts(self, labels, names):
        """Return the number of images of each class, a Series, most frequent first; None where labels name no class."""
        return None

    def values(self, labels, names):
        """Return one number for each row, float64 `(rows,)`, for labels without classes.

        Args:
            labels: in the form of `Competition`'s column `label`, or targets or predictions `(rows, outputs)`.
            names: names of the outputs.
        """
        raise ValueError(f"labels of the task {self!r} are not numbers")

    def value_name(self, names):
        """Return the name of the numbers of `values`, for an axis."""
        raise ValueError(f"labels of the task {self!r} are not numbers")

    def strata(self, labels, names):
        """Return what folds distribute evenly, as `kk.StratifiedFolds` takes `y`, and names of its columns or None."""
        return self.targets(labels, names), None

    def describe_outputs(self, count):
        """Return the number of outputs in words."""
        return f"{count} classes ({self})"

    # Predicting

    def check_predictions(self, what, ids, rows):
        """Raise `ValueError` that names the first ids whose row is NaN or does not fit the task.

        Args:
            what: name of the rows in errors.
            ids: array-like `(rows,)`.
            rows: array-like `(rows, outputs)`.
        """
        ids, rows = check_finite(what, ids, rows)
        wrong = (rows < 0).any(axis=1) | (rows > 1 + TOLERANCE).any(axis=1)
        wrong |= np.abs(rows.sum(axis=1) - 1) > TOLERANCE
        if wrong.any():
            raise ValueError(
                f"{what}: expected rows of probabilities from 0 to 1 that sum to 1, but {wrong.sum()} do not: "
                f"{first_few(ids[wrong])} (the first sums to {rows[wrong][0].sum():.4g}); apply a softmax to logits, "
                "or divide each row by its sum"
            )

    def decided(self, rows):
        """Return predictions `(rows, outputs)` as they would be submitted, for comparing their means with labels'."""
        return rows

    def oof_columns(self, names, targets, rows):
        """Return the columns of `run.oof` as pairs of a name and values.

        Args:
            names: names of the outputs.
            targets: int64 `(rows,)` or float32 `(rows, outputs)`.
            rows: predictions `(rows, outputs)`.
        """
        truth = [(f"true {name}", column) for name, column in zip(names, targets.T, strict=True)]
        return [*zip(names, rows.T, strict=True), *truth]

    def describe_prediction(self, names, row, truth):
        """Return a line or two with the prediction for an image, and the truth where it differs.

        Args:
            names: names of the outputs.
            row: prediction `(outputs,)`.
            truth: the row's target.
        """
        raise NotImplementedError

    def reference_model(self):
        """Return a plain scikit-learn model of pixels, not fitted, which a network has to beat."""
        from sklearn.linear_model import Ridge

        return Ridge(alpha=1.0)

    def in_range(self, values, outputs):
        """Return what the reference model predicts as float64 `(rows, outputs)` that `check_predictions` accepts."""
        values = np.asarray(values, np.float64).reshape(len(values), outputs).clip(0, 1) + 1e-6
        return values / values.sum(axis=1, keepdims=True)

    # Submitting

    def submission_columns(self, names, column):
        """Return the columns to fill where the organiser named none; `column` is the name of the label's column."""
        return list(names)

    def submission_form(self, comp, sample, ranked=False):
        """Return what the columns of a sample submission ask for, one of `forms`; None where they do not show it.

        Args:
            comp: a `Competition`.
            sample: its sample submission, ids in the first column.
            ranked: whether the metric needs probabilities: class names would throw away what it is scored by.
        """
        return "probabilities" if set(sample.columns[1:]) == set(comp.classes) else None


def check_finite(what, ids, rows):
    """Return `ids` and `rows` as arrays; raise `ValueError` that names the first ids whose row is NaN or infinite."""
    ids, rows = np.asarray(ids), np.asarray(rows, np.float64)
    broken = ~np.isfinite(rows).all(axis=1)
    if broken.any():
        raise ValueError(f"{what}: NaN or infinite probabilities in {broken.sum()} rows: {first_few(ids[broken])}")
    return ids, rows


def natural_order(names):
    """Return names sorted; by value where all are numbers.

    >>> natural_order({"10", "9"})
    ['9', '10']
    """
    names = sorted(names)
    return sorted(names, key=float) if all(map(NUMBER.fullmatch, names)) else names


def as_numbers(cells, where):
    """Return a DataFrame of text as float64; raise `ValueError` that names the cells that are not finite numbers."""
    values = cells.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    for column in cells:
        wrong = cells.index[~np.isfinite(values[column])]
        if len(wrong):
            raise ValueError(
                f"{where}: {len(wrong)} cells of column {column!r} are not numbers: {first_few(cells[column][wrong])}"
            )
    return values


def column_names(cells):
    return np.array([str(name) for name in cells.columns], dtype=object)
