"""A network as one traced function, and every row of a dataset through it."""

import numpy as np
import tensorflow as tf

_VALUES = 2**22  # of features a step: 16 MB


def inference(model):
    """Return the network as one traced function of a batch of any size; make it once and use it for many datasets."""
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
    return tf.function(lambda images: model(images, training=False), input_signature=signature)


def predict_rows(infer, dataset):
    """Predict every row of a dataset of `eval_dataset`.

    Args:
        infer: what `inference(model)` returned.
        dataset: batches of `(images, labels, image_ids)`.

    Returns:
        `(probabilities, labels, image_ids)`: float32 `(rows, classes)`, int64 `(rows,)` and text `(rows,)`.
    """
    parts = [(infer(images).numpy(), labels.numpy(), ids.numpy()) for images, labels, ids in dataset]
    probabilities, labels, ids = (np.concatenate(part) for part in zip(*parts, strict=True))
    return probabilities, labels, np.char.decode(ids.astype(bytes), "utf-8")


def predict_features(infer, features):
    """Predict rows from what the lower half of a network gave.

    Args:
        infer: what `inference` returned for the upper half.
        features: float16 or float32 array `(rows, *shape)`.

    Returns:
        float32 array `(rows, classes)`.
    """
    step = max(1, _VALUES // int(np.prod(features.shape[1:])))
    starts = range(0, len(features), step)
    return np.concatenate([infer(features[start : start + step].astype(np.float32)).numpy() for start in starts])
