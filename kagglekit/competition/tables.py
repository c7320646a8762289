"""The table that every layout is read into: one line per image."""

import dataclasses
from html import escape
from pathlib import Path

import pandas as pd

from kagglekit import _paths
from kagglekit._checks import check_unique, first_few
from kagglekit._files import content_hash
from kagglekit.competition.columns import RESERVED, metadata_columns
from kagglekit.metrics import Metric, find_metric, try_out
from kagglekit.tasks import SINGLE_LABEL, Task, find_task


@dataclasses.dataclass(frozen=True, repr=False)
class Competition:
    """An image-classification competition as clean tables.

    Made by `kk.load_competition` or `kk.from_arrays`; no method of it changes it.

    Args:
        name: the name of its folders in the workspace and below `submissions/`.
        root: the folder of the raw files; every `source` is inside it.
        train: DataFrame with one line per image: `image_id` (unique text), `id` (text, the submission row that the
            image belongs to; several images may share one), `source` (see `kagglekit.competition.sources`), `label`,
            and `group` and metadata (text, empty where missing) where given.
        test: the same without `label`; may be empty.
        sample_submission: DataFrame of text as the organiser gave it, or None.
        id_column, label_column: their names in the organiser's files.
        metric: name of the metric that the competition is scored by, or a `kk.Metric` of your own; it is stored as a
            `Metric`. Defaults to what is usual for the task.
        task: what a label is, a `kagglekit.tasks.Task` or its name. `"single_label"`: text, the class. `"ordinal"`: the
            same, of ordered classes (grades). `"multi_label"`: a tuple of class names, perhaps empty.
            `"regression"`: a float, or a tuple of them. `"distribution"`: a tuple of floats, one for each class, that
            sum to 1.
        classes: names of the network's outputs. Defaults to the labels that occur, sorted; needed for `"distribution"`
            and for grades whose names are not numbers.
        submission_form: see `kk.make_submission`. Defaults to what the sample submission shows.
        submission_header: whether a submission begins with the names of its columns.
    """

    name: str
    root: Path
    train: pd.DataFrame
    test: pd.DataFrame
    sample_submission: pd.DataFrame | None = None
    id_column: str = "id"
    label_column: str = "label"
    metric: str | Metric | None = None
    task: Task = SINGLE_LABEL
    classes: tuple | None = None
    submission_form: str | None = None
    submission_header: bool = True

    def __post_init__(self):
        object.__setattr__(self, "task", find_task(self.task))
        object.__setattr__(self, "metric", find_metric(self.metric or self.task.metric, self.task))
        check_unique("train image_id", self.train["image_id"])
        check_unique("test image_id", self.test["image_id"])
        empty = self.train.loc[self.train["label"].isna() | (self.train["label"] == ""), "image_id"]
        if len(empty):
            raise ValueError(f"rows without a label: {first_few(empty)}; fill the label in or remove the rows")
        self.task.check_labels(self.train["label"], self.label_column)
        if self.classes is None:
            object.__setattr__(self, "classes", self.task.class_names(self.train["label"], self.label_column))
        if not self.metric.built_in:  # a mistake in it would show after an epoch of training
            try_out(self.metric, self.targets, self.task, self.class_names)

    @property
    def class_names(self):
        """Names of the outputs as a list of text, whole numbers sorted by value. Position = the network's output."""
        return list(self.classes)

    @property
    def targets(self):
        """What a network learns: class numbers, int64 `(rows,)`, for one label; else float32 `(rows, outputs)`."""
        return self.task.targets(self.train["label"], self.classes)

    @property
    def metadata_columns(self):
        """Names of the columns of `train` that are metadata, as a list: those without a meaning of the kit's."""
        return metadata_columns(self.train)

    @property
    def folders(self):
        """Where its records, runs, tuning studies and the like are: `kagglekit._paths.Folders`."""
        return _paths.folders_of(self.name)

    @property
    def workspace(self):
        """Folder for records, runs, tuning studies and executed notebooks."""
        return self.folders.root

    @property
    def hash(self):
        """Hash of the rows: equal ids, labels, groups and sources give equal text. Pixels are hashed by the records."""
        columns = [column for column in RESERVED if column in self.train]
        # Piece by piece: one text of millions of rows would be the largest thing in memory
        pieces = [
            content_hash(table.iloc[first : first + 2_000][names].to_numpy().tolist(), length=32)
            for table, names in ((self.train, columns), (self.test, ["image_id", "id", "source"]))
            for first in range(0, len(table), 2_000)
        ]
        return content_hash([self.class_names, len(self.train), pieces, str(self.task)])

    def __repr__(self):
        return (
            f"Competition {self.name!r}: {len(self.train)} training images of "
            f"{self.task.describe_outputs(len(self.classes))}, {len(self.test)} test images, metric {self.metric}"
        )

    def class_counts(self):
        """Return the number of training images of each class, most frequent first; None where labels are numbers."""
        return self.task.class_counts(self.train["label"], self.class_names)

    def _repr_html_(self):
        counts = self.class_counts()
        extremes = (
            ""
            if counts is None
            else (
                f"rarest class <code>{escape(str(counts.index[-1]))}</code> ({counts.iloc[-1]} images), most frequent "
                f"<code>{escape(str(counts.index[0]))}</code> ({counts.iloc[0]})<br>"
            )
        )
        return (
            f"<b>{escape(repr(self))}</b><br>{extremes}"
            f"<code>{escape(str(self.root))}</code>{self.train.head(3).to_html(index=False)}"
            "Next: <code>kk.check_images(comp)</code>, then <code>folds = kk.assign_folds(comp)</code>"
        )


def read_text_csv(path, *, names=None):
    """Read a CSV with every cell as text: id `00012` stays `00012`, a class `NA` stays `NA`.

    Commas, semicolons, tabs, bars or spaces may separate the cells; the first line decides.

    Args:
        path: the file.
        names: names of the columns of a table without a header; `""` leaves a column out.

    Raises:
        ValueError: naming the file, if it is empty or no table.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            first = file.readline()
        best = max(",;\t|", key=first.count)
        separator = best if best in first else " " if names else ","
        table = pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            sep=separator,
            header=None if names else "infer",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a readable CSV: {error}") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas would take the first cells for names of the rows
        raise ValueError(f"{path} is not a readable CSV: rows have more cells than the header; quote the commas inside")
    if names:
        if len(names) != len(table.columns):
            raise ValueError(f"{path} has {len(table.columns)} columns, the names are for {len(names)}: {list(names)}")
        table.columns = list(names)
        table = table[[name for name in names if name]]
    table = table.astype(object)
    for column in table:
        if table[column].str.contains("\n").any():  # a stray quotation mark swallows the rows up to the next one
            row = table.index[table[column].str.contains("\n")][0]
            raise ValueError(
                f"{path}, row {row + 1}: a cell of column {column!r} runs over several lines; a quotation mark is open"
            )
    return table


def as_series(values, ids, what):
    """Return `values` as a Series indexed by image_id, from a Series so indexed, a dict or a list in row order."""
    if isinstance(values, dict):
        values = pd.Series(values)
    ids = pd.Index(ids).rename(None)
    if isinstance(values, pd.Series):
        check_unique(f"image_id in {what}", values.index)
        values = values.reindex(ids)
    else:
        values = list(values)
        if len(values) != len(ids):
            raise ValueError(f"expected {what} for {len(ids)} rows, got {len(values)}")
        values = pd.Series(values, index=ids)
    missing = values.index[values.isna()]
    if len(missing):
        raise ValueError(f"{what} lack {len(missing)} images: {first_few(missing)}; expected one for each row of train")
    return values


def row_folds(comp, folds):
    """Return the fold of every training row, integers indexed by image_id; a copy without one has its original's.

    Args:
        comp: a `Competition`, perhaps what `kk.expand` returned.
        folds: as `as_series` takes them.
    """
    if "copy_of" in comp.train and isinstance(folds, dict | pd.Series):
        folds = pd.Series(folds)
        unnamed = comp.train[(comp.train["copy_of"] != "") & ~comp.train["image_id"].isin(folds.index)]
        inherited = folds.reindex(unnamed["copy_of"]).set_axis(unnamed["image_id"].tolist())
        folds = pd.concat([folds, inherited])
    return as_series(folds, comp.train["image_id"], "folds").astype(int)
