"""From probabilities to the columns that a submission asks for, checked cell by cell."""

import numpy as np
import pandas as pd

from kagglekit._checks import check_unique, first_few, nearest
from kagglekit.tasks import check_finite


def sample_of(comp):
    """Return the sample submission, with the columns that are to be filled where the organiser named none."""
    sample = comp.sample_submission
    if sample is not None and len(sample.columns) > 1:
        return sample
    if sample is None:
        sample = pd.DataFrame({comp.id_column: comp.test["id"].drop_duplicates()}, dtype=object)
    return sample.assign(**dict.fromkeys(comp.task.submission_columns(comp.class_names, comp.label_column), ""))


def submission_form(comp, sample):
    """Return what the sample's columns after the id ask for, one of `SUBMISSION_FORMS`."""
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
        f"label column {comp.label_column!r} nor the classes {first_few(comp.class_names)}; say it with "
        "preset=kk.Preset(submission=...)"
    )


def submission_frame(comp, sample, frame):
    """Return the submission as a DataFrame with exactly the sample's columns, ids and order.

    Args:
        comp: a `Competition`.
        sample: the sample submission.
        frame: DataFrame with the id column, and a submission's columns or one for each class.

    Raises:
        ValueError: if ids are missing, foreign or doubled, or a cell is not what the form asks for.
    """
    id_column, columns, form = sample.columns[0], list(sample.columns[1:]), submission_form(comp, sample)
    if id_column not in frame:
        raise ValueError(
            f"expected a column {id_column!r}.{nearest(id_column, frame.columns)} Got {list(frame.columns)}"
        )
    frame = frame.rename(columns=str)
    check_unique("column of the submission", frame.columns)
    frame = frame.assign(**{id_column: frame[id_column].map(str)})
    has_classes = set(comp.classes) <= set(frame.columns) and not (form == "values" and set(columns) <= set(frame))
    frame = _one_line_a_row(comp, frame, id_column, has_classes)
    wanted = sample[id_column].tolist()
    missing, foreign = sorted(set(wanted) - set(frame.index)), sorted(set(frame.index) - set(wanted))
    if missing or foreign:
        raise ValueError(
            f"the ids are not the sample submission's: {len(missing)} missing ({first_few(missing)}), {len(foreign)} "
            f"foreign ({first_few(foreign)}); ids are text, so 12 is not 00012"
        )
    frame = frame.loc[wanted]
    if has_classes:
        probabilities = frame[comp.class_names].to_numpy(np.float64)
        comp.task.check_predictions("submission", wanted, probabilities)
        values = _values(comp, columns, form, probabilities)
    else:
        values = _ready_values(comp, columns, form, frame)
    return pd.DataFrame({id_column: wanted, **values})[list(sample.columns)]


def _one_line_a_row(comp, frame, id_column, has_classes):
    """Average the images of a row, where the ids are the images' and not the rows'."""
    ids = frame[id_column]
    if has_classes and not comp.test["image_id"].equals(comp.test["id"]) and set(ids) == set(comp.test["image_id"]):
        check_unique(f"{id_column} of the submission", ids)
        row_of = dict(zip(comp.test["image_id"], comp.test["id"], strict=True))
        return frame[comp.class_names].groupby(ids.map(row_of)).mean()
    check_unique(f"{id_column} of the submission", ids)
    return frame.set_index(id_column)


def _values(comp, columns, form, probabilities):
    names = np.array(comp.class_names, dtype=object)
    best = names[probabilities.argmax(axis=1)]
    if form == "labels":
        return {columns[0]: best}
    if form == "label lists":
        spaced = [name for name in names if " " in name]
        if spaced:
            raise ValueError(f"label lists are joined by spaces, but classes have spaces: {first_few(spaced)}")
        chosen = probabilities >= 0.5
        lists = [" ".join(names[row]) if row.any() else top for row, top in zip(chosen, best, strict=True)]
        return {columns[0]: lists}
    if form == "one probability":
        return {columns[0]: probabilities[:, _asked_class(comp, columns[0])]}
    if form == "values" and len(columns) == 1:
        return {columns[0]: probabilities[:, 0]}
    if set(columns) - set(names):
        if form == "values" and len(columns) == len(names):  # a regression's columns in their order
            return dict(zip(columns, probabilities.T, strict=True))
        raise ValueError(f"columns of the sample that are not classes: {first_few(sorted(set(columns) - set(names)))}")
    return {name: probabilities[:, comp.class_names.index(name)] for name in columns}


def _asked_class(comp, column):
    """The class that a column of one probability is named after, else the second."""
    return comp.class_names.index(column) if column in comp.class_names else 1


def _ready_values(comp, columns, form, frame):
    """Check the values of a DataFrame that is a submission already."""
    lacking = [column for column in columns if column not in frame]
    if lacking:
        raise ValueError(
            f"expected the columns {columns} as in the sample, or one column of probabilities for each class; missing "
            f"{first_few(lacking)}, got {list(frame.columns)}"
        )
    if form in ("labels", "label lists"):
        labels = frame[columns[0]].map(str)
        known = set(comp.classes)
        fits = labels.isin(known) if form == "labels" else labels.map(lambda cell: set(cell.split()) <= known)
        if not fits.all():
            unknown = labels[~fits]
            raise ValueError(
                f"labels that are not classes: {first_few(unknown.unique())} for ids {first_few(unknown.index)}; "
                "for probabilities load the competition with metric='auc' or preset=kk.Preset(submission=...)"
            )
        return {columns[0]: labels.to_numpy()}
    values = frame[columns].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if form == "one probability":  # the rest is the other class's
        comp.task.check_predictions("submission", frame.index, np.hstack([1 - values, values]))
    elif form == "values":
        check_finite("submission", frame.index, values)
    else:
        comp.task.check_predictions("submission", frame.index, values)
    return dict(zip(columns, values.T, strict=True))
