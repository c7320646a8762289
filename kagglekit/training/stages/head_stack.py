"""The heads of all folds trained as one: a frozen backbone gives all of them the same features.

A Dense head is a product of matrices, and the product of five folds' batches is one batched product. Trained one after
another by `fit`, five heads take some fifty times as long.
"""

import keras
import numpy as np
import tensorflow as tf

from kagglekit._random import CACHED_ORDER, epoch_generator
from kagglekit.pipeline.sampling import epoch_counts
from kagglekit.training.setup import seed_of
from kagglekit.training.stages.cached_rows import held_out

_LAYERS = ("InputLayer", "Dropout", "Dense", "Rescaling")


def is_plain_head(head):
    """Return whether a head is dropout and one Dense layer, perhaps with a Rescaling."""
    kinds = [type(layer).__name__ for layer in head.layers]
    return set(kinds) <= set(_LAYERS) and kinds.count("Dense") == 1 and kinds.count("Dropout") <= 1


class HeadStack:
    """One head for each fold, trained together on the rows of the other folds.

    Args:
        head: Keras model of dropout, a Dense layer and perhaps a Rescaling; each fold starts with its values.
        folds: fold of each row, integers `(rows,)`.
        views: features of the rows as they are seen in several views, list of arrays `(rows, filters)`, float16 or
            float32; a row of a batch takes one of them at random.
        targets: float32 `(rows, outputs)`.
        labels: of the rows, as the metrics and `epoch_counts` take them.
        weights: of the rows in each head's loss, float32 `(heads, rows)`, or None.
        heads: folds to train a head for, or `["refit"]` for one that trains on all rows. Defaults to those of the rows.
    """

    def __init__(self, head, folds, views, targets, labels, weights=None, heads=None):
        self.folds, self.numbers = folds, np.unique(folds).tolist() if heads is None else list(heads)
        self._labels, self._views = labels, len(views)
        self._features = tf.concat([tf.constant(view) for view in views], axis=0)
        self._targets = tf.constant(targets)
        self._weights = None if weights is None else tf.constant(weights)
        self._head, layers = head, {type(layer).__name__: layer for layer in head.layers}
        self._dense, self._rescaling = layers["Dense"], layers.get("Rescaling")
        self._dropout = layers["Dropout"].rate if "Dropout" in layers else 0.0
        self.kernel, self.bias = (
            keras.Variable(np.stack([keras.ops.convert_to_numpy(value)] * len(self.numbers)), name=name)
            for name, value in (("kernel", self._dense.kernel), ("bias", self._dense.bias))
        )
        self._held_out = [np.flatnonzero(held_out(folds, fold)) for fold in self.numbers]
        self._predicted = tf.function(self._predictions, autograph=False)

    def steps(self, expected, batch_size):
        """Return the number of steps of an epoch: those of the fold that trains on most rows."""
        totals = [expected[~held_out(self.folds, fold)].sum() for fold in self.numbers]
        return -(-max(1, round(max(totals))) // batch_size)

    def train(self, optimizer, loss, *, epochs, expected, batch_size, seed, on_epoch):
        """Train all heads.

        Args:
            optimizer: Keras optimizer, not built.
            loss: Keras loss.
            epochs: number of epochs.
            expected: how often each row is seen in an epoch, `expected_counts`.
            batch_size: rows of each fold a step.
            seed: integer that fixes order and dropout.
            on_epoch: function `(epoch, averages, predictions)` called after each epoch with each fold's mean training
                loss and accuracy `(folds, 2)`, the latter NaN where rows have no single class, and every row's
                prediction by the head that never saw it `(rows, outputs)`.

        Raises:
            FloatingPointError: if a loss is not a number.
        """
        optimizer.build([self.kernel, self.bias])
        run = tf.function(lambda rows, counted, seed: self._epoch(optimizer, loss, rows, counted, seed))
        for epoch in range(epochs):
            rows, counted = self._batches(epoch, expected, batch_size, seed)
            averages = run(rows, counted, tf.constant([seed, epoch])).numpy()
            for fold, value in zip(self.numbers, averages[:, 0], strict=True):
                if not np.isfinite(value):
                    raise FloatingPointError(
                        f"fold {fold}, frozen: the loss became {value} in epoch {epoch + 1}; lower the learning rate, "
                        "or look at the images with kk.check_images(comp)"
                    )
            on_epoch(epoch, averages, self.predictions())

    def predictions(self):
        """Return every row's prediction by the head of its own fold, from the first view: float32 `(rows, outputs)`."""
        found = np.zeros((len(self.folds), self.bias.shape[1]), np.float32)
        found[np.concatenate(self._held_out)] = self._predicted().numpy()
        return found

    def values(self, fold):
        """Return the values of the head's variables as a fold has them."""
        number = self.numbers.index(fold)
        own = {self._dense.kernel.path: self.kernel[number], self._dense.bias.path: self.bias[number]}
        return [keras.ops.convert_to_numpy(own.get(each.path, each)) for each in self._head.variables]

    def _predictions(self):
        """What the head of each fold says of the rows that the fold holds out, one fold after another."""
        parts = []
        for number, rows in enumerate(self._held_out):
            features = tf.cast(tf.gather(self._features, rows), tf.float32)
            parts.append(self._activated(tf.matmul(features, self.kernel.value[number]) + self.bias.value[number]))
        return tf.concat(parts, axis=0)

    def _batches(self, epoch, expected, batch_size, seed):
        """Rows of each step and fold, `(steps, folds, batch)`, and whether they count: folds end at different steps."""
        steps = self.steps(expected, batch_size)
        shape = (len(self.numbers), steps * batch_size)
        rows, counted = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        for number, fold in enumerate(self.numbers):
            others = np.flatnonzero(~held_out(self.folds, fold))
            counts = epoch_counts(expected[others], self._labels[others], seed, epoch)
            rng = epoch_generator(seed, epoch, CACHED_ORDER, fold=seed_of(fold, self.folds))
            order = rng.permutation(np.repeat(others, counts))
            rows[number, : len(order)] = order + len(self.folds) * rng.integers(self._views, size=len(order))
            counted[number, : len(order)] = 1
        shape = (len(self.numbers), steps, batch_size)
        return tuple(tf.constant(part.reshape(shape).swapaxes(0, 1)) for part in (rows, counted))

    def _epoch(self, optimizer, loss, rows, counted, seed):
        """Train an epoch; return the mean loss and accuracy of each fold."""
        steps, total, right = tf.shape(rows)[0], tf.zeros(len(self.numbers)), tf.zeros(len(self.numbers))
        for step in tf.range(steps):
            chosen, used = rows[step], counted[step]
            features = tf.cast(tf.gather(self._features, chosen), tf.float32)
            line = chosen % len(self.folds)
            targets, weights = tf.gather(self._targets, line), used
            if self._weights is not None:
                weights = used * tf.gather(self._weights, line, batch_dims=1)
            if self._dropout:
                features = _dropped(features, self._dropout, tf.stack([seed[0], seed[1] * steps + step]))
            with tf.GradientTape() as tape:
                sums = tf.matmul(features, self.kernel.value) + self.bias.value[:, None]
                values = loss.call(targets, self._activated(sums))
                # The mean over the rows that are there, as Keras takes it; the sum over folds keeps them apart
                losses = tf.reduce_sum(values * weights, 1) / tf.maximum(tf.reduce_sum(used, 1), 1)
                objective = tf.reduce_sum(losses)
            variables = [self.kernel, self.bias]
            gradients = tape.gradient(objective, [variable.value for variable in variables])
            optimizer.apply(gradients, variables)
            total += losses
            if self._labels.ndim == 1:
                same = tf.argmax(sums, axis=-1) == tf.argmax(targets, axis=-1)
                right += tf.reduce_sum(tf.cast(same, tf.float32) * used, 1)
        accuracy = right / tf.reduce_sum(counted, (0, 2)) if self._labels.ndim == 1 else right * np.nan
        return tf.stack([total / tf.cast(steps, tf.float32), accuracy], axis=1)

    def _activated(self, sums):
        values = self._dense.activation(sums)
        return values if self._rescaling is None else self._rescaling(values)


def _dropped(features, rate, seed):
    """Dropout by 16 random bits a number: half the time of a float each."""
    count = tf.size(features)
    words = tf.random.stateless_uniform([(count + 1) // 2], seed, minval=None, maxval=None, dtype=tf.uint32)
    bits = tf.reshape(tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:count], tf.shape(features))
    return tf.where(bits < int(rate * 2**16), 0.0, features / (1 - rate))
