"""A network as one traced function, and every row of a dataset through it."""

import numpy as np
import tensorflow as tf

from kagglekit.pipeline.metadata import with_metadata

_VALUES = 2**22  # of features a step: 16 MB


def inference(model):
    """Return the network as one traced function of a batch of any size; make it once and use it for many datasets."""
    if len(model.inputs) == 1:
        spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    else:  # pixels and metadata
        spec = {name: tf.TensorSpec((None, *part.shape[1:]), part.dtype) for name, part in model.input.items()}
    return tf.function(lambda inputs: model(inputs, training=False), input_signature=[spec])


def predict_rows(infer, dataset):
    """Predict every row of a dataset of `eval_dataset`.

    Args:
        infer: what `inference(model)` returned.
        dataset: batches of `(images, labels, image_ids)`, or of a dict in place of the images.

    Returns:
        `(probabilities, labels, image_ids)`: float32 `(rows, classes)`, int64 `(rows,)` and text `(rows,)`.
    """
    parts = [(infer(images).numpy(), labels.numpy(), ids.numpy()) for images, labels, ids in dataset]
    probabilities, labels, ids = (np.concatenate(part) for part in zip(*parts, strict=True))
    return probabilities, labels, np.char.decode(ids.astype(bytes), "utf-8")


def predict_features(infer, features, columns):
    """Predict rows from what the lower half of a network gave.

    Args:
        infer: what `inference` returned for the upper half.
        features: float16 or float32 array `(rows, *shape)`.
        columns: metadata of the rows, as `encoded_metadata` gives them.

    Returns:
        float32 array `(rows, classes)`.
    """
    step = max(1, _VALUES // int(np.prod(features.shape[1:])))
    parts = [slice(start, start + step) for start in range(0, len(features), step)]
    seen = (with_metadata(columns, part, features[part].astype(np.float32), "features") for part in parts)
    return np.concatenate([infer(each).numpy() for each in seen])
