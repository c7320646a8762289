"""A branch of a network for what the table says of an image beside its pixels."""

import keras
from keras import layers, ops


def add_metadata(extractor, encoder, *, width=32, dropout=0.2):
    """Join the features of an extractor with those of a table's columns; put a head on what comes out.

    Gaps among the numbers become the mean and are marked; a category's value is an embedding that starts at zero, so a
    value which training never saw says nothing. Means and deviations are part of the model.

    Args:
        extractor: a model of `build_extractor`.
        encoder: a fitted `kagglekit.pipeline.metadata.MetadataEncoder`.
        width: number of features made of the columns.
        dropout: share of these features that is dropped in training, 0 to less than 1.

    Returns:
        `keras.Model` that takes `{"pixels": ..., "numbers": ..., "categories": ...}`.

    Example:

    >>> import pandas as pd
    >>> from kagglekit.pipeline.metadata import MetadataEncoder
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
        # float32 whatever the policy: half precision has no room for years and prices
        normalise = layers.Normalization(
            mean=encoder.means_, variance=variances, dtype="float32", name="numbers_normalise"
        )
        parts.append(normalise(filled))
        parts.append(ops.cast(gaps, parts[-1].dtype))
    if encoder.categorical:
        shape = (len(encoder.categorical),)
        inputs["categories"] = categories = keras.Input(shape, dtype="int32", name="categories")
        for number, size in enumerate(encoder.sizes_):
            embedding = layers.Embedding(
                size, min(16, (size + 1) // 2), embeddings_initializer="zeros", name=f"category{number}_embedding"
            )
            parts.append(embedding(categories[:, number]))
    x = layers.Concatenate(name="metadata")(parts) if len(parts) > 1 else parts[0]
    x = layers.Dense(width, activation="swish", name="metadata_features")(x)
    x = layers.Dropout(dropout, name="metadata_dropout")(x)
    joined = layers.Concatenate(name="features_and_metadata")([extractor.output, x])
    return keras.Model(inputs, joined, name=extractor.name)
