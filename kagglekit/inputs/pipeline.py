"""Shards to batches. Training and evaluation are two functions: only one of them may shuffle, augment or repeat."""

import contextlib
import ctypes
import functools
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from kagglekit._checks import check_choice
from kagglekit.inputs.augment import augmented, random_box
from kagglekit.inputs.decoding import Decoder
from kagglekit.inputs.sampling import class_factors, class_weights, epoch_counts, epoch_rows, expected_counts
from kagglekit.inputs.shards import check_shard
from kagglekit.inputs.views import VIEWS

SHUFFLE_BYTES = 64 * 2**20  # encoded records held for shuffling
CYCLE = 8  # shards read side by side; a constant, since it decides the order


def train_dataset(records, recipe, folds, *, start_epoch=0, epochs=None, weights=None, parallel_calls=None):
    """Make shuffled, augmented batches for training.

    Order and augmentation follow from the recipe's seed, the epoch and the row's number alone: the same seed gives the
    same batches at any parallelism, and epoch 3 is the same whether it is started with or reached. Shards are taken in
    a new order in each epoch and read side by side, and whole windows of some 64 MB of encoded images are shuffled.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels`, `resize`, `batch_size`, `policy`, `augment_strength`, `sampling`,
            `subset`, `class_weights` and `seed` are used.
        folds: numbers of the folds to train on.
        start_epoch: number of the first epoch.
        epochs: number of epochs. Defaults to no end.
        weights: weight of each row in the loss: a Series or dict by image_id. Defaults to the recipe's class weights.
        parallel_calls: images that are decoded side by side. Defaults to the number of processors.

    Returns:
        `tf.data.Dataset` of `(images, labels)`: float32 in `[0, 255]` of shape `(batch, height, width, channels)` and
        float32 of shape `(batch, classes)`, one-hot for one label a row; with weights `(images, labels, weights)`,
        float32 `(batch,)`. An epoch has `steps_per_epoch` batches, the last of which may be smaller; no batch holds
        rows of two epochs.

    Raises:
        ValueError: if a shard is missing or cut, or the recipe does not fit the records.
        tf.errors.InvalidArgumentError: while reading, naming file and record, if a shard has changed since it was made.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.suggest_recipe(comp).replace(batch_size=64)
    >>> records = kk.write_records(comp, kk.assign_folds(comp), record_size=recipe.record_size)
    >>> images, labels = next(iter(kk.train_dataset(records, recipe, folds=[1, 2, 3, 4])))
    >>> images.dtype.name, labels.shape.as_list()
    ('float32', [64, 10])
    """
    decoder = Decoder(records, recipe)
    files, table = tf.constant(records.files(folds)), records.table(folds)
    labels, expected = _expected(records, recipe, table)
    seen_more = bool((expected != 1).any())
    row_weights = _row_weights(records, recipe, table, labels, weights)
    growth = max(1.0, float(expected.mean()))  # rows that are seen several times fill the window faster
    window = int(min(len(table), SHUFFLE_BYTES / records.mean_bytes(folds) / growth))
    window = max(recipe.batch_size, window)
    # A constant, not AUTOTUNE: within flat_map nothing tunes it. Order is kept, so the number changes no batch.
    calls = parallel_calls or os.cpu_count() or 1
    places = np.zeros(table["row"].max() + 1, np.int64)
    places[table["row"]] = np.arange(len(table))  # line of the competition's table -> line of this one
    places = tf.constant(places)

    @tf.autograph.experimental.do_not_convert
    def counts_of(epoch):
        counts = epoch_counts(expected, labels, recipe.seed, int(epoch))
        return counts.astype(np.int32)

    def repeated(rows, counts):
        """Rows as often as the epoch sees them, each with the number of its copy."""
        number = tf.io.parse_example(rows, {"row": tf.io.FixedLenFeature([], tf.int64)})["row"]
        times = tf.gather(counts, tf.gather(places, number))
        first = tf.repeat(tf.cumsum(times, exclusive=True), times)
        return tf.repeat(rows, times), tf.range(tf.reduce_sum(times)) - first

    def one_epoch(epoch):
        seed = tf.random.experimental.stateless_fold_in(tf.constant([recipe.seed, 0], tf.int64), epoch)
        shards = tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(files, seed))
        rows = shards.interleave(_checked, cycle_length=CYCLE, block_length=16)
        counts = tf.numpy_function(counts_of, [epoch], tf.int32, stateful=False) if seen_more else None

        # Dataset.shuffle depends on the process's global seed; shuffling whole windows depends on ours alone.
        def shuffled(number, rows):
            rows, copies = repeated(rows, counts) if seen_more else (rows, tf.zeros_like(rows, tf.int32))
            order = tf.random.experimental.stateless_fold_in(seed, number)
            order = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(rows)[0]), order)
            return tf.gather(rows, order), tf.gather(copies, order)

        rows = rows.batch(window).enumerate().map(shuffled).unbatch()
        examples = rows.map(lambda row, copy: example(row, copy, seed), calls, deterministic=True)
        return examples.batch(recipe.batch_size)

    def example(row, copy, seed):
        features = tf.io.parse_single_example(row, _features(records))
        seed = tf.random.experimental.stateless_fold_in(seed, features["row"])
        if seen_more:
            seed = tf.random.experimental.stateless_fold_in(seed, copy)
        place = tf.random.stateless_uniform([2], seed) if recipe.resize == "short_side_crop" else None
        box = decoder.box(tf.cast(features["height"], tf.int32), tf.cast(features["width"], tf.int32), place)
        part = random_box(box, seed, recipe.policy, recipe.augment_strength)
        whole = part is box and place is None
        image = decoder.picture(features["image"], part, whole=whole)
        image = augmented(image, seed, recipe.policy, recipe.augment_strength)
        target = features["label"]
        if records.task == "single_label":
            target = tf.one_hot(target, len(records.class_names))
        if row_weights is None:
            return image, target
        return image, target, tf.gather(row_weights, tf.gather(places, features["row"]))

    stop = tf.int64.max if epochs is None else start_epoch + epochs
    return _tuned(tf.data.Dataset.range(start_epoch, stop).flat_map(one_epoch).prefetch(2))


def steps_per_epoch(records, recipe, folds):
    """Return the number of batches of an epoch of `train_dataset`."""
    return -(-epoch_rows(_expected(records, recipe, records.table(folds))[1]) // recipe.batch_size)


def eval_dataset(records, recipe, parts, *, view="identity", cache=False, parallel_calls=None):
    """Make the batches of validation and test: every row exactly once, in file order, with its id.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels`, `resize` and `batch_size` are used.
        parts: a fold's number, a list of them, or `"test"`.
        view: a test-time view, see `kagglekit.inputs.views.VIEWS`.
        cache: True keeps the batches of the first pass for the next ones, in memory, if they fit in a quarter of what
            is free now: for a held-out fold that is read after each epoch. A path keeps them in files of that name.
        parallel_calls: images that are decoded side by side. Defaults to what tf.data finds best.

    Returns:
        `tf.data.Dataset` of `(images, labels, image_ids)`: float32 in `[0, 255]`, int64 class numbers (-1 for test; for
        another task than one label a row float32 `(batch, classes)`) and strings. The last batch may be smaller.

    Raises:
        as `train_dataset`.
    """
    check_choice("view", view, VIEWS)
    decoder = Decoder(records, recipe)

    def example(row):
        features = tf.io.parse_single_example(row, _features(records))
        box = decoder.box(tf.cast(features["height"], tf.int32), tf.cast(features["width"], tf.int32))
        image = decoder.picture(features["image"], box, whole=recipe.resize != "short_side_crop")
        return VIEWS[view](image), features["label"], features["image_id"]

    rows = tf.data.Dataset.from_tensor_slices(records.files(parts)).flat_map(_checked)
    examples = rows.map(example, parallel_calls or tf.data.AUTOTUNE, deterministic=True)
    batches = examples.batch(recipe.batch_size)
    pixels = records.rows(parts) * decoder.size[0] * decoder.size[1] * decoder.channels
    if not isinstance(cache, bool) or (cache and 4 * pixels < _free_memory() / 4):
        batches = batches.cache("" if cache is True else str(cache))
    return _tuned(batches.prefetch(2))


def _free_memory():
    """Bytes that this process may still take; 0 where the system does not say."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/meminfo", encoding="ascii") as file:
        return 1024 * int(next(line for line in file if line.startswith("MemAvailable")).split()[1])
    return 0


def _tuned(dataset):
    """The dataset with one thread for each image: images are decoded side by side, not in slices.

    Pixels then do not depend on the number of threads either (a mean over slices rounds otherwise).
    """
    _keep_freed_memory()
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    return dataset.with_options(options)


@functools.cache
def _keep_freed_memory():
    """Let glibc keep the memory of one batch for the next, up to 1 GB a block.

    By default it goes back to the system and is taken, and cleared, page by page again: a quarter of the pipeline's
    time. Reference: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    trim_threshold, mmap_threshold = -1, -3
    with contextlib.suppress(OSError, TypeError, AttributeError):  # no glibc: Windows, macOS, musl
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**30)


def _features(records):
    """What is read of a record."""
    number = tf.io.FixedLenFeature([], tf.int64)
    single = records.task == "single_label"
    return {
        "image": tf.io.FixedLenFeature([records.manifest["planes"]], tf.string),
        "image_id": tf.io.FixedLenFeature([], tf.string),
        "label": number if single else tf.io.FixedLenFeature([len(records.class_names)], tf.float32),
        "row": number,
        "height": number,
        "width": number,
    }


_whole = {}  # shard -> size and time of the file that was found whole


def _checked(file):
    """The records of a shard, which is compared with its sidecar when this process first opens it.

    TensorFlow names neither file nor row of a damaged record; this costs a hundredth of decoding, once.
    """
    return tf.data.TFRecordDataset(tf.ensure_shape(tf.numpy_function(_check, [file], tf.string), []))


@tf.autograph.experimental.do_not_convert
def _check(name):
    path = Path(tf.compat.as_str(name))
    about = path.stat()
    if _whole.get(path) != (about.st_size, about.st_mtime_ns):
        for damage in check_shard(path):
            raise ValueError(
                f"{path}, record {damage['record']} ({damage['image_id']!r}): {damage['problem']}; delete the file and "
                "call kk.write_records again"
            )
        _whole[path] = (about.st_size, about.st_mtime_ns)
    return name


def _expected(records, recipe, table):
    """Labels as an array, and how often each row of the table is seen in an epoch, in expectation."""
    labels = np.array(table["label"].tolist())
    classes = len(records.class_names)
    sampling = class_factors(recipe.sampling, records.class_names)
    return labels, expected_counts(labels, classes, sampling, recipe.subset)


def _row_weights(records, recipe, table, labels, weights):
    if weights is not None:
        weights = dict(weights)
        lacking = [name for name in table["image_id"] if name not in weights]
        if lacking:
            raise ValueError(f"weights lack {len(lacking)} images, among them {lacking[:5]}")
        return tf.constant([weights[name] for name in table["image_id"]], tf.float32)
    if recipe.class_weights == "none":
        return None
    return tf.constant(class_weights(labels, len(records.class_names), recipe.class_weights)[labels])
