"""Tasks whose labels name classes: one, one of ordered grades, or any number."""

import itertools

import numpy as np
import pandas as pd

from kagglekit._checks import first_few
from kagglekit.tasks.base import NUMBER, TOLERANCE, Task, as_numbers, check_finite, column_names


class SingleLabel(Task):
    """One class an image. A label is text, a target the class's number."""

    name = "single_label"
    activation = "softmax"
    metric = "accuracy"
    error = "log_loss"
    losses = (
        "cross_entropy", "focal", "sparsemax", "generalized_cross_entropy", "symmetric_cross_entropy", "bi_tempered",
        "arcface", "arcface_mixture", "quadratic_kappa", "earth_movers",
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
        return pd.Series(column_names(cells)[values.argmax(axis=1)], cells.index, dtype=object)

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

    def describe_prediction(self, names, row, truth):
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
    """One class an image, of ordered classes: grades of a disease, qualities of a fruit.

    Targets are class numbers and a row of predictions are probabilities, so that all that fits single labels fits too.

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
            ValueError: if they are not numbers: by name, high comes before low.
        """
        if not all(map(NUMBER.fullmatch, names)):
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
        names, values = column_names(cells), _zeros_and_ones(self, cells, where)
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
        # Rows without labels are distributed like those of a label
        return self.targets(labels, names), [*names, "no label"]

    def check_predictions(self, what, ids, rows):
        ids, rows = check_finite(what, ids, rows)
        wrong = (rows < 0).any(axis=1) | (rows > 1 + TOLERANCE).any(axis=1)
        if wrong.any():
            raise ValueError(
                f"{what}: expected rows of probabilities from 0 to 1, but {wrong.sum()} do not: "
                f"{first_few(ids[wrong])} (the first is {rows[wrong][0]}); apply a sigmoid to logits"
            )

    def describe_prediction(self, names, row, truth):
        predicted, true = (
            ", ".join(name for name, value in zip(names, values, strict=True) if value >= 0.5) or "none"
            for values in (row, truth)
        )
        return predicted if predicted == true else f"{predicted}\n(is {true})"

    def in_range(self, values, outputs):
        return np.asarray(values, np.float64).reshape(len(values), outputs).clip(0, 1)

    def submission_form(self, comp, sample, ranked=False):
        return "label lists" if len(sample.columns) == 2 else super().submission_form(comp, sample, ranked)


def _zeros_and_ones(task, cells, where):
    values = as_numbers(cells, where).to_numpy()
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"{where}: expected 0 or 1 in the label columns {first_few(column_names(cells))} for the task {task}"
        )
    return values


def _numbers_of(names, used):
    """Return `{name: number of the class}`; raise `ValueError` where a used name is no class."""
    numbers = {name: number for number, name in enumerate(names)}
    unknown = sorted(set(used) - set(numbers))
    if unknown:
        raise ValueError(f"labels that are not classes: {first_few(unknown)}; the classes are {first_few(names)}")
    return numbers


def _counted(labels, names):
    counts = labels.value_counts().reindex(list(names), fill_value=0)
    return counts.sort_values(ascending=False, kind="stable")
