"""Shards to batches. Training and evaluation are two functions: only one of them may shuffle, augment or repeat.

One Python function makes a batch from the numbers of its rows, several batches side by side; see `batches`.
"""

import contextlib
import itertools
import os

import numpy as np
import tensorflow as tf

from kagglekit._random import batch_generator
from kagglekit.augment.mix import MIXES
from kagglekit.augment.views import check_view
from kagglekit.pipeline.batches import Batches
from kagglekit.pipeline.metadata import encoded_metadata, with_metadata
from kagglekit.pipeline.order import EpochOrder
from kagglekit.pipeline.sampling import class_factors, class_weights, epoch_rows, expected_counts


def train_dataset(records, recipe, folds, *, start_epoch=0, epochs=None, weights=None, parallel_calls=None):
    """Make shuffled, augmented batches for training.

    Order and augmentation follow from the recipe's seed, the epoch and the row's number alone: the same seed gives the
    same batches at any parallelism, and epoch 3 is the same whether it is started with or reached.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels`, `resize`, `batch_size`, `policy`, `augment_strength`, `mix`,
            `sampling`, `subset`, `class_weights`, `numeric`, `categorical` and `seed` are used.
        folds: numbers of the folds to train on.
        start_epoch: number of the first epoch.
        epochs: number of epochs of one pass. Iterating again continues with the epochs that follow, so that
            `model.fit(train_dataset(..., epochs=1), epochs=20)` sees twenty different ones; the k-th pass is the same
            in every process. Defaults to one endless pass.
        weights: weight of each row in the loss: a Series or dict by image_id. Defaults to the recipe's class weights.
        parallel_calls: batches that are made side by side, in threads of this process. Defaults to the number of
            processors, at most 16, in worker processes where there are enough images.

    Returns:
        `tf.data.Dataset` of `(images, labels)`: float32 in `[0, 255]` of shape `(batch, height, width, channels)` and
        float32 of shape `(batch, classes)`, one-hot for one label a row; with weights `(images, labels, weights)`,
        float32 `(batch,)`. An epoch has `steps_per_epoch` batches, the last of which may be smaller; no batch holds
        rows of two epochs; with `epochs`, `cardinality()` tells their number. Where the recipe names columns,
        `{"pixels": ..., "numbers": ..., "categories": ...}` takes the place of the images: float32 and int32 of shape
        `(batch, columns)`, each only where such columns are named.

    Raises:
        ValueError: if a shard is missing or cut, or the recipe does not fit the records.
        tf.errors.InvalidArgumentError: while reading, naming file and record, if a record has changed since it was
            written.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.suggest_recipe(comp).replace(batch_size=64)
    >>> records = kk.write_records(comp, kk.assign_folds(comp), record_size=recipe.record_size)
    >>> images, labels = next(iter(kk.train_dataset(records, recipe, folds=[1, 2, 3, 4])))
    >>> images.dtype.name, labels.shape.as_list()
    ('float32', [64, 10])
    """
    parts = records.with_copies(folds)
    batches = Batches(records, recipe, parts, workers=None if parallel_calls is None else 0)
    index = batches.writer.reader.index
    labels, classes = index["label"], len(records.class_names)
    expected, size = _expected_counts(records, recipe, labels), records.mean_bytes(parts)
    order = EpochOrder(expected, labels, size, batch_size=recipe.batch_size, seed=recipe.seed)
    row_weights = _row_weights(records, recipe, index["image_id"], labels, weights)
    columns = encoded_metadata(records, recipe, parts)
    steps, mix = order.steps, MIXES[recipe.mix]
    mixed_until = recipe.frozen_epochs + recipe.epochs - recipe.unmixed_epochs if recipe.unmixed_epochs else np.inf

    def batch(step):
        epoch, number = divmod(int(step), steps)
        numbers, repeats = order.batch(epoch, number)
        images = batches.make(numbers, repeats, epoch)
        targets = records.task.one_hot(labels[numbers], classes)
        batch_weights = None if row_weights is None else row_weights[numbers]
        if mix is not None and epoch < mixed_until:
            rng = batch_generator(recipe.seed, epoch, number)
            images, targets, batch_weights = mix(images, targets, batch_weights, rng)
        inputs = with_metadata(columns, numbers, images)
        return (inputs, targets) if batch_weights is None else (inputs, targets, batch_weights)

    specs = (_inputs_spec(columns, batches), tf.TensorSpec((None, classes)), tf.TensorSpec((None,)))
    spec, first_step = specs[:2] if row_weights is None else specs, start_epoch * steps
    numbers = tf.data.Dataset.range(first_step, tf.int64.max) if epochs is None else _passes(first_step, epochs * steps)
    return _parallel_dataset(batch, numbers, spec, parallel_calls)


def steps_per_epoch(records, recipe, folds):
    """Return the number of batches of an epoch of `train_dataset`."""
    expected = _expected_counts(records, recipe, records.index(records.with_copies(folds))["label"])
    return -(-epoch_rows(expected) // recipe.batch_size)


def eval_dataset(records, recipe, parts, *, view="identity", cache=False, parallel_calls=None):
    """Make the batches of validation and test: every row exactly once, in file order, with its id.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels`, `resize`, `batch_size`, `numeric` and `categorical` are used.
        parts: a fold's number, a list of them, or `"test"`.
        view: a test-time view, see `kagglekit.augment.views.VIEWS`; or an integer from 0: the image as the recipe's
            policy augments it in the pass of that number.
        cache: True keeps the batches of the first pass for the next ones, in memory, if they fit in a quarter of
            what is free now: for a held-out fold that is read after each epoch.
        parallel_calls: batches that are made side by side, in threads of this process. Defaults to the number of
            processors, at most 16, in worker processes where there are enough images.

    Returns:
        `tf.data.Dataset` of `(images, labels, image_ids)`: float32 in `[0, 255]`, int64 class numbers (-1 for test; for
        another task than one label a row float32 `(batch, classes)`) and strings. The last batch may be smaller. Where
        the recipe names columns, a dict takes the place of the images, as in `train_dataset`.

    Raises:
        as `train_dataset`, and a ValueError for an unknown view, or one that swaps the sides of images that are not
            square.
    """
    one_label = records.task.one_label
    label = tf.TensorSpec((None,), tf.int64) if one_label else tf.TensorSpec((None, len(records.class_names)))

    def outputs_of(labels, image_ids):
        return labels, np.char.encode(image_ids, "utf-8").astype(object)

    spec = label, tf.TensorSpec((None,), tf.string)
    return _in_order(records, recipe, parts, outputs_of, spec, view=view, cache=cache, parallel_calls=parallel_calls)


def validation_dataset(records, recipe, folds, *, parallel_calls=None):
    """Make the batches of held-out folds as `model.fit` and Keras Tuner take them for `validation_data`.

    The rows of `eval_dataset`, each exactly once, with targets as the loss takes them in place of labels and ids. They
    are cached in memory, if they fit, for the epochs that follow.

    Args:
        records, recipe, parallel_calls: as `eval_dataset` takes them.
        folds: a fold's number, or a list of them.

    Returns:
        `tf.data.Dataset` of `(images, targets)`, the same as those of `train_dataset`; its `cardinality()` is known.

    Raises:
        ValueError: for the test images, which have no labels; else as `train_dataset`.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.suggest_recipe(comp).replace(batch_size=64)
    >>> records = kk.write_records(comp, kk.assign_folds(comp), record_size=recipe.record_size)
    >>> training = kk.train_dataset(records, recipe, folds=[1, 2], epochs=1)
    >>> validation = kk.validation_dataset(records, recipe, folds=0)
    >>> len(training), len(validation)  # ready for model.fit(training, validation_data=validation, epochs=3)
    (9, 5)
    """
    if "test" in records.part_names(folds):
        raise ValueError("the test images have no labels to validate on; use eval_dataset, or the number of a fold")
    spec = (tf.TensorSpec((None, len(records.class_names))),)

    def outputs_of(labels, image_ids):
        return (records.task.one_hot(labels, len(records.class_names)),)

    return _in_order(records, recipe, folds, outputs_of, spec, cache=True, parallel_calls=parallel_calls)


def _in_order(records, recipe, parts, outputs_of, spec, *, view="identity", cache=False, parallel_calls=None):
    """Every row once: the images, then what `outputs_of` makes of labels and ids, which `spec` describes."""
    check_view(view, recipe.image_size)
    batches = Batches(records, recipe, parts, view, workers=None if parallel_calls is None else 0)
    index = batches.writer.reader.index
    labels, ids, columns = index["label"], index["image_id"], encoded_metadata(records, recipe, parts)

    def batch(step):
        numbers = np.arange(step * recipe.batch_size, min((step + 1) * recipe.batch_size, len(labels)))
        return with_metadata(columns, numbers, batches.make(numbers)), *outputs_of(labels[numbers], ids[numbers])

    numbers = tf.data.Dataset.range(-(-len(labels) // recipe.batch_size))
    dataset = _parallel_dataset(batch, numbers, (_inputs_spec(columns, batches), *spec), parallel_calls)
    values = len(labels) * np.prod(batches.shape[1:])
    if cache and 4 * values < _free_memory() / 4:
        dataset = dataset.cache().prefetch(1)
    return dataset


def _passes(first, count):
    """The numbers of the batches of a pass: `count` of them from `first` on, and in each further pass the next ones."""
    passes = itertools.count()

    def start(_):
        return np.int64(first + count * next(passes))

    starts = tf.data.Dataset.range(1).map(lambda _: tf.ensure_shape(tf.numpy_function(start, [_], tf.int64), ()))
    numbers = starts.flat_map(lambda start: tf.data.Dataset.range(start, start + count))
    return numbers.apply(tf.data.experimental.assert_cardinality(count))


def _inputs_spec(columns, batches):
    """The spec of what `with_metadata` makes of the columns and a batch of images."""
    example = with_metadata(columns, slice(0), np.empty((0, *batches.shape[1:]), np.float32))
    return tf.nest.map_structure(lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), example)


def _parallel_dataset(batch, steps, spec, parallel_calls):
    """A dataset of what `batch` returns for each of a dataset of steps, several at a time, in order."""
    flat_spec = tf.nest.flatten(spec)

    @tf.autograph.experimental.do_not_convert
    def load(step):
        types = [part.dtype for part in flat_spec]
        parts = tf.numpy_function(lambda step: tf.nest.flatten(batch(step)), [step], types, stateful=False)
        parts = [tf.ensure_shape(part, part_spec.shape) for part, part_spec in zip(parts, flat_spec, strict=True)]
        return tf.nest.pack_sequence_as(spec, parts)

    calls = parallel_calls or min(os.cpu_count() or 1, 16)
    # There is nothing here for tf.data to tune, and its tuner delays the end of a pass by half a second
    options = tf.data.Options()
    options.autotune.enabled = False
    return steps.map(load, calls, deterministic=True).prefetch(1).with_options(options)


def _free_memory():
    """Bytes of memory that this process may still take; 0 where the system does not tell."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/meminfo", encoding="ascii") as file:
        return 1024 * int(next(line for line in file if line.startswith("MemAvailable")).split()[1])
    return 0


def _expected_counts(records, recipe, labels):
    """How often each row is seen in an epoch, in expectation."""
    sampling = class_factors(recipe.sampling, records.class_names)
    return expected_counts(labels, len(records.class_names), sampling, recipe.subset)


def _row_weights(records, recipe, image_ids, labels, weights):
    if weights is not None:
        weights = dict(weights)
        missing = [name for name in image_ids.tolist() if name not in weights]
        if missing:
            raise ValueError(
                f"weights lack {len(missing)} images, among them {missing[:5]}; expected one for each row to train on"
            )
        return np.array([weights[name] for name in image_ids.tolist()], np.float32)
    if recipe.class_weights == "none":
        return None
    return class_weights(labels, len(records.class_names), recipe.class_weights)[labels]
