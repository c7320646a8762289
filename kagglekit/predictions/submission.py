"""A submission file: exactly what the sample asks for, or no file at all."""

import json
import platform
import re
from pathlib import Path

import numpy as np
import pandas as pd

from kagglekit import __version__, _paths
from kagglekit._files import content_hash, written_whole
from kagglekit.predictions.forms import sample_of, submission_frame
from kagglekit.predictions.store import Predictions


def make_submission(comp, predictions, path=None):
    """Write a submission that has exactly the sample's columns, ids and order, checked before it is written.

    The form is the competition's `submission_form`, else it follows from the sample and the task:
    `"labels"`: a class name (one column whose sample values are classes);
    `"label lists"`: class names joined by spaces, those with probability 0.5 or more, else the most probable one;
    `"probabilities"`: one column for each class;
    `"one probability"`: one numeric column and two classes: the class that the column is named after, else the second;
    `"values"`: the numbers of a regression.
    Several images of one row are averaged.

    Args:
        comp: a `Competition`.
        predictions: `Predictions`, or a DataFrame that is a submission already or holds an id column and one column of
            probabilities per class; its rows may be in any order. Ids are submission rows or images.
        path: the `.csv` file to write. Defaults to `submissions/<competition>/<name>.csv`, named after the predictions,
            their score and a hash of the content.

    Returns:
        Path of the CSV. A `.json` next to it holds runs, weights, score and versions; on Kaggle the file is also
        written to `/kaggle/working/submission.csv`.

    Raises:
        ValueError: if ids are missing, foreign or duplicated, a label is not a class, or probabilities are NaN
            or do not sum to 1; it names them, and nothing is written.

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
    if path is not None and Path(path).resolve().is_relative_to(Path(comp.root).resolve()):
        raise ValueError(f"{path} is among the organiser's files in {comp.root}; choose another folder")
    sample = sample_of(comp)
    if isinstance(predictions, Predictions):
        predictions = predictions.fitted_to(comp)
        table = pd.DataFrame(predictions.test, columns=predictions.class_names)
        table.insert(0, sample.columns[0], predictions.test_ids)
        frame = submission_frame(comp, sample, table)
        summary = {
            "name": predictions.name,
            "metric": predictions.metric.name,
            "cv_score": None if predictions.score is None or np.isnan(predictions.score) else predictions.score,
            **predictions.info,
        }
    elif isinstance(predictions, pd.DataFrame):
        frame = submission_frame(comp, sample, predictions)
        summary = {"name": "frame", "metric": comp.metric.name, "cv_score": None}
    else:
        raise TypeError(f"expected Predictions or a DataFrame, got {type(predictions).__name__}")
    csv_text = frame.to_csv(index=False, lineterminator="\n", header=comp.submission_header)
    if path is None:
        score = "" if summary["cv_score"] is None else f"-cv{summary['cv_score']:.4f}"
        name = re.sub(r"[^\w.-]+", "_", summary["name"])
        path = _paths.submissions_folder(comp.name) / f"{name}{score}-{content_hash(csv_text)}.csv"
    path = Path(path)
    versions = {"kagglekit": __version__} | _paths.installed_versions("keras", "tensorflow", "numpy", "pandas")
    summary |= {
        "competition": comp.name,
        "rows": len(frame),
        "python": platform.python_version(),
        "versions": versions,
    }
    # The json first, so that no CSV is ever without its json.
    _write(path.with_suffix(".json"), json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    _write(path, csv_text)
    if _paths.on_kaggle():
        _write(_paths.KAGGLE_ROOT / "working" / "submission.csv", csv_text)
    return path


def _write(path, text):
    with written_whole(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
