"""Shards to batches. Training and evaluation are two functions: only one of them may shuffle, augment or repeat.

A batch is made by one Python function from the numbers of its rows: reading, decoding, warping and colour are a few
calls of libraries that leave the interpreter's lock, so tf.data makes a batch on each processor at a time.
"""

import contextlib
import ctypes
import functools
import os

import numpy as np
import tensorflow as tf

from kagglekit._checks import check_choice
from kagglekit.inputs.augment import check_policy
from kagglekit.inputs.decoding import Decoder
from kagglekit.inputs.mix import MIXES
from kagglekit.inputs.order import AUGMENTED_PASS, EpochOrder, batch_generator, row_generator
from kagglekit.inputs.reading import BatchBuffers, RowReader
from kagglekit.inputs.sampling import class_factors, class_weights, epoch_rows, expected_counts
from kagglekit.inputs.views import apply_view, check_view, view_box


def train_dataset(records, recipe, folds, *, start_epoch=0, epochs=None, weights=None, parallel_calls=None):
    """Make shuffled, augmented batches for training.

    Order and augmentation follow from the recipe's seed, the epoch and the row's number alone: the same seed gives the
    same batches at any parallelism, and epoch 3 is the same whether it is started with or reached.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels`, `resize`, `batch_size`, `policy`, `augment_strength`, `mix`,
            `sampling`, `subset`, `class_weights` and `seed` are used.
        folds: numbers of the folds to train on.
        start_epoch: number of the first epoch.
        epochs: number of epochs. Defaults to no end.
        weights: weight of each row in the loss: a Series or dict by image_id. Defaults to the recipe's class weights.
        parallel_calls: batches that are made side by side. Defaults to the number of processors, at most 16.

    Returns:
        `tf.data.Dataset` of `(images, labels)`: float32 in `[0, 255]` of shape `(batch, height, width, channels)` and
        float32 of shape `(batch, classes)`, one-hot for one label a row; with weights `(images, labels, weights)`,
        float32 `(batch,)`. An epoch has `steps_per_epoch` batches, the last of which may be smaller; no batch holds
        rows of two epochs.

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
    folds = records.with_copies(folds)
    check_policy(recipe.policy)
    check_choice("mix", recipe.mix, MIXES)
    decoder, reader = Decoder(records, recipe), RowReader(records, folds)
    labels = reader.index["label"]
    expected = _expected(records, recipe, labels)
    order = EpochOrder(expected, labels, recipe, records.mean_bytes(folds))
    row_weights = _row_weights(records, recipe, reader.index["image_id"], labels, weights)
    classes, rows = len(records.class_names), reader.index["row"]
    single = records.task == "single_label"
    buffers = BatchBuffers((recipe.batch_size, *decoder.size, decoder.channels))
    steps, mix = order.steps, MIXES[recipe.mix]

    def batch(step):
        epoch, number = divmod(int(step), steps)
        numbers, copies = order.batch(epoch, number)
        images = buffers.take(len(numbers))
        for place, (line, copy, planes) in enumerate(zip(numbers, copies, reader.read(numbers), strict=True)):
            rng, shape = row_generator(recipe.seed, epoch, rows[line], copy), reader.shape(line)
            decoder.augment(planes, shape, recipe.policy, rng, strength=recipe.augment_strength, out=images[place])
        targets = np.eye(classes, dtype=np.float32)[labels[numbers]] if single else labels[numbers]
        chosen = None if row_weights is None else row_weights[numbers]
        if mix is not None:
            rng = batch_generator(recipe.seed, epoch, number)
            images, targets, chosen = mix(images, targets, chosen, rng)
        return (images, targets) if chosen is None else (images, targets, chosen)

    types = (tf.float32,) * (2 if row_weights is None else 3)
    shapes = ((None, *decoder.size, decoder.channels), (None, classes), (None,))
    stop = tf.int64.max if epochs is None else (start_epoch + epochs) * steps
    return _batches(batch, range(start_epoch * steps, stop), types, shapes, parallel_calls)


def steps_per_epoch(records, recipe, folds):
    """Return the number of batches of an epoch of `train_dataset`."""
    expected = _expected(records, recipe, records.index(records.with_copies(folds))["label"])
    return -(-epoch_rows(expected) // recipe.batch_size)


def eval_dataset(records, recipe, parts, *, view="identity", cache=False, parallel_calls=None):
    """Make the batches of validation and test: every row exactly once, in file order, with its id.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels`, `resize` and `batch_size` are used.
        parts: a fold's number, a list of them, or `"test"`.
        view: a test-time view, see `kagglekit.inputs.views.VIEWS`; or an integer from 0: the picture as the recipe's
            policy augments it in the pass of that number.
        cache: True keeps the batches of the first pass for the next ones, in memory, if they fit in a quarter of what
            is free now: for a held-out fold that is read after each epoch. A path keeps them in files of that name.
        parallel_calls: batches that are made side by side. Defaults to the number of processors, at most 16.

    Returns:
        `tf.data.Dataset` of `(images, labels, image_ids)`: float32 in `[0, 255]`, int64 class numbers (-1 for test; for
        another task than one label a row float32 `(batch, classes)`) and strings. The last batch may be smaller.

    Raises:
        as `train_dataset`.
    """
    check_view(view)
    check_policy(recipe.policy)
    decoder, reader = Decoder(records, recipe), RowReader(records, parts)
    labels, ids, rows = (reader.index[name] for name in ("label", "image_id", "row"))
    buffers = BatchBuffers((recipe.batch_size, *decoder.size, decoder.channels))

    def batch(step):
        numbers = np.arange(step * recipe.batch_size, min((step + 1) * recipe.batch_size, len(reader)))
        images = buffers.take(len(numbers))
        for image, line, planes in zip(images, numbers, reader.read(numbers), strict=True):
            shape = reader.shape(line)
            if isinstance(view, int):
                rng = row_generator(recipe.seed, view, rows[line], AUGMENTED_PASS)
                decoder.augment(planes, shape, recipe.policy, rng, strength=recipe.augment_strength, out=image)
                continue
            box = view_box(view, decoder.box(shape))
            decoder.fit(decoder.decode(planes, shape, box), box, shape, out=image)
            if view != "identity":
                image[:] = apply_view(image, view)
        return images, labels[numbers], np.char.encode(ids[numbers], "utf-8").astype(object)

    single = records.task == "single_label"
    types = (tf.float32, tf.int64 if single else tf.float32, tf.string)
    shapes = ((None, *decoder.size, decoder.channels), (None,) if single else (None, labels.shape[1]), (None,))
    batches = _batches(batch, range(-(-len(reader) // recipe.batch_size)), types, shapes, parallel_calls)
    pixels = len(reader) * decoder.size[0] * decoder.size[1] * decoder.channels
    if not isinstance(cache, bool) or (cache and 4 * pixels < _free_memory() / 4):
        batches = batches.cache("" if cache is True else str(cache)).prefetch(1)
    return batches


def _batches(batch, steps, types, shapes, parallel_calls):
    """A dataset of what `batch(step)` returns, several steps side by side, in order."""
    _keep_freed_memory()

    @tf.autograph.experimental.do_not_convert
    def made(step):
        parts = tf.numpy_function(batch, [step], types, stateful=False)
        return tuple(tf.ensure_shape(part, shape) for part, shape in zip(parts, shapes, strict=False))

    dataset = tf.data.Dataset.range(steps.start, steps.stop)
    calls = parallel_calls or min(os.cpu_count() or 1, 16)
    return dataset.map(made, calls, deterministic=True).prefetch(1)


def _free_memory():
    """Bytes that this process may still take; 0 where the system does not say."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/meminfo", encoding="ascii") as file:
        return 1024 * int(next(line for line in file if line.startswith("MemAvailable")).split()[1])
    return 0


@functools.cache
def _keep_freed_memory():
    """Let glibc keep the memory of one picture for the next, up to 1 GB a block.

    By default it goes back to the system and is taken, and cleared, page by page again: a quarter of the pipeline's
    time. Reference: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    trim_threshold, mmap_threshold = -1, -3
    with contextlib.suppress(OSError, TypeError, AttributeError):  # no glibc: Windows, macOS, musl
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**30)


def _expected(records, recipe, labels):
    """How often each row is seen in an epoch, in expectation."""
    sampling = class_factors(recipe.sampling, records.class_names)
    return expected_counts(labels, len(records.class_names), sampling, recipe.subset)


def _row_weights(records, recipe, image_ids, labels, weights):
    if weights is not None:
        weights = dict(weights)
        lacking = [name for name in image_ids.tolist() if name not in weights]
        if lacking:
            raise ValueError(f"weights lack {len(lacking)} images, among them {lacking[:5]}")
        return np.array([weights[name] for name in image_ids.tolist()], np.float32)
    if recipe.class_weights == "none":
        return None
    return class_weights(labels, len(records.class_names), recipe.class_weights)[labels]
