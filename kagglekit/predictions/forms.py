"""From probabilities to the columns that a submission asks for, checked cell by cell."""

import numpy as np
import pandas as pd

from kagglekit._checks import check_unique, first_few, nearest
from kagglekit.tasks import check_finite


def sample_of(comp):
    """Return the sample submission; if it names no columns to fill in, with those that the task asks for."""
    sample = comp.sample_submission
    if sample is not None and len(sample.columns) > 1:
        return sample
    if sample is None:
        sample = pd.DataFrame({comp.id_column: comp.test["id"].drop_duplicates()}, dtype=object)
    return sample.assign(**dict.fromkeys(comp.task.submission_columns(comp.class_names, comp.label_column), ""))


def submission_form(comp, sample):
    """Return the form that the sample's columns after the id ask for, one of the task's `forms`."""
    if comp.submission_form is not None:
        if comp.submission_form not in comp.task.forms:
            raise ValueError(
                f"a submission of {comp.submission_form} does not fit the task {comp.task!r}; expected "
                f"preset=kk.Preset(submission=...) to be one of {list(comp.task.forms)}, or another task"
            )
        return comp.submission_form
    form = comp.task.submission_form(comp, sample, ranked=comp.metric.of_probabilities)
    if form is not None:
        return form
    raise ValueError(
        f"cannot tell what the sample submission asks for: its columns {list(sample.columns[1:])} are neither the "
        f"label column {comp.label_column!r} nor the classes {first_few(comp.class_names)}; set it with "
        "preset=kk.Preset(submission=...)"
    )


def submission_frame(comp, sample, frame):
    """Return the submission as a DataFrame with exactly the sample's columns, ids and order.

    Args:
        comp: a `Competition`.
        sample: the sample submission.
        frame: DataFrame with the id column and either the submission's columns or one column for each class.

    Raises:
        ValueError: if ids are missing, foreign or duplicated, or a cell is not what the form asks for.
    """
    id_column, columns, form = sample.columns[0], list(sample.columns[1:]), submission_form(comp, sample)
    if id_column not in frame:
        raise ValueError(
            f"expected a column {id_column!r}.{nearest(id_column, frame.columns)} Got {list(frame.columns)}"
        )
    frame = frame.rename(columns=str)
    check_unique("column of the submission", frame.columns)
    frame = frame.assign(**{id_column: frame[id_column].map(str)})
    has_probabilities = set(comp.classes) <= set(frame.columns) and not (
        form == "values" and set(columns) <= set(frame)
    )
    frame = _one_line_per_row(comp, frame, id_column, has_probabilities)
    sample_ids = sample[id_column].tolist()
    missing, foreign = sorted(set(sample_ids) - set(frame.index)), sorted(set(frame.index) - set(sample_ids))
    if missing or foreign:
        raise ValueError(
            f"the ids are not the sample submission's: {len(missing)} missing ({first_few(missing)}), {len(foreign)} "
            f"foreign ({first_few(foreign)}); ids are text, so 12 is not 00012"
        )
    frame = frame.loc[sample_ids]
    if has_probabilities:
        probabilities = frame[comp.class_names].to_numpy(np.float64)
        comp.task.check_predictions("submission", sample_ids, probabilities)
        values = _values_in_form(comp, columns, form, probabilities)
    else:
        values = _checked_values(comp, columns, form, frame)
    return pd.DataFrame({id_column: sample_ids, **values})[list(sample.columns)]


def _one_line_per_row(comp, frame, id_column, has_probabilities):
    """Index the frame by row id; if its ids are those of images, average the images of each row."""
    ids = frame[id_column]
    if (
        has_probabilities
        and not comp.test["image_id"].equals(comp.test["id"])
        and set(ids) == set(comp.test["image_id"])
    ):
        check_unique(f"{id_column} of the submission", ids)
        row_of = dict(zip(comp.test["image_id"], comp.test["id"], strict=True))
        return frame[comp.class_names].groupby(ids.map(row_of)).mean()
    check_unique(f"{id_column} of the submission", ids)
    return frame.set_index(id_column)


def _values_in_form(comp, columns, form, probabilities):
    class_names = np.array(comp.class_names, dtype=object)
    most_probable = class_names[probabilities.argmax(axis=1)]
    if form == "labels":
        return {columns[0]: most_probable}
    if form == "label lists":
        names_with_spaces = [name for name in class_names if " " in name]
        if names_with_spaces:
            raise ValueError(
                f"label lists are joined by spaces, but classes have spaces: {first_few(names_with_spaces)}"
            )
        chosen = probabilities >= 0.5
        cells = [
            " ".join(class_names[row]) if row.any() else single
            for row, single in zip(chosen, most_probable, strict=True)
        ]
        return {columns[0]: cells}
    if form == "one probability":
        return {columns[0]: probabilities[:, _requested_class(comp, columns[0])]}
    if form == "values" and len(columns) == 1:
        return {columns[0]: probabilities[:, 0]}
    if set(columns) - set(class_names):
        if form == "values" and len(columns) == len(class_names):  # a regression's columns in their order
            return dict(zip(columns, probabilities.T, strict=True))
        raise ValueError(
            f"columns of the sample that are not classes: {first_few(sorted(set(columns) - set(class_names)))}"
        )
    return {name: probabilities[:, comp.class_names.index(name)] for name in columns}


def _requested_class(comp, column):
    """The class that a column of one probability is named after, else the second."""
    return comp.class_names.index(column) if column in comp.class_names else 1


def _checked_values(comp, columns, form, frame):
    """Check the values of a DataFrame that is a submission already."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(
            f"expected the columns {columns} as in the sample, or one column of probabilities for each class; missing "
            f"{first_few(missing)}, got {list(frame.columns)}"
        )
    if form in ("labels", "label lists"):
        labels = frame[columns[0]].map(str)
        classes = set(comp.classes)
        valid = labels.isin(classes) if form == "labels" else labels.map(lambda cell: set(cell.split()) <= classes)
        if not valid.all():
            unknown = labels[~valid]
            raise ValueError(
                f"labels that are not classes: {first_few(unknown.unique())} for ids {first_few(unknown.index)}; "
                "for probabilities load the competition with metric='auc' or preset=kk.Preset(submission=...)"
            )
        return {columns[0]: labels.to_numpy()}
    values = frame[columns].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if form == "one probability":  # the other class has the rest
        comp.task.check_predictions("submission", frame.index, np.hstack([1 - values, values]))
    elif form == "values":
        check_finite("submission", frame.index, values)
    else:
        comp.task.check_predictions("submission", frame.index, values)
    return dict(zip(columns, values.T, strict=True))
