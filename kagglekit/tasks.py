"""What a label is: five tasks, each of which knows how its labels are read, learnt, predicted, scored and shown.

A new task is one class: derive it from the nearest of these and put an instance into `TASKS`, in a module that worker
processes import too, where there are some.
"""

import itertools
import re

import numpy as np
import pandas as pd

from kagglekit._checks import check_choice, first_few

TOLERANCE = 1e-3  # how far a row's probabilities may sum from 1
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Task:
    """What all tasks can be asked. A task equals its name, hashes and shows itself as its name; files store the name.

    Labels exist in two forms: as the column `label` of a `Competition`, which people read, and as targets, which
    records, runs and `Predictions` store. The methods below lead from one to the other.

    Attributes:
        name: text.
        activation: of a linear head, a name that Keras knows; None for numbers, whose head `units` rescales.
        metric: name of the metric that a competition has unless it says another.
        error: name of the metric that says how far predictions are from the truth: smaller is better.
        losses: names of the losses that fit; the first is what `"auto"` stands for.
        heads: kinds of head that fit.
        forms: forms of a submission that fit, see `kk.make_submission`.
        has_classes: whether a label names classes, which can be counted, mistaken for another, or be rare.
        one_label: whether targets are class numbers, int64 `(rows,)`; else they are float32 `(rows, outputs)`. Sampling
            by class and class weights need it.
        smooths_labels: whether label smoothing means anything.
        shared_out: word for what folds share out evenly.
        values_are: words for the numbers that `values` gives, where labels have no classes.
        mean_is: words for the mean of the targets.
        labels_plot: `"counts"` (images of each class), `"shares"` (the mean of each output) or `"histogram"`.
        mistakes_plot: `"confusion"`, `"labels"` (how often each is found, and rightly) or `"scatter"`.

    Example:

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

        >>> find_task("ordinal").is_one_of(("single_label", "multi_label"))
        True
        """
        return any(vars(kind).get("name") in names for kind in type(self).__mro__)

    # Reading

    def read_column(self, cells, where):
        """Read labels from one column.

        Args:
            cells: Series of text.
            where: what the table is called in errors.

        Returns:
            Series in the form of `Competition`'s column `label`, with the index of `cells`.

        Raises:
            ValueError: naming the cells that are no label of the task.
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
        """Raise `ValueError` where labels leave nothing to learn; `column` is what their column is called."""

    def class_names(self, labels, column):
        """Return the names of the outputs, a tuple of text, where nothing but the labels says them."""
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
            ValueError: naming the labels that are no class.
        """
        return np.array(list(labels), np.float32).reshape(len(labels), len(names))

    def as_labels(self, targets):
        """Return stored targets in the type that they have in memory."""
        return np.asarray(targets, np.int64 if self.one_label else np.float32)

    def no_label(self, outputs):
        """Return what stands in place of the label of a test row, in Python's own types."""
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
        raise ValueError(f"labels of the task {self!r} are no numbers")

    def value_name(self, names):
        """Return what the number of `values` is called on an axis."""
        raise ValueError(f"labels of the task {self!r} are no numbers")

    def strata(self, labels, names):
        """Return what folds share out evenly, as `kk.StratifiedFolds` takes `y`, and names of its columns or None."""
        return self.targets(labels, names), None

    def describe_outputs(self, count):
        """Return the number of outputs in words."""
        return f"{count} classes ({self})"

    # Predicting

    def check_predictions(self, what, ids, rows):
        """Raise `ValueError` that names the first ids whose row is NaN or is not what the task asks for.

        Args:
            what: what the rows are called in errors.
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

    def said(self, names, row, truth):
        """Return a line or two on what is predicted for an image, and the truth where it is another.

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
        """Return the columns to fill where the organiser named none; `column` is what the label's column is called."""
        return list(names)

    def submission_form(self, comp, sample, ranked=False):
        """Return what the columns of a sample submission ask for, one of `forms`; None where they do not show it.

        Args:
            comp: a `Competition`.
            sample: its sample submission, ids in the first column.
            ranked: whether the metric needs probabilities: class names would throw away what it is scored by.
        """
        return "probabilities" if set(sample.columns[1:]) == set(comp.classes) else None


class SingleLabel(Task):
    """One class an image. A label is text, a target the class's number."""

    name = "single_label"
    activation = "softmax"
    metric = "accuracy"
    error = "log_loss"
    losses = (
        "cross_entropy", "focal", "sparsemax", "generalized_cross_entropy", "symmetric_cross_entropy", "bi_tempered",
        "arcface", "arcface_mixture", "quadratic_kappa", "earth_movers", "weighted_cross_entropy", "class_balanced",
    )  # fmt: skip
    heads = ("linear", "cosine", "ordinal")
    forms = ("labels", "probabilities", "one probability")
    has_classes = True
    one_label = True
    smooths_labels = True
    shared_out = "class"
    labels_plot = "counts"
    mistakes_plot = "confusion"

    def read_column(self, cells, where):
        return cells

    def read_columns(self, cells, where):
        values = _zeros_and_ones(self, cells, where)
        wrong = cells.index[values.sum(axis=1) != 1]
        if len(wrong):
            raise ValueError(
                f"{where}: expected one 1 in the label columns of each row, but {len(wrong)} rows have another number: "
                f"rows {first_few(wrong)}; pass task='multi_label' if an image may have several labels"
            )
        return pd.Series(_names(cells)[values.argmax(axis=1)], cells.index, dtype=object)

    def in_form(self, labels):
        return labels.astype(str)

    def check_labels(self, labels, column):
        if labels.nunique() < 2:
            raise ValueError(
                f"expected at least 2 classes in column {column!r}, got {labels.nunique()}; choose another column with "
                "label_column="
            )

    def class_names(self, labels, column):
        return self.ordered(set(labels))

    def targets(self, labels, names):
        numbers = _numbers_of(names, labels)
        return np.array([numbers[label] for label in labels], np.int64)

    def no_label(self, outputs):
        return -1

    def one_hot(self, targets, outputs):
        rows = np.zeros((len(targets), outputs), np.float32)
        rows[np.arange(len(targets)), targets] = 1
        return rows

    def reorder(self, targets, order):
        return np.argsort(order)[targets]

    def class_counts(self, labels, names):
        return _counted(labels, names)

    def strata(self, labels, names):
        return labels.to_numpy(), None

    def describe_outputs(self, count):
        return f"{count} classes"

    def decided(self, rows):
        return self.one_hot(rows.argmax(axis=1), rows.shape[1])

    def oof_columns(self, names, targets, rows):
        names = np.array(names, dtype=object)
        decisions = [("label", names[targets]), ("predicted", names[rows.argmax(axis=1)])]
        return [*decisions, *zip(names, rows.T, strict=True)]

    def said(self, names, row, truth):
        best = int(row.argmax())
        return f"{names[best]} ({row[best]:.0%})" + ("" if best == truth else f"\n(is {names[truth]})")

    def reference_model(self):
        from sklearn.svm import SVC

        return SVC(C=10)  # gamma="scale": 1 / (features x variance)

    def in_range(self, values, outputs):
        return self.one_hot(np.asarray(values, np.int64), outputs).astype(np.float64)

    def submission_columns(self, names, column):
        return list(names) if len(names) == 1 else [column]

    def submission_form(self, comp, sample, ranked=False):
        columns = list(sample.columns[1:])
        if len(columns) == 1:
            values = sample[columns[0]]
            two = len(comp.classes) == 2 and pd.to_numeric(values, errors="coerce").notna().all()
            if two and ranked:
                return "one probability"
            if set(values) <= set(comp.classes):
                return "labels"
            if two:
                return "one probability"
            if comp.label_column == columns[0]:  # a placeholder such as "" or "unknown"
                return "labels"
        return super().submission_form(comp, sample, ranked)


class Ordinal(SingleLabel):
    """One class an image, of classes that stand in an order: grades of a disease, qualities of a fruit.

    Targets are class numbers and a row of predictions are probabilities, so that all that fits single labels fits.

    Reference: McCullagh, "Regression models for ordinal data", 1980, for the head; Cohen, "Weighted
    kappa: nominal scale agreement with provision for scaled disagreement or partial credit", 1968, for the metric.
    """

    name = "ordinal"
    metric = "quadratic_weighted_kappa"
    losses = (
        "cross_entropy", "earth_movers", "quadratic_kappa",
        *(loss for loss in SingleLabel.losses if loss not in ("cross_entropy", "earth_movers", "quadratic_kappa")),
    )  # fmt: skip
    heads = ("linear", "ordinal", "cosine")

    def ordered(self, names):
        """Return the grades by value.

        Raises:
            ValueError: if they are no numbers: by name, high comes before low.
        """
        if not all(map(_NUMBER.fullmatch, names)):
            raise ValueError(
                f"the names {first_few(sorted(names))} do not show the order of the grades; pass "
                "preset=kk.Preset(classes=(...)) with the lowest first, or task='single_label' if they have no order"
            )
        return super().ordered(names)

    def fits(self, labels):
        """Return whether all labels, a Series of text, are whole numbers, as grades mostly are."""
        return labels.str.fullmatch(r"-?\d+(\.0+)?").all()

    def describe_outputs(self, count):
        return f"{count} grades"


class MultiLabel(Task):
    """Any number of classes an image. A label is a tuple of class names, a target a row of 0 and 1."""

    name = "multi_label"
    activation = "sigmoid"
    metric = "macro_f1"
    error = "log_loss"
    losses = ("binary_cross_entropy", "binary_focal", "asymmetric", "soft_f1")
    forms = ("label lists", "probabilities")
    has_classes = True
    smooths_labels = True
    shared_out = "label"
    labels_plot = "counts"
    mistakes_plot = "labels"

    def read_column(self, cells, where):
        if cells.str.contains("|", regex=False).any():  # the form of NIH's X-rays, where names have spaces
            cells = cells.str.replace(" ", "_").str.replace("|", " ", regex=False)
        return cells.map(lambda cell: tuple(dict.fromkeys(cell.split()))).astype(object)

    def read_columns(self, cells, where):
        names, values = _names(cells), _zeros_and_ones(self, cells, where)
        return pd.Series([tuple(names[row == 1]) for row in values], cells.index, dtype=object)

    def in_form(self, labels):
        return labels.map(lambda label: tuple(label.split()) if isinstance(label, str) else tuple(label))

    def class_names(self, labels, column):
        return self.ordered(set(itertools.chain.from_iterable(labels)))

    def targets(self, labels, names):
        numbers = _numbers_of(names, itertools.chain.from_iterable(labels))
        targets = np.zeros((len(labels), len(numbers)), np.float32)
        for row, label in enumerate(labels):
            targets[row, [numbers[name] for name in label]] = 1
        return targets

    def class_counts(self, labels, names):
        return _counted(labels.explode(), names)

    def strata(self, labels, names):
        # Rows of no label are shared out like those of a label
        return self.targets(labels, names), [*names, "no label"]

    def check_predictions(self, what, ids, rows):
        ids, rows = check_finite(what, ids, rows)
        wrong = (rows < 0).any(axis=1) | (rows > 1 + TOLERANCE).any(axis=1)
        if wrong.any():
            raise ValueError(
                f"{what}: expected rows of probabilities from 0 to 1, but {wrong.sum()} do not: "
                f"{first_few(ids[wrong])} (the first is {rows[wrong][0]}); apply a sigmoid to logits"
            )

    def said(self, names, row, truth):
        found, true = (
            ", ".join(name for name, value in zip(names, values, strict=True) if value >= 0.5) or "none"
            for values in (row, truth)
        )
        return found if found == true else f"{found}\n(is {true})"

    def in_range(self, values, outputs):
        return np.asarray(values, np.float64).reshape(len(values), outputs).clip(0, 1)

    def submission_form(self, comp, sample, ranked=False):
        return "label lists" if len(sample.columns) == 2 else super().submission_form(comp, sample, ranked)


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

    def said(self, names, row, truth):
        return "\n".join(f"{value:.4g} (is {true:.4g})" for value, true in zip(row, truth, strict=True))

    def in_range(self, values, outputs):
        return np.asarray(values, np.float64).reshape(len(values), outputs)

    def submission_form(self, comp, sample, ranked=False):
        return "values" if len(sample.columns) - 1 == len(comp.classes) else None


class Distribution(Task):
    """Shares of classes that stand in an order, such as votes from 1 to 10. A label is a tuple of floats that sum to 1.

    Where classes need a number each, a name that is one counts as that number, others as 1, 2, 3 and so on.
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

    def said(self, names, row, truth):
        mean, true = self.values([row, truth], names)
        return f"mean {mean:.2f}\n(is {true:.2f})"


SINGLE_LABEL, MULTI_LABEL, ORDINAL, REGRESSION, DISTRIBUTION = (
    SingleLabel(),
    MultiLabel(),
    Ordinal(),
    Regression(),
    Distribution(),
)
TASKS = {task.name: task for task in (SINGLE_LABEL, MULTI_LABEL, ORDINAL, REGRESSION, DISTRIBUTION)}


def find_task(task):
    """Return the `Task` of a name; a `Task` is returned as it is.

    Raises:
        ValueError: with the nearest name, for one that `TASKS` lacks.

    Example:

    >>> find_task("multi_label").activation
    'sigmoid'
    >>> find_task("multilabel")
    Traceback (most recent call last):
    ValueError: expected task to be one of 'single_label', ... got 'multilabel'. Did you mean 'multi_label'?
    """
    if isinstance(task, Task):
        return task
    check_choice("task", task, TASKS)
    return TASKS[task]


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
    return sorted(names, key=float) if all(map(_NUMBER.fullmatch, names)) else names


def as_numbers(cells, where):
    """Return a DataFrame of text as float64; raise `ValueError` that names the cells that are no finite numbers."""
    values = cells.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    for column in cells:
        wrong = cells.index[~np.isfinite(values[column])]
        if len(wrong):
            raise ValueError(
                f"{where}: {len(wrong)} cells of column {column!r} are no numbers: {first_few(cells[column][wrong])}"
            )
    return values


def _names(cells):
    return np.array([str(name) for name in cells.columns], dtype=object)


def _zeros_and_ones(task, cells, where):
    values = as_numbers(cells, where).to_numpy()
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"{where}: expected 0 or 1 in the label columns {first_few(_names(cells))} for the task {task}"
        )
    return values


def _numbers_of(names, used):
    """Name -> number of the class; raise `ValueError` where a name that is used is none."""
    numbers = {name: number for number, name in enumerate(names)}
    unknown = sorted(set(used) - set(numbers))
    if unknown:
        raise ValueError(f"labels that are no class: {first_few(unknown)}; the classes are {first_few(names)}")
    return numbers


def _counted(labels, names):
    counts = labels.value_counts().reindex(list(names), fill_value=0)
    return counts.sort_values(ascending=False, kind="stable")
