"""Shards to batches. Training and evaluation are two functions: only one of them may shuffle, augment or repeat."""

import os

import tensorflow as tf

from kagglekit._checks import check_choice
from kagglekit.inputs.augment import augmented, random_window
from kagglekit.inputs.views import VIEWS

SHUFFLE_BYTES = 256 * 2**20  # encoded records held for shuffling
_FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "image_id": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "row": tf.io.FixedLenFeature([], tf.int64),
}


def train_dataset(records, recipe, folds, *, start_epoch=0, epochs=None):
    """Make shuffled, augmented batches for training.

    Order and augmentation follow from the recipe's seed, the epoch and the row's number alone: the same seed gives the
    same batches at any parallelism, and epoch 3 is the same whether it is started with or reached.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels`, `batch_size`, `policy`, `augment_strength` and `seed` are used.
        folds: numbers of the folds to train on.
        start_epoch: number of the first epoch.
        epochs: number of epochs. Defaults to no end.

    Returns:
        `tf.data.Dataset` of `(images, labels)`: float32 in `[0, 255]` of shape `(batch, height, width, channels)` and
        one-hot float32 of shape `(batch, classes)`. An epoch has `ceil(rows / batch_size)` batches, the last of which
        may be smaller; no batch holds rows of two epochs.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.suggest_recipe(comp).replace(batch_size=64)
    >>> records = kk.write_records(comp, kk.assign_folds(comp), record_size=recipe.record_size)
    >>> images, labels = next(iter(kk.train_dataset(records, recipe, folds=[1, 2, 3, 4])))
    >>> images.dtype.name, labels.shape.as_list()
    ('float32', [64, 10])
    """
    files = tf.constant(records.files(folds))
    classes = len(records.class_names)
    window = int(max(recipe.batch_size, min(records.rows(folds), SHUFFLE_BYTES / records.mean_bytes(folds))))
    # A constant, not AUTOTUNE: within flat_map nothing tunes it. Order is kept, so the number changes no batch.
    calls = os.cpu_count() or 1

    def one_epoch(epoch):
        seed = tf.random.experimental.stateless_fold_in(tf.constant([recipe.seed, 0], tf.int64), epoch)
        shards = tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(files, seed))
        rows = shards.interleave(tf.data.TFRecordDataset, cycle_length=4, block_length=8)
        # Dataset.shuffle depends on the process's global seed; shuffling whole windows depends on ours alone.
        windows = rows.batch(window).enumerate()
        rows = windows.map(
            lambda number, rows: tf.random.experimental.stateless_shuffle(
                rows, tf.random.experimental.stateless_fold_in(seed, number)
            )
        ).unbatch()
        examples = rows.map(lambda row: _train_example(row, seed, recipe, classes), calls, deterministic=True)
        return examples.batch(recipe.batch_size)

    stop = tf.int64.max if epochs is None else start_epoch + epochs
    return tf.data.Dataset.range(start_epoch, stop).flat_map(one_epoch).prefetch(2)


def eval_dataset(records, recipe, parts, *, view="identity"):
    """Make the batches of validation and test: every row exactly once, in file order, with its id.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels` and `batch_size` are used.
        parts: a fold's number, a list of them, or `"test"`.
        view: a test-time view, see `kagglekit.inputs.views.VIEWS`.

    Returns:
        `tf.data.Dataset` of `(images, labels, image_ids)`: float32 in `[0, 255]`, int64 class numbers (-1 for test) and
        strings. The last batch may be smaller.
    """
    check_choice("view", view, VIEWS)

    def example(row):
        features = tf.io.parse_single_example(row, _FEATURES)
        image = _resized(_decoded(features["image"], recipe), recipe)
        return VIEWS[view](image), features["label"], features["image_id"]

    rows = tf.data.TFRecordDataset(records.files(parts))
    examples = rows.map(example, tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(recipe.batch_size).prefetch(2)


def _train_example(row, seed, recipe, classes):
    features = tf.io.parse_single_example(row, _FEATURES)
    seed = tf.random.experimental.stateless_fold_in(seed, features["row"])
    image = random_window(_decoded(features["image"], recipe), seed, recipe.policy, recipe.augment_strength)
    image = augmented(_resized(image, recipe), seed, recipe.policy, recipe.augment_strength)
    return image, tf.one_hot(features["label"], classes)


def _decoded(content, recipe):
    return tf.io.decode_image(content, channels=recipe.channels, expand_animations=False)


def _resized(image, recipe):
    """To the network's size, both sides independently."""
    size = recipe.image_size if isinstance(recipe.image_size, tuple) else (recipe.image_size, recipe.image_size)
    # Antialiasing costs five times the resize itself and changes nothing visible below a reduction of 1.5.
    image = tf.image.resize(image, size, antialias=recipe.record_size > 1.5 * min(size))
    return tf.ensure_shape(image, (*size, recipe.channels))
