"""A network as one traced function, and the prediction of every row of a dataset by it."""

import numpy as np
import tensorflow as tf

from kagglekit.pipeline.metadata import with_metadata

_FEATURES_PER_STEP = 2**22  # 16 MB


def inference(model):
    """Return the network as one traced function of a batch of any size; make it once and use it for many datasets."""
    if len(model.inputs) == 1:
        spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    else:  # pixels and metadata
        spec = {name: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for name, tensor in model.input.items()}
    return tf.function(lambda inputs: model(inputs, training=False), input_signature=[spec])


def predict_rows(infer, dataset):
    """Predict every row of a dataset of `eval_dataset`.

    Args:
        infer: what `inference(model)` returned.
        dataset: batches of `(images, labels, image_ids)`, or of a dict in place of the images.

    Returns:
        `(probabilities, labels, image_ids)`: float32 `(rows, classes)`, int64 `(rows,)` and text `(rows,)`.
    """
    batches = [(infer(images).numpy(), labels.numpy(), ids.numpy()) for images, labels, ids in dataset]
    probabilities, labels, ids = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return probabilities, labels, np.char.decode(ids.astype(bytes), "utf-8")


def predict_features(infer, features, columns):
    """Predict rows with the upper half of a network, from the output of the lower half.

    Args:
        infer: what `inference(upper)` returned.
        features: float16 or float32 array `(rows, *shape)`.
        columns: metadata of the rows, as `encoded_metadata` returns them.

    Returns:
        float32 array `(rows, classes)`.
    """
    step = max(1, _FEATURES_PER_STEP // int(np.prod(features.shape[1:])))
    slices = [slice(start, start + step) for start in range(0, len(features), step)]
    batches = (with_metadata(columns, rows, features[rows].astype(np.float32), "features") for rows in slices)
    return np.concatenate([infer(batch).numpy() for batch in batches])
