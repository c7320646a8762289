"""A submission file: exactly what the sample asks for, or no file at all."""

import json
import platform
import re
from pathlib import Path

import numpy as np
import pandas as pd

from kagglekit import __version__
from kagglekit._checks import check_unique, first_few, nearest
from kagglekit._files import content_hash, written_whole
from kagglekit.competition import environment
from kagglekit.predictions.store import Predictions, check_probabilities


def make_submission(comp, predictions, path=None):
    """Write a submission that has exactly the sample's columns, ids and order, checked before it is written.

    The form follows the sample: class names (one column whose sample values are classes), probabilities per class (one
    column for each class), or the probability of one class (one numeric column and two classes: the class that the
    column is named after, else the second).

    Args:
        comp: a `Competition`.
        predictions: `Predictions`, or a DataFrame that is a submission already or holds an id column and one column of
            probabilities per class; its rows may stand in any order.
        path: the `.csv` file to write. Defaults to `submissions/<competition>/<name>.csv`, named after the predictions,
            their score and a hash of the content.

    Returns:
        Path of the CSV. Beside it stands a `.json` with runs, weights, score and versions; on Kaggle the file is also
        written to `/kaggle/working/submission.csv`.

    Raises:
        ValueError: if ids are missing, foreign or doubled, a label is no class, or probabilities are NaN or do not sum
            to 1; names them. Nothing is written then.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> kk.make_submission(comp, comp.sample_submission, path="/tmp/kagglekit-example/zeros.csv").name
    'zeros.csv'
    """
    if comp.test.empty:
        raise ValueError(
            f"{comp.name} has no test images, so there is nothing to submit; put them into {comp.root / 'test'}"
        )
    if path is not None and (Path(path).suffix != ".csv" or Path(path).is_dir()):
        raise ValueError(f"expected path to name a file that ends in .csv, got {str(path)!r}")
    sample = _sample(comp)
    if isinstance(predictions, Predictions):
        frame = _from_predictions(comp, sample, predictions)
        about = {
            "name": predictions.name,
            "metric": predictions.metric,
            "cv_score": predictions.score,
            **predictions.info,
        }
    elif isinstance(predictions, pd.DataFrame):
        frame = _from_frame(comp, sample, predictions)
        about = {"name": "frame", "metric": comp.metric, "cv_score": None}
    else:
        raise TypeError(f"expected Predictions or a DataFrame, got {type(predictions).__name__}")
    text = frame.to_csv(index=False, lineterminator="\n")
    if path is None:
        score = "" if about["cv_score"] is None else f"-cv{about['cv_score']:.4f}"
        name = re.sub(r"[^\w.-]+", "_", about["name"])
        path = environment.submissions_folder() / comp.name / f"{name}{score}-{content_hash(text)}.csv"
    path = Path(path)
    versions = {"kagglekit": __version__} | environment.installed_versions("keras", "tensorflow", "numpy", "pandas")
    about |= {
        "competition": comp.name,
        "rows": len(frame),
        "python": platform.python_version(),
        "versions": versions,
    }
    # The json first: a CSV that is there always has its json beside it.
    _write(path.with_suffix(".json"), json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    _write(path, text)
    if environment.on_kaggle():
        _write(environment.KAGGLE_ROOT / "working" / "submission.csv", text)
    return path


def _write(path, text):
    with written_whole(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def _sample(comp):
    if comp.sample_submission is not None:
        return comp.sample_submission
    return pd.DataFrame({comp.id_column: comp.test["id"], comp.label_column: comp.class_names[0]})


def _form(comp, sample):
    """Return `"labels"`, `"probabilities"` or `"one probability"`: what the sample's columns after the id ask for."""
    columns = list(sample.columns[1:])
    if len(columns) == 1:
        values = sample[columns[0]]
        if set(values) <= set(comp.class_names):
            return "labels"
        if len(comp.class_names) == 2 and pd.to_numeric(values, errors="coerce").notna().all():
            return "one probability"
        if comp.label_column == columns[0]:  # a placeholder such as "" or "unknown"
            return "labels"
    if set(columns) == set(comp.class_names):
        return "probabilities"
    raise ValueError(
        f"cannot tell what the sample submission asks for: its columns {columns} are neither the label column "
        f"{comp.label_column!r} nor the classes {first_few(comp.class_names)}"
    )


def _from_predictions(comp, sample, predictions):
    if predictions.class_names != comp.class_names:
        raise ValueError(
            f"{predictions.name} has the classes {predictions.class_names}, the competition {comp.class_names}"
        )
    frame = pd.DataFrame(predictions.test, columns=predictions.class_names)
    frame.insert(0, sample.columns[0], predictions.test_ids)
    return _from_frame(comp, sample, frame)


def _from_frame(comp, sample, frame):
    id_column, columns, form = sample.columns[0], list(sample.columns[1:]), _form(comp, sample)
    if id_column not in frame:
        raise ValueError(
            f"expected a column {id_column!r}.{nearest(id_column, frame.columns)} Got {list(frame.columns)}"
        )
    frame = frame.rename(columns=str)
    ids = frame[id_column].map(str)
    check_unique(f"{id_column} of the submission", ids)
    wanted = sample[id_column].tolist()
    missing, foreign = sorted(set(wanted) - set(ids)), sorted(set(ids) - set(wanted))
    if missing or foreign:
        raise ValueError(
            f"the ids are not the sample submission's: {len(missing)} missing ({first_few(missing)}), {len(foreign)} "
            f"foreign ({first_few(foreign)}); ids are text, so 12 is not 00012"
        )
    frame = frame.assign(**{id_column: ids}).set_index(id_column).loc[wanted]
    if set(comp.class_names) <= set(frame.columns):
        probabilities = frame[comp.class_names].to_numpy(np.float64)
        check_probabilities("submission", wanted, probabilities)
        values = {
            "labels": lambda: {columns[0]: np.array(comp.class_names, dtype=object)[probabilities.argmax(axis=1)]},
            "one probability": lambda: {columns[0]: probabilities[:, _asked_class(comp, columns[0])]},
            "probabilities": lambda: {name: probabilities[:, comp.class_names.index(name)] for name in columns},
        }[form]()
    else:
        values = _ready_values(comp, columns, form, frame)
    return pd.DataFrame({id_column: wanted, **values})[list(sample.columns)]


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
    if form == "labels":
        labels = frame[columns[0]].map(str)
        unknown = labels[~labels.isin(comp.class_names)]
        if len(unknown):
            raise ValueError(
                f"labels that are no class: {first_few(unknown.unique())} for ids {first_few(unknown.index)}"
            )
        return {columns[0]: labels.to_numpy()}
    # One probability, since a frame with a column for each class never comes here; the rest is the other class's.
    values = pd.to_numeric(frame[columns[0]], errors="coerce").to_numpy(np.float64)
    check_probabilities("submission", frame.index, np.stack([1 - values, values], axis=1))
    return {columns[0]: values}
