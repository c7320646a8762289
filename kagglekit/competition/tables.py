"""The table that every layout is read into: one line per image."""

import dataclasses
from html import escape
from pathlib import Path

import pandas as pd

from kagglekit._checks import check_unique, first_few
from kagglekit._files import content_hash
from kagglekit.competition import environment


@dataclasses.dataclass(frozen=True, repr=False)
class Competition:
    """An image-classification competition as clean tables.

    Made by `kk.load_competition`; no method of it changes it.

    Args:
        name: the name of its folders in the workspace and below `submissions/`.
        root: the folder of the raw files; every `source` lies inside it.
        train: DataFrame with one line per image and the text columns `image_id` (unique), `id` (the submission row
            that the image belongs to), `source` (path below `root`), `label`, and `group` and metadata where given.
        test: the same without `label`; may be empty.
        sample_submission: DataFrame of text as the organiser gave it, or None.
        id_column, label_column: their names in the organiser's files.
        metric: name of the metric that the competition is scored by.
    """

    name: str
    root: Path
    train: pd.DataFrame
    test: pd.DataFrame
    sample_submission: pd.DataFrame | None = None
    id_column: str = "id"
    label_column: str = "label"
    metric: str = "accuracy"

    def __post_init__(self):
        check_unique("train image_id", self.train["image_id"])
        check_unique("test image_id", self.test["image_id"])
        empty = self.train.loc[self.train["label"].isna() | (self.train["label"] == ""), "image_id"]
        if len(empty):
            raise ValueError(f"rows without a label: {first_few(empty)}; fill the label in or remove the rows")
        if self.train["label"].nunique() < 2:
            raise ValueError(
                f"expected at least 2 classes in column {self.label_column!r}, got {self.train['label'].nunique()}; "
                "choose another column with label_column="
            )

    @property
    def class_names(self):
        """Sorted labels as a list of text; whole numbers are sorted by value. Position = the network's output."""
        names = sorted(self.train["label"].unique())
        return sorted(names, key=int) if all(name.isdecimal() for name in names) else names

    @property
    def workspace(self):
        """Folder for records, runs, tuning studies and executed notebooks."""
        return environment.workspace() / self.name

    @property
    def hash(self):
        """Names the rows: equal ids, labels, groups and sources give equal text. Pixels are hashed by the records."""
        columns = [column for column in ("image_id", "id", "source", "label", "group") if column in self.train]
        tables = [
            self.train[columns].to_numpy().tolist(),
            self.test[["image_id", "id", "source"]].to_numpy().tolist(),
        ]
        return content_hash([self.class_names, *tables])

    def __repr__(self):
        return (
            f"Competition {self.name!r}: {len(self.train)} training images of {len(self.class_names)} classes, "
            f"{len(self.test)} test images, metric {self.metric}"
        )

    def _repr_html_(self):
        counts = self.train["label"].value_counts()
        return (
            f"<b>{escape(repr(self))}</b><br>rarest class <code>{escape(str(counts.index[-1]))}</code> "
            f"({counts.iloc[-1]} images), most frequent <code>{escape(str(counts.index[0]))}</code> ({counts.iloc[0]})"
            f"<br><code>{escape(str(self.root))}</code>{self.train.head(3).to_html(index=False)}"
            "Next: <code>kk.check_images(comp)</code>, then <code>folds = kk.assign_folds(comp)</code>"
        )


def read_text_csv(path):
    """Read a CSV with every cell as text: id `00012` stays `00012`, a class `NA` stays `NA`.

    Raises:
        ValueError: naming the file, if it is empty or no table.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no readable CSV: {error}") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas would take the first cells for names of the rows
        raise ValueError(f"{path} is no readable CSV: rows have more cells than the header; quote the commas inside")
    return table.astype(object)


def as_series(values, ids, what):
    """Return `values` as a Series indexed by image_id, from a Series so indexed, a dict or a list in row order."""
    if isinstance(values, dict):
        values = pd.Series(values)
    if not isinstance(values, pd.Series):
        values = list(values)
        if len(values) != len(ids):
            raise ValueError(f"expected {what} for {len(ids)} rows, got {len(values)}")
        values = pd.Series(values, index=list(ids))
    check_unique(f"image_id in {what}", values.index)
    values = values.reindex(list(ids))
    missing = values.index[values.isna()]
    if len(missing):
        raise ValueError(f"{what} lack {len(missing)} images: {first_few(missing)}; expected one for each row of train")
    return values
