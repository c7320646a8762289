"""The last step of every reader: rows, labels and sample become a `Competition`."""

import re

import pandas as pd

from kagglekit import _paths
from kagglekit._checks import check_unique, first_few
from kagglekit.competition.columns import RESERVED
from kagglekit.competition.layouts.labels import read_labels
from kagglekit.competition.sources import parts
from kagglekit.competition.tables import Competition, read_text_csv
from kagglekit.tasks import ORDINAL, SINGLE_LABEL

_SAMPLE = re.compile(r"[^.]*(sample.*sub|sub.*(sample|format|example)).*\.csv", re.IGNORECASE)


def assemble(folder, preset, train, test, *, cells, sample=None, columns=("id", "label"), name=None, task=None):
    """Make the competition.

    Args:
        folder: its root.
        preset: a `Preset`: task, metric, group pattern and form of the submission are used.
        train, test: DataFrames with `image_id`, `id`, `source`, and `group` and metadata where given.
        cells: what the labels are read from: a DataFrame of text with a row for each row of `train`.
        sample: the sample submission, or None.
        columns: names of the id and the label column in the organiser's files; the label's may be a list.
        name: name of the competition. Defaults to the folder's.
        task: the task that the layout implies, for a preset without one. Defaults to what the labels show.
    """
    id_column, label_column = columns
    labels, task, classes = read_labels(cells, label_column, preset.task or task, f"{folder} (training labels)")
    in_order = preset.metric == ORDINAL.metric and (preset.classes or ORDINAL.fits(labels))
    if preset.task is None and task == SINGLE_LABEL and in_order:  # the metric counts how far classes are apart
        task = ORDINAL
    train = train.reset_index(drop=True)
    train.insert(3, "label", labels.reset_index(drop=True))
    if preset.group_pattern:
        train["group"] = _groups(train["id"], preset.group_pattern)
    _check_parts(train, test)
    if sample is not None:
        unknown = sorted(set(sample.iloc[:, 0]) - set(test["id"]))
        if unknown:
            raise ValueError(f"{folder}: rows of the sample submission without a test image: {first_few(unknown)}")
    has_many_columns = not isinstance(label_column, str)
    sample_classes = () if sample is None or len(sample.columns) < 3 else tuple(sample.columns[1:])
    if task.has_classes and classes is None and set(labels.explode().dropna()) <= set(sample_classes):
        classes = sample_classes  # a class without a training image still has its column
    return Competition(
        name=_paths.folder_name(name or folder.name),
        root=folder,
        train=train,
        test=test.reset_index(drop=True),
        sample_submission=sample,
        id_column=id_column,
        label_column="label" if has_many_columns else label_column,
        metric=preset.metric or task.metric,
        task=task,
        classes=_ordered(preset.classes, classes, task, labels),
        submission_form=preset.submission,
        submission_header=preset.header,
    )


def _ordered(chosen, classes, task, labels):
    """Return the names of the outputs in order: the preset's, else by name where the order decides nothing."""
    if not task.has_classes:
        return chosen or classes
    if chosen:
        names = set(labels.explode().dropna())
        if names - set(chosen):
            raise ValueError(f"labels that the preset's classes do not name: {first_few(sorted(names - set(chosen)))}")
        return tuple(chosen)
    return task.ordered(classes) if classes else None


def _check_parts(train, test):
    """Raise `ValueError` where the rows have differing numbers of files: a channel would be missing."""
    numbers = {len(parts(source)) for table in (train, test) for source in table["source"]}
    if len(numbers) > 1:
        raise ValueError(
            f"rows have {sorted(numbers)} files each; train and test need the same channels: name them with "
            "preset=kk.Preset(train_images=..., test_images=..., channels=(...))"
        )


def metadata(table, used):
    """Return the other columns of a table; one named like a column of the kit gets the suffix `_in_csv`."""
    others = [column for column in table.columns if column not in used]
    return table[others].rename(columns={name: f"{name}_in_csv" for name in RESERVED})


def read_sample(folder, *, names=None):
    """Read the sample submission: `(table, path)`, or `(None, None)` where there is none.

    Args:
        folder: folder of the competition.
        names: names of the columns of a sample without a header.
    """
    paths = sorted(path for path in folder.iterdir() if _SAMPLE.fullmatch(path.name))
    if len(paths) > 1:
        raise ValueError(f"several sample submissions in {folder}: {[path.name for path in paths]}; keep the right one")
    if not paths:
        return None, None
    sample = read_text_csv(paths[0], names=names)
    check_unique(f"{sample.columns[0]} in {paths[0]}", sample.iloc[:, 0])
    return sample, paths[0]


def _groups(ids, pattern):
    groups = ids.str.extract(pattern)[0]
    unmatched = ids[groups.isna()]
    if len(unmatched):
        raise ValueError(f"group_pattern {pattern!r} is not found in the ids {first_few(unmatched)}")
    return groups.astype(object)


def plain_rows(ids, sources):
    """Return a table of one image per row."""
    return pd.DataFrame({"image_id": list(ids), "id": list(ids), "source": list(sources)}, dtype=object)
