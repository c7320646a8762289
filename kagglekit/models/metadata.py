"""A branch of a network for metadata: what the table's columns say about an image."""

import keras
from keras import layers, ops


def add_metadata(extractor, encoder, *, width=32, dropout=0.2):
    """Join the features of an extractor with those of metadata columns; put a head on the result.

    Missing numbers become the mean and are marked; a category's value is an embedding that starts at zero, so a value
    that is not among the training rows adds nothing. Means and deviations are part of the model.

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
    inputs, branches = {"pixels": extractor.input}, []
    if encoder.numeric:
        inputs["numbers"] = numbers = keras.Input((len(encoder.numeric),), name="numbers")
        missing = ops.isnan(numbers)
        filled = ops.where(missing, ops.reshape(ops.array(encoder.means_, "float32"), (1, -1)), numbers)
        variances = [deviation**2 for deviation in encoder.deviations_]
        # float32 whatever the policy: half precision has no room for years and prices
        normalisation = layers.Normalization(
            mean=encoder.means_, variance=variances, dtype="float32", name="numbers_normalise"
        )
        branches.append(normalisation(filled))
        branches.append(ops.cast(missing, branches[-1].dtype))
    if encoder.categorical:
        shape = (len(encoder.categorical),)
        inputs["categories"] = categories = keras.Input(shape, dtype="int32", name="categories")
        for position, size in enumerate(encoder.sizes_):
            embedding = layers.Embedding(
                size, min(16, (size + 1) // 2), embeddings_initializer="zeros", name=f"category{position}_embedding"
            )
            branches.append(embedding(categories[:, position]))
    x = layers.Concatenate(name="metadata")(branches) if len(branches) > 1 else branches[0]
    x = layers.Dense(width, activation="swish", name="metadata_features")(x)
    x = layers.Dropout(dropout, name="metadata_dropout")(x)
    joined = layers.Concatenate(name="features_and_metadata")([extractor.output, x])
    return keras.Model(inputs, joined, name=extractor.name)
