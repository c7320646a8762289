"""Metadata columns as inputs of a network: numbers and categories, with missing and unknown values."""

import re
import warnings

import numpy as np

from kagglekit._checks import first_few
from kagglekit.records.read import read_only

_MISSING_WORDS = ("", "na", "n/a", "nan", "none", "null")
MISSING, UNKNOWN, FIRST = 0, 1, 2  # codes of a category; the values that `fit` saw follow


class MetadataEncoder:
    """Turns columns of a table into arrays that a network takes.

    Args:
        numeric: names of columns of numbers.
        categorical: names of columns of categories.

    Attributes (after `fit`):
        means_, deviations_: lists of floats, one for each numeric column, without missing values; the deviation is 1
            where all numbers are equal, so that a different one in test does not explode.
        vocabularies_: lists of text, one for each categorical column, sorted.
        sizes_: number of codes of each categorical column.

    Example:

    >>> import pandas as pd
    >>> table = pd.DataFrame({"age": [30, None, 50], "site": ["arm", "leg", None]})
    >>> encoder = MetadataEncoder(numeric=["age"], categorical=["site"]).fit(table)
    >>> encoder.transform(pd.DataFrame({"age": [40], "site": ["nose"]}))
    {'numbers': array([[40.]], dtype=float32), 'categories': array([[1]], dtype=int32)}
    """

    def __init__(self, numeric=(), categorical=()):
        self.numeric, self.categorical = list(numeric), list(categorical)

    def fit(self, table):
        """Learn means, deviations and vocabularies from the rows that are trained on, and return self."""
        if not self.numeric and not self.categorical:
            raise ValueError("expected the name of at least one numeric or categorical column, got none")
        numbers = self._numbers(table)
        for name, column in zip(self.numeric, numbers.T, strict=True):
            if np.isnan(column).all():
                raise ValueError(f"column {name!r} holds no number; leave it out")
        self.means_ = [float(np.nanmean(column)) for column in numbers.T]
        self.deviations_ = [
            max(float(np.nanstd(column)), 1e-6) if np.nanmax(column) > np.nanmin(column) else 1.0
            for column in numbers.T
        ]
        self.vocabularies_ = [sorted(set(_texts(table[name])) - {None}) for name in self.categorical]
        self.sizes_ = [FIRST + len(vocabulary) for vocabulary in self.vocabularies_]
        return self

    def transform(self, table):
        """Return `{"numbers": float32 (rows, columns), "categories": int32 (rows, columns)}`, each if it has columns.

        A missing value is NaN among the numbers and 0 among the categories; a category that `fit` did not see is 1.
        """
        arrays = {}
        if self.numeric:
            arrays["numbers"] = self._numbers(table)
        if self.categorical:
            columns = []
            for name, vocabulary in zip(self.categorical, self.vocabularies_, strict=True):
                codes = {value: number for number, value in enumerate(vocabulary, FIRST)} | {None: MISSING}
                columns.append([codes.get(value, UNKNOWN) for value in _texts(table[name])])
            arrays["categories"] = np.array(columns, np.int32).T
        return arrays

    def _numbers(self, table):
        import pandas as pd

        columns = [pd.to_numeric(table[name], errors="coerce") for name in self.numeric]
        for name, column in zip(self.numeric, columns, strict=True):
            cells = table[name][column.isna() & table[name].notna()].astype(str).str.strip()
            words = cells[~cells.str.lower().isin(_MISSING_WORDS)]
            if len(words):
                examples = first_few(sorted(set(words)))
                warnings.warn(
                    f"{len(words)} of {len(column)} cells of column {name!r} are not numbers and count as missing: "
                    f"{examples}; repair them, or name the column in categorical",
                    stacklevel=2,
                )
        numbers = np.array([column.to_numpy(np.float32, na_value=np.nan) for column in columns], np.float32).T
        return np.where(np.isfinite(numbers), numbers, np.float32(np.nan))


def fitted_encoder(records, recipe):
    """Fit an encoder of the columns that a recipe names on all rows of all folds.

    Means, deviations and vocabularies use no labels. A category that only the held-out fold has keeps an embedding of
    zeros, since no training row has it. The same records give the same encoder, so a run does not store it.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `numeric` and `categorical` are used.

    Returns:
        `MetadataEncoder`, or None where the recipe names no column.

    Raises:
        ValueError: if the records lack a column, or a numeric one holds no number.
    """
    if not recipe.metadata:
        return None
    encoder = MetadataEncoder(recipe.numeric, recipe.categorical)
    return records.cached(("encoder", *_columns(recipe)), lambda: encoder.fit(_table(records, recipe, records.folds)))


def encoded_metadata(records, recipe, parts):
    """Return `MetadataEncoder.transform` of some parts, in record order; empty where no column is named.

    Each part is encoded once; the arrays are read-only.

    Args:
        records, recipe: as `fitted_encoder` takes them.
        parts: a fold's number, a list of them, or `"test"`.
    """
    encoder = fitted_encoder(records, recipe)
    if encoder is None:
        return {}
    encoded = [
        records.cached(
            ("metadata", *_columns(recipe), name),
            lambda name=name: encoder.transform(_table(records, recipe, name)),
        )
        for name in records.part_names(parts)
    ]
    return read_only({name: np.concatenate([arrays[name] for arrays in encoded]) for name in encoded[0]})


def with_metadata(columns, rows, array, name="pixels"):
    """Return a batch as a network takes it: the array, or a dict of it and its rows' numbers and categories.

    Args:
        columns: what `encoded_metadata` returned.
        rows: numbers of the batch's rows, or a slice.
        array: of the batch, `(batch, ...)`.
        name: of the array among the network's inputs.

    Example:

    >>> with_metadata({}, [1], np.zeros((1, 2)))
    array([[0., 0.]])
    >>> with_metadata({"numbers": np.array([[3.0], [4.0]])}, [1], np.zeros((1, 2)))
    {'pixels': array([[0., 0.]]), 'numbers': array([[4.]])}
    """
    return {name: array} | {key: values[rows] for key, values in columns.items()} if columns else array


def check_no_metadata(recipe, what):
    """Raise a ValueError if a recipe names metadata columns, which `what` cannot take."""
    if recipe.metadata:
        raise ValueError(
            f"{what} is for networks that take pixels only, but the recipe names the columns {list(recipe.metadata)}; "
            "use a recipe without numeric and categorical"
        )


def _columns(recipe):
    return tuple(recipe.numeric), tuple(recipe.categorical)


def _table(records, recipe, parts):
    import pandas as pd

    stored = records.manifest["metadata"]
    missing = [name for name in recipe.metadata if name not in stored]
    if missing:
        raise ValueError(
            f"the records in {records.folder} hold no column {first_few(missing)}, they hold {stored}; call "
            "kk.write_records with metadata=recipe.metadata"
        )
    index = records.index(parts)
    return pd.DataFrame({name: index[f"metadata_{name}"] for name in recipe.metadata})


def _texts(column):
    """The values of a column as text, None where one is missing; 3, 3.0 and "3.0" are the same category.

    pandas writes whole numbers as 3.0 in a column with missing values, which train may have and test not.
    """
    values = [None if value is None or value != value or value == "" else str(value) for value in column.tolist()]
    return [value and re.sub(r"^(-?\d+)\.0+$", r"\1", value) for value in values]
