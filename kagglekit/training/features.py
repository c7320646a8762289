"""What a frozen backbone sees, computed once for all folds, epochs and trials."""

import zlib

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from kagglekit._files import content_hash, written_whole
from kagglekit.inputs.pipeline import eval_dataset
from kagglekit.inputs.sampling import class_factors, class_weights, epoch_counts, expected_counts
from kagglekit.training.prediction import inference, predict_rows


def frozen_features(extractor, records, recipe, store):
    """Return the extractor's output for the images of every fold, from the store where it is known already.

    Args:
        extractor: Keras model from pixels to a vector; its weights do not change.
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels` and `batch_size` are used.
        store: folder of the features that are known.

    Returns:
        Dict of fold number, or name of a part of copies -> `(features, labels, image_ids)`: float32 `(rows, filters)`,
        int64 and text `(rows,)`.
    """
    weights, parts = 0, records.with_copies(records.folds)
    for value in extractor.get_weights():
        weights = zlib.crc32(np.ascontiguousarray(value), weights)
    # Pixels, their size and the network name the features: if one of them changes, so does the file.
    size, form = recipe.image_size, extractor.output_shape
    key = content_hash([records.identity, size, recipe.channels, recipe.resize, form, weights])
    path = store / f"{key}.npz"
    if not path.is_file():
        arrays, infer = {}, inference(extractor)
        for fold in tqdm(parts, desc="features of the frozen backbone", unit="fold", leave=False):
            features, labels, ids = predict_rows(infer, eval_dataset(records, recipe, fold))
            arrays |= {f"features{fold}": features, f"labels{fold}": labels, f"ids{fold}": ids}
        with written_whole(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
    with np.load(path, allow_pickle=False) as stored:
        return {fold: tuple(stored[f"{kind}{fold}"] for kind in ("features", "labels", "ids")) for fold in parts}


def feature_batches(features, folds, records, recipe):
    """Make endless shuffled batches of `(features, targets[, weights])` of some folds, epoch after epoch.

    Sampling, class weights and targets are those of `train_dataset`.
    """
    parts = records.with_copies(folds)
    vectors, labels, _ = (np.concatenate(part) for part in zip(*(features[part] for part in parts), strict=True))
    classes = len(records.class_names)
    targets = np.eye(classes, dtype=np.float32)[labels] if records.task == "single_label" else labels
    expected = expected_counts(labels, classes, class_factors(recipe.sampling, records.class_names), recipe.subset)
    columns = [vectors, targets]
    if recipe.class_weights != "none":
        columns.append(class_weights(labels, classes, recipe.class_weights)[labels])

    @tf.autograph.experimental.do_not_convert
    def rows_of(epoch):
        return np.repeat(np.arange(len(vectors)), epoch_counts(expected, labels, recipe.seed, int(epoch)))

    def one_epoch(epoch):
        seed = tf.random.experimental.stateless_fold_in(tf.constant([recipe.seed, 1], tf.int64), epoch)
        rows = tf.ensure_shape(tf.numpy_function(rows_of, [epoch], tf.int64), [None])
        order = tf.random.experimental.stateless_shuffle(rows, seed)
        return tf.data.Dataset.from_tensor_slices(order).batch(recipe.batch_size)

    batches = tf.data.Dataset.range(tf.int64.max).flat_map(one_epoch)
    return batches.map(lambda rows: tuple(tf.gather(column, rows) for column in columns)).prefetch(2)


def predict_features(head, features):
    """Predict from features instead of images; the same triple as `predict_rows`."""
    vectors, labels, ids = features
    return head(vectors, training=False).numpy(), labels, ids
