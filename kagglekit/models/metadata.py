"""What the table says of an image beside its pixels: numbers and categories, with gaps and values never seen before."""

import keras
import numpy as np
from keras import layers, ops

MISSING, UNKNOWN, FIRST = 0, 1, 2  # numbers that a category's value can have; the known ones follow


class MetadataEncoder:
    """Turns columns of a table into arrays that a network takes.

    Args:
        numeric: names of columns of numbers.
        categorical: names of columns of categories.

    Attributes (after `fit`):
        means_, deviations_: lists of floats, one for each numeric column, gaps left out.
        vocabularies_: lists of text, one for each categorical column, sorted.

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
        self.deviations_ = [max(float(np.nanstd(column)), 1e-6) for column in numbers.T]
        self.vocabularies_ = [sorted(set(_texts(table[name])) - {None}) for name in self.categorical]
        return self

    def transform(self, table):
        """Return `{"numbers": float32 (rows, columns), "categories": int32 (rows, columns)}`, those that there are.

        A gap is NaN among the numbers and 0 among the categories; a category that `fit` did not see is 1.
        """
        arrays = {}
        if self.numeric:
            arrays["numbers"] = self._numbers(table)
        if self.categorical:
            columns = []
            for name, vocabulary in zip(self.categorical, self.vocabularies_, strict=True):
                known = {value: number for number, value in enumerate(vocabulary, FIRST)} | {None: MISSING}
                columns.append([known.get(value, UNKNOWN) for value in _texts(table[name])])
            arrays["categories"] = np.array(columns, np.int32).T
        return arrays

    def _numbers(self, table):
        import pandas as pd

        columns = [pd.to_numeric(table[name], errors="coerce") for name in self.numeric]
        return np.array([column.to_numpy(np.float32, na_value=np.nan) for column in columns], np.float32).T


def add_metadata(extractor, encoder, *, width=32, dropout=0.2):
    """Join the features of an extractor with those of a table's columns; put a head on what comes out.

    Gaps among the numbers become the mean and are marked; a category's value is an embedding that starts at zero, so a
    value which training never saw says nothing. Means and deviations are part of the model.

    Args:
        extractor: a model of `build_extractor`.
        encoder: a fitted `MetadataEncoder`.
        width: number of features made of the columns.
        dropout: share of these features that is dropped in training, 0 to less than 1.

    Returns:
        `keras.Model` that takes `{"pixels": ..., "numbers": ..., "categories": ...}`.

    Example:

    >>> import pandas as pd
    >>> from kagglekit.models.heads import add_head, build_extractor
    >>> encoder = MetadataEncoder(numeric=["age"]).fit(pd.DataFrame({"age": [30, 50]}))
    >>> joined = add_metadata(build_extractor("small_cnn", weights=None, image_size=16), encoder)
    >>> add_head(joined, 3).output_shape
    (None, 3)
    """
    inputs, parts = {"pixels": extractor.input}, []
    if encoder.numeric:
        inputs["numbers"] = numbers = keras.Input((len(encoder.numeric),), name="numbers")
        gaps = ops.isnan(numbers)
        filled = ops.where(gaps, ops.reshape(ops.array(encoder.means_, "float32"), (1, -1)), numbers)
        variances = [deviation**2 for deviation in encoder.deviations_]
        parts.append(layers.Normalization(mean=encoder.means_, variance=variances, name="numbers_normalise")(filled))
        parts.append(ops.cast(gaps, parts[-1].dtype))
    if encoder.categorical:
        shape = (len(encoder.categorical),)
        inputs["categories"] = categories = keras.Input(shape, dtype="int32", name="categories")
        for number, vocabulary in enumerate(encoder.vocabularies_):
            size = len(vocabulary) + FIRST
            embedding = layers.Embedding(
                size, min(16, (size + 1) // 2), embeddings_initializer="zeros", name=f"category{number}_embedding"
            )
            parts.append(embedding(categories[:, number]))
    x = layers.Concatenate(name="metadata")(parts) if len(parts) > 1 else parts[0]
    x = layers.Dense(width, activation="swish", name="metadata_features")(x)
    x = layers.Dropout(dropout, name="metadata_dropout")(x)
    joined = layers.Concatenate(name="features_and_metadata")([extractor.output, x])
    return keras.Model(inputs, joined, name=extractor.name)


def _texts(column):
    """The values of a column as text, None where one is missing; 3 and 3.0 are the same category."""
    values = [None if value is None or value != value or value == "" else value for value in column.tolist()]
    return [str(int(value)) if isinstance(value, float) and value.is_integer() else _text(value) for value in values]


def _text(value):
    return None if value is None else str(value)
