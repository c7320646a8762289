"""The heads of all folds trained as one: a frozen backbone gives all of them the same features.

A Dense head is a product of matrices, and those of five folds are one batched product. Trained one after another by
`fit`, five heads take some fifty times as long.
"""

import keras
import numpy as np
import tensorflow as tf

from kagglekit._random import CACHED_ORDER, epoch_generator
from kagglekit.pipeline.sampling import epoch_counts
from kagglekit.training.setup import seed_of
from kagglekit.training.stages.cached_rows import held_out

_PLAIN_LAYERS = ("InputLayer", "Dropout", "Dense", "Rescaling")


def is_plain_head(head):
    """Return whether a head is dropout and one Dense layer, perhaps with a Rescaling."""
    kinds = [type(layer).__name__ for layer in head.layers]
    return set(kinds) <= set(_PLAIN_LAYERS) and kinds.count("Dense") == 1 and kinds.count("Dropout") <= 1


class HeadStack:
    """One head for each fold, trained together on the rows of the other folds.

    Args:
        head: Keras model of dropout, a Dense layer and perhaps a Rescaling; each fold starts with its values.
        folds: fold of each row, integers `(rows,)`.
        views: features of the rows in several views, list of arrays `(rows, filters)`, float16 or
            float32; a row of a batch takes one of them at random.
        targets: float32 `(rows, outputs)`.
        labels: labels of the rows, as the metrics and `epoch_counts` take them.
        weights: weights of the rows in each head's loss, float32 `(heads, rows)`, or None.
        heads: folds to train a head for, or `["refit"]` for one that trains on all rows. Defaults to those of the rows.
    """

    def __init__(self, head, folds, views, targets, labels, weights=None, heads=None):
        self.folds, self.fold_numbers = folds, np.unique(folds).tolist() if heads is None else list(heads)
        self._labels, self._views = labels, len(views)
        self._features = tf.concat([tf.constant(view) for view in views], axis=0)
        self._targets = tf.constant(targets)
        self._weights = None if weights is None else tf.constant(weights)
        self._head, layers = head, {type(layer).__name__: layer for layer in head.layers}
        self._dense, self._rescaling = layers["Dense"], layers.get("Rescaling")
        self._dropout = layers["Dropout"].rate if "Dropout" in layers else 0.0
        self.kernel, self.bias = (
            keras.Variable(np.stack([keras.ops.convert_to_numpy(value)] * len(self.fold_numbers)), name=name)
            for name, value in (("kernel", self._dense.kernel), ("bias", self._dense.bias))
        )
        self._held_out = [np.flatnonzero(held_out(folds, fold)) for fold in self.fold_numbers]
        self._traced_predictions = tf.function(self._predictions, autograph=False)

    def steps(self, expected, batch_size):
        """Return the number of steps per epoch: those of the fold that trains on most rows."""
        totals = [expected[~held_out(self.folds, fold)].sum() for fold in self.fold_numbers]
        return -(-max(1, round(max(totals))) // batch_size)

    def train(self, optimizer, loss, *, epochs, expected, batch_size, seed, on_epoch):
        """Train all heads.

        Args:
            optimizer: Keras optimizer, not built.
            loss: Keras loss.
            epochs: number of epochs.
            expected: how often each row is seen in an epoch, `expected_counts`.
            batch_size: rows of each fold per step.
            seed: integer that fixes order and dropout.
            on_epoch: function `(epoch, averages, predictions)` called after each epoch with each fold's mean training
                loss and accuracy `(folds, 2)`, the latter NaN where rows have no single class, and every row's
                prediction by the head that never saw it `(rows, outputs)`.

        Raises:
            FloatingPointError: if a loss is NaN or infinite.
        """
        optimizer.build([self.kernel, self.bias])
        run = tf.function(lambda rows, counted, seed: self._epoch(optimizer, loss, rows, counted, seed))
        for epoch in range(epochs):
            rows, counted = self._batches(epoch, expected, batch_size, seed)
            averages = run(rows, counted, tf.constant([seed, epoch])).numpy()
            for fold, value in zip(self.fold_numbers, averages[:, 0], strict=True):
                if not np.isfinite(value):
                    raise FloatingPointError(
                        f"fold {fold}, frozen: the loss became {value} in epoch {epoch + 1}; lower the learning rate, "
                        "or look at the images with kk.check_images(comp)"
                    )
            on_epoch(epoch, averages, self.predictions())

    def predictions(self):
        """Return every row's prediction by the head of its own fold, from the first view: float32 `(rows, outputs)`."""
        predictions = np.zeros((len(self.folds), self.bias.shape[1]), np.float32)
        predictions[np.concatenate(self._held_out)] = self._traced_predictions().numpy()
        return predictions

    def values(self, fold):
        """Return the values of the head's variables for a fold."""
        position = self.fold_numbers.index(fold)
        fold_values = {self._dense.kernel.path: self.kernel[position], self._dense.bias.path: self.bias[position]}
        return [
            keras.ops.convert_to_numpy(fold_values.get(variable.path, variable)) for variable in self._head.variables
        ]

    def _predictions(self):
        """Predict the rows that each fold holds out by its head, one fold after another."""
        predictions = []
        for position, rows in enumerate(self._held_out):
            features = tf.cast(tf.gather(self._features, rows), tf.float32)
            predictions.append(
                self._activated(tf.matmul(features, self.kernel.value[position]) + self.bias.value[position])
            )
        return tf.concat(predictions, axis=0)

    def _batches(self, epoch, expected, batch_size, seed):
        """Return rows `(steps, folds, batch)` and a mask of those that count: folds have different numbers of rows."""
        steps = self.steps(expected, batch_size)
        shape = (len(self.fold_numbers), steps * batch_size)
        rows, counted = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        for position, fold in enumerate(self.fold_numbers):
            training_rows = np.flatnonzero(~held_out(self.folds, fold))
            counts = epoch_counts(expected[training_rows], self._labels[training_rows], seed, epoch)
            rng = epoch_generator(seed, epoch, CACHED_ORDER, fold=seed_of(fold, self.folds))
            order = rng.permutation(np.repeat(training_rows, counts))
            rows[position, : len(order)] = order + len(self.folds) * rng.integers(self._views, size=len(order))
            counted[position, : len(order)] = 1
        shape = (len(self.fold_numbers), steps, batch_size)
        return tuple(tf.constant(array.reshape(shape).swapaxes(0, 1)) for array in (rows, counted))

    def _epoch(self, optimizer, loss, rows, counted, seed):
        """Train an epoch; return the mean loss and accuracy of each fold."""
        steps = tf.shape(rows)[0]
        total, num_correct = tf.zeros(len(self.fold_numbers)), tf.zeros(len(self.fold_numbers))
        for step in tf.range(steps):
            batch_rows, mask = rows[step], counted[step]
            features = tf.cast(tf.gather(self._features, batch_rows), tf.float32)
            row_numbers = batch_rows % len(self.folds)
            targets, weights = tf.gather(self._targets, row_numbers), mask
            if self._weights is not None:
                weights = mask * tf.gather(self._weights, row_numbers, batch_dims=1)
            if self._dropout:
                features = _dropout(features, self._dropout, tf.stack([seed[0], seed[1] * steps + step]))
            with tf.GradientTape() as tape:
                logits = tf.matmul(features, self.kernel.value) + self.bias.value[:, None]
                row_losses = loss.call(targets, self._activated(logits))
                # The mean over the rows that are there, as Keras takes it; the sum over folds keeps them apart
                losses = tf.reduce_sum(row_losses * weights, 1) / tf.maximum(tf.reduce_sum(mask, 1), 1)
                objective = tf.reduce_sum(losses)
            variables = [self.kernel, self.bias]
            gradients = tape.gradient(objective, [variable.value for variable in variables])
            optimizer.apply(gradients, variables)
            total += losses
            if self._labels.ndim == 1:
                correct = tf.argmax(logits, axis=-1) == tf.argmax(targets, axis=-1)
                num_correct += tf.reduce_sum(tf.cast(correct, tf.float32) * mask, 1)
        accuracy = num_correct / tf.reduce_sum(counted, (0, 2)) if self._labels.ndim == 1 else num_correct * np.nan
        return tf.stack([total / tf.cast(steps, tf.float32), accuracy], axis=1)

    def _activated(self, logits):
        outputs = self._dense.activation(logits)
        return outputs if self._rescaling is None else self._rescaling(outputs)


def _dropout(features, rate, seed):
    """Dropout with 16 random bits per value, in half the time of a random float each."""
    count = tf.size(features)
    words = tf.random.stateless_uniform([(count + 1) // 2], seed, minval=None, maxval=None, dtype=tf.uint32)
    bits = tf.reshape(tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:count], tf.shape(features))
    return tf.where(bits < int(rate * 2**16), 0.0, features / (1 - rate))
