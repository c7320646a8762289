"""Probabilities keyed by id, out-of-fold and test."""

import dataclasses
import json
import zipfile

import numpy as np
import pandas as pd

from kagglekit import metrics
from kagglekit._checks import check_unique, first_few
from kagglekit._files import written_whole
from kagglekit.tasks import SINGLE_LABEL, Task, find_task


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What a run, a blend or a foreign model predicts for every row.

    Rows are joined by id, never by position.

    Args:
        name: short name, used in file names.
        class_names: names of the classes, in the order of the probabilities' columns.
        oof_ids: ids of the out-of-fold rows; empty where there are none.
        oof: float64 array `(rows, classes)`: each row predicted by a model that never saw it.
        oof_labels: class numbers `(rows,)`; for tasks without one label a row, targets `(rows, classes)`.
        oof_folds: fold numbers `(rows,)`.
        test_ids: ids of the submission's rows.
        test: float64 array `(test rows, classes)`.
        metric: the metric of `score`, a name or a `Metric`; stored as a `Metric`. Defaults to the task's usual metric.
        task: a `kagglekit.tasks.Task` or its name; it decides what a row may hold.
        per: what an id names, `"image"` or `"row"` (of the submission); None: inferred from the ids.
        info: dict of their origin: views, size, runs, weights.

    Raises:
        ValueError: if an id occurs twice, or a row has NaN or values that do not fit the task (one label, distribution:
            from 0 to 1 with sum 1; several labels: each from 0 to 1; regression: any number); it names the ids.
    """

    name: str
    class_names: list
    oof_ids: np.ndarray
    oof: np.ndarray
    oof_labels: np.ndarray
    oof_folds: np.ndarray
    test_ids: np.ndarray
    test: np.ndarray
    metric: str | metrics.Metric | None = None
    task: Task = SINGLE_LABEL
    per: str | None = None
    info: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "task", find_task(self.task))
        object.__setattr__(self, "metric", metrics.find_metric(self.metric or self.task.metric, self.task))
        object.__setattr__(self, "oof_labels", self.task.as_labels(self.oof_labels))
        object.__setattr__(self, "oof_folds", np.asarray(self.oof_folds, np.int64))
        for part in ("oof", "test"):
            ids = np.asarray(getattr(self, f"{part}_ids"), dtype=str)
            rows = np.asarray(getattr(self, part), np.float64).reshape(-1, len(self.class_names))
            object.__setattr__(self, f"{part}_ids", ids)
            object.__setattr__(self, part, rows)
            if len(ids) != len(rows):
                raise ValueError(f"{self.name}: {len(ids)} {part} ids for {len(rows)} rows of probabilities")
            check_unique(f"{part} id of {self.name}", ids.tolist())
            self.task.check_predictions(f"{self.name}, {part}", ids, rows)

    @property
    def score(self):
        """The metric over the out-of-fold rows, or None if there are none."""
        if not len(self.oof):
            return None
        return metrics.score(self.metric, self.oof_labels, self.oof, self.task, self.class_names)

    @classmethod
    def from_frame(cls, test, oof=None, *, name="foreign", id_column=None, metric=None, task=SINGLE_LABEL):
        """Make `Predictions` of the probabilities of any model.

        Args:
            test: DataFrame with an id column and one column of probabilities per class.
            oof: the same for the training rows, with the column `label` (in the form of `Competition`'s) and, if
                known, `fold`. Defaults to none.
            name: short name.
            id_column: name of the id column. Defaults to the first.
            metric: name of the metric, or a `Metric`. Defaults to the task's usual metric.
            task: as in `Competition`.

        Example:

        >>> frame = pd.DataFrame({"id": ["a", "b"], "cat": [0.9, 0.2], "dog": [0.1, 0.8]})
        >>> Predictions.from_frame(frame).class_names
        ['cat', 'dog']
        """
        id_column = id_column or test.columns[0]
        class_columns = [column for column in test.columns if column != id_column]
        oof = test.iloc[:0].assign(label="", fold=0) if oof is None else oof
        missing = [column for column in [id_column, "label", *class_columns] if column not in oof]
        if missing:
            raise ValueError(f"the out-of-fold frame lacks the columns {first_few(missing)}; got {list(oof.columns)}")
        task = find_task(task)
        try:
            targets = task.targets(task.in_form(oof["label"]).tolist(), [str(label) for label in class_columns])
        except ValueError as error:
            raise ValueError(f"the out-of-fold frame with the probabilities of {class_columns}: {error}") from error
        return cls(
            name=name,
            class_names=[str(label) for label in class_columns],
            oof_ids=oof[id_column].astype(str).to_numpy(),
            oof=oof[class_columns].to_numpy(np.float64),
            oof_labels=targets,
            oof_folds=(oof["fold"] if "fold" in oof else pd.Series(0, oof.index)).to_numpy(np.int64),
            test_ids=test[id_column].astype(str).to_numpy(),
            test=test[class_columns].to_numpy(np.float64),
            metric=metric,
            task=task,
        )

    def fitted_to(self, comp):
        """Return these predictions with the competition's order of classes and one line per submission row.

        Several images of one row (`id`) become their mean, out-of-fold and test.

        Args:
            comp: a `Competition`.

        Raises:
            ValueError: if the classes or the task are not the competition's.
        """
        if set(self.class_names) != set(comp.class_names):
            raise ValueError(f"{self.name} has the classes {self.class_names}, the competition {comp.class_names}")
        if self.task != comp.task:
            raise ValueError(f"{self.name} is of the task {self.task!r}, the competition of {comp.task!r}")
        order = [self.class_names.index(name) for name in comp.class_names]
        changes = {"class_names": comp.class_names, "per": "row"}
        for part, table in (("oof", comp.train), ("test", comp.test)):
            ids, rows = getattr(self, f"{part}_ids"), getattr(self, part)[:, order]
            first_positions = np.arange(len(ids))
            per_image = self.per == "image" or (self.per is None and not set(ids) <= set(table["id"]))
            if per_image and not table["image_id"].equals(table["id"]):
                row_of = dict(zip(table["image_id"], table["id"], strict=True))
                row_ids = pd.Series([row_of.get(identifier, identifier) for identifier in ids.tolist()], dtype=object)
                row_codes, _ = pd.factorize(row_ids)
                first_positions = np.unique(row_codes, return_index=True)[1]
                sums = np.zeros((len(first_positions), rows.shape[1]))
                np.add.at(sums, row_codes, rows)
                rows = sums / np.bincount(row_codes, minlength=len(first_positions))[:, None]
                ids = row_ids.to_numpy(dtype=str)[first_positions]
            changes |= {f"{part}_ids": ids, part: rows}
            if part == "oof":
                labels = self.task.reorder(self.oof_labels[first_positions], order)
                changes |= {"oof_labels": labels, "oof_folds": self.oof_folds[first_positions]}
        return dataclasses.replace(self, **changes)

    def save(self, path):
        """Write everything to one `.npz` file, whole or not at all."""
        arrays = {field: getattr(self, field) for field in _ARRAYS}
        header = {name: getattr(self, name) for name in ("name", "per", "info")}
        header |= {"task": str(self.task), "metric": str(self.metric), "classes": self.class_names}
        header_json = json.dumps(header)
        with written_whole(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, text=np.array(header_json), **arrays)

    @classmethod
    def load(cls, path, *, metric=None):
        """Read what `save` wrote; nothing is unpickled.

        Args:
            path: the file.
            metric: name or `Metric` of `score`. Defaults to the stored name; required if that is the name of a metric
                of your own.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                header = json.loads(str(stored["text"]))
                arrays = {field: stored[field] for field in _ARRAYS}
        except (zipfile.BadZipFile, KeyError, EOFError, ValueError) as error:
            raise ValueError(
                f"{path} is not a file of Predictions ({error}); delete it and call kk.predict again"
            ) from error
        if metric is None and header["metric"] not in metrics.METRICS:
            raise ValueError(
                f"{path} holds predictions scored by {header['metric']!r}, a metric of your own, of which the file "
                "stores only the name; pass it with Predictions.load(path, metric=...)"
            )
        settings = {"metric": metric or header["metric"], "task": header["task"], "per": header["per"]}
        return cls(header["name"], header["classes"], **arrays, **settings, info=header["info"])

    def __repr__(self):
        views = f", views {', '.join(self.info['views'])}" if "views" in self.info else ""
        score = "no out-of-fold rows" if self.score is None else f"out-of-fold {self.metric} {self.score:.4f}"
        return (
            f"Predictions {self.name!r}: {len(self.oof)} out-of-fold rows, {len(self.test)} test rows, {score}{views}"
        )

    def _repr_html_(self):
        from html import escape

        return f"<b>{escape(repr(self))}</b><br>Next: <code>kk.make_submission(comp, predictions)</code>"


_ARRAYS = ("oof_ids", "oof", "oof_labels", "oof_folds", "test_ids", "test")
