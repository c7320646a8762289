"""A run on disk: its recipe, the results of its folds, and where to resume."""

import dataclasses
import os
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from kagglekit import _paths, metrics
from kagglekit._files import read_json
from kagglekit.recipe import Recipe
from kagglekit.records.read import open_records
from kagglekit.tasks import find_task


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """A cross-validated training run, made by `kk.cross_validate` and listed by `kk.list_runs`.

    The folder holds `recipe.yaml`, `environment.json`, `run.json`, one folder per finished fold (`model.keras`,
    `oof.npz`, `history.csv` and the same for TensorBoard), `predictions/` and, after `kk.refit`, `refit/`. A fold's
    folder appears when the fold is complete.

    Paths in `run.json` are relative, so a workspace may be moved or copied as a whole.

    Args:
        folder: folder of the run, a `Path` or string.
        metric: name or `Metric` that `score` computes. Defaults to the one that the run was trained for, which must be
            given if it is one of your own: the files hold only its name.

    Raises:
        FileNotFoundError: if the folder does not hold a run.
    """

    folder: Path

    def __init__(self, folder, *, metric=None):
        object.__setattr__(self, "folder", Path(os.path.abspath(Path(folder).expanduser())))
        object.__setattr__(self, "_metric", None if metric is None else metrics.find_metric(metric))
        if not (self.folder / "run.json").is_file():
            raise FileNotFoundError(
                f"{self.folder} has no run.json; expected the folder of a run, as kk.list_runs(comp) finds them"
            )

    @property
    def name(self):
        return self.folder.name

    @cached_property
    def recipe(self):
        return Recipe.from_yaml(self.folder / "recipe.yaml")

    @cached_property
    def info(self):
        """The content of `run.json`, which never changes.

        `competition`, `hash` (of all but `folds`), `class_names`, `task`, `metric`, `precision`, `folds` (numbers),
        `model`, `pixels` (hash of the records), `workspace` (of the competition, relative to the run's folder) and
        `records` (relative to the workspace).
        """
        return read_json(self.folder / "run.json")

    @property
    def _folders(self):
        """The competition's folders: those around the run, wherever they were moved, else those of the workspace."""
        beside_run = _paths.Folders(Path(os.path.normpath(self.folder / self.info["workspace"])))
        configured = _paths.folders_of(self.info["competition"])
        with_records = [
            folders for folders in (beside_run, configured) if (folders.root / self.info["records"]).is_dir()
        ]
        return with_records[0] if with_records else beside_run

    def records(self):
        """Open the `Records` that the run was trained on.

        Raises:
            FileNotFoundError: if they are not in the run's workspace.
            ValueError: if their rows or pixels have changed.
        """
        folder = self._folders.root / self.info["records"]
        if not (folder / "manifest.json").is_file():
            raise FileNotFoundError(
                f"the records of {self.name} are not in {folder}; copy that folder from the workspace where the run "
                "was trained, or let kk.cross_validate(comp, folds, run.recipe) write it again: finished folds are not "
                "trained again"
            )
        records = open_records(folder)
        if records.hash != self.info["pixels"]:
            raise ValueError(f"the images of {self.name} have changed since it was trained; train it again")
        return records

    def features(self):
        """Return the folder of the feature cache, which all runs of a competition share."""
        return self._folders.features

    def fold_folder(self, fold):
        return self.folder / (fold if fold == "refit" else f"fold{fold}")

    @property
    def finished_folds(self):
        return [fold for fold in self.info["folds"] if self.fold_folder(fold).is_dir()]

    @property
    def complete(self):
        return self.finished_folds == self.info["folds"]

    def model(self, fold):
        """Load the network of a fold, or `"refit"`: from batches of `eval_dataset` to probabilities."""
        import keras

        return keras.saving.load_model(self.model_file(fold), compile=False, safe_mode=True)

    def model_file(self, fold):
        """Return the path of the network of a fold, or `"refit"`.

        Raises:
            FileNotFoundError: if there is none yet.
        """
        path = self.fold_folder(fold) / "model.keras"
        if not path.is_file():
            hint = "call kk.refit(run)" if fold == "refit" else f"finished folds: {self.finished_folds}"
            trained_as = "the refit" if fold == "refit" else f"fold {fold}"
            raise FileNotFoundError(f"{self.name} has no model of {trained_as}; {hint}")
        return path

    def oof_arrays(self):
        """Return the out-of-fold predictions of the finished folds as they are stored, a dict of arrays.

        `image_ids` and `folds` `(rows,)`, `labels` (class numbers, or targets `(rows, classes)`) and `probabilities`
        `(rows, classes)`, float32.
        """
        fold_arrays = []
        for fold in self.finished_folds:
            with np.load(self.fold_folder(fold) / "oof.npz", allow_pickle=False) as stored:
                fold_arrays.append(dict(stored) | {"folds": np.full(len(stored["image_ids"]), fold)})
        if not fold_arrays:
            raise FileNotFoundError(f"{self.folder} has no finished fold yet; call kk.cross_validate again to resume")
        return {name: np.concatenate([arrays[name] for arrays in fold_arrays]) for name in fold_arrays[0]}

    @property
    def oof(self):
        """Out-of-fold predictions of the finished folds, a DataFrame.

        It has `image_id`, `fold`, `label`, `predicted` and one column of probabilities per class; for another task than
        one label per row it has numbers per class, and columns `true <class>` in place of `label` and `predicted`.
        """
        arrays = self.oof_arrays()
        columns = self.task.oof_columns(self.info["class_names"], arrays["labels"], arrays["probabilities"])
        names, values = zip(("image_id", arrays["image_ids"]), ("fold", arrays["folds"]), *columns, strict=True)
        return pd.DataFrame(dict(enumerate(values))).set_axis(list(names), axis=1)

    @property
    def task(self):
        return find_task(self.info["task"])

    @property
    def metric(self):
        """The `Metric` that `score` computes."""
        return self._metric or self.trained_metric

    @property
    def trained_metric(self):
        """The `Metric` that the run was trained for: `history` has its values, early stopping went by it.

        Raises:
            ValueError: if it is not a built-in metric and was not given.
        """
        name = self.info["metric"]
        if self._metric == name:
            return self._metric
        if name not in metrics.METRICS:
            raise ValueError(
                f"{self.name} was trained for {name!r}, a metric of your own, of which a run stores only the name; "
                f"open it with kk.Run({str(self.folder)!r}, metric=...)"
            )
        return metrics.METRICS[name]

    @property
    def score(self):
        """The metric over all out-of-fold rows of the finished folds."""
        arrays = self.oof_arrays()
        return self._score(arrays["labels"], arrays["probabilities"])

    def scores(self):
        """Return the metric of each finished fold: `{fold: score}`."""
        arrays = self.oof_arrays()
        rows_of = {int(fold): arrays["folds"] == fold for fold in np.unique(arrays["folds"])}
        return {
            fold: self._score(arrays["labels"][rows], arrays["probabilities"][rows]) for fold, rows in rows_of.items()
        }

    @property
    def best_fold(self):
        """Number of the finished fold with the best score; a fold whose score is NaN only if all are."""
        return self.metric.best(self.scores())

    def _score(self, labels, probabilities):
        probabilities = probabilities.astype(np.float64)
        return metrics.score(self.metric, labels, probabilities, self.task, self.info["class_names"])

    @property
    def history(self):
        """One line per fold and epoch: losses, metric, learning rate, seconds."""
        return pd.concat(
            [pd.read_csv(self.fold_folder(fold) / "history.csv") for fold in self.finished_folds],
            ignore_index=True,
        )

    def __repr__(self):
        done, folds = self.finished_folds, self.info["folds"]
        score = f", out-of-fold {self.metric} {self.score:.4f}" if done and self._can_score else ""
        return f"Run {self.name}: {len(done)} of {len(folds)} folds{score}"

    @property
    def _can_score(self):
        return self._metric is not None or self.info["metric"] in metrics.METRICS

    def _repr_html_(self):
        scores = self.scores() if self._can_score else {}
        rows = "".join(f"<tr><td>{fold}</td><td>{score:.4f}</td></tr>" for fold, score in scores.items())
        next_call = "kk.predict(run)" if self.complete else "kk.cross_validate(comp, folds, recipe) to resume"
        return (
            f"<b>{self!r}</b><table><tr><th>fold</th><th>{self._metric or self.info['metric']}</th></tr>{rows}</table>"
            f"<code>{self.folder}</code><br>Next: <code>{next_call}</code>"
        )


def list_runs(comp):
    """Return the competition's complete runs, in the order of their names.

    Args:
        comp: a `Competition`.

    Returns:
        List of `Run`, whose scores are of the competition's metric. Unfinished runs are left out; calling
        `kk.cross_validate` again finishes them.
    """
    folders = sorted(comp.folders.runs.glob("*/run.json"))
    return [run for run in (Run(path.parent, metric=comp.metric) for path in folders) if run.complete]


def best_run(comp):
    """Return the complete run with the best out-of-fold score.

    Raises:
        FileNotFoundError: if no run is complete yet.
    """
    runs = list_runs(comp)
    if not runs:
        raise FileNotFoundError(f"no complete run below {comp.folders.runs}; call kk.cross_validate first")
    return runs[comp.metric.best([run.score for run in runs])]
