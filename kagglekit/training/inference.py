"""A network as one traced function, and every row of a dataset through it."""

import numpy as np
import tensorflow as tf


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
