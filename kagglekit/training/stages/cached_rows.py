"""The training rows of all folds as the frozen part of a network gives them: computed once, read by every fold."""

import itertools

import numpy as np

from kagglekit._random import CACHED_ORDER, epoch_generator
from kagglekit.inference.features import FeatureStore
from kagglekit.inference.traced import predict_features
from kagglekit.pipeline.metadata import encoded_metadata, with_metadata
from kagglekit.pipeline.sampling import class_factors, class_weights, epoch_counts, expected_counts
from kagglekit.training.setup import REFIT


class CachedRows:
    """What stands in for the images where training begins above them.

    Args:
        extractor: Keras model from pixels to what is kept of a row; its weights do not change.
        records: `Records`.
        recipe: a `Recipe`: `policy`, `sampling`, `subset`, `class_weights`, `batch_size`, `numeric`, `categorical` and
            `seed` are used as well.
        store: folder of the files.
        passes: number of augmented passes that the rows are seen in, beside the images as they are.

    Attributes:
        folds: fold of each row, integers `(rows,)`.
        labels, targets, image_ids: of the rows.
        expected: how often each row is seen in an epoch, `expected_counts` of all rows.
        views: arrays `(rows, *features)`, memory maps; the first is of the images as they are.
    """

    def __init__(self, extractor, records, recipe, store, passes):
        self._recipe = recipe
        parts = records.with_copies(records.folds)
        index = records.index(parts)
        self.image_ids = index["image_id"]
        numbers = [part if isinstance(part, int) else int(part.removeprefix("copies")) for part in parts]
        self.folds = np.repeat(numbers, list(map(records.rows, parts)))
        self._original = np.arange(len(self.folds)) < records.rows(records.folds)  # copies are trained on alone
        classes = len(records.class_names)
        self.labels = records.task.as_labels(index["label"])
        self.targets = records.task.one_hot(self.labels, classes)
        self._sampling = class_factors(recipe.sampling, records.class_names)
        self.expected = expected_counts(self.labels, classes, self._sampling, recipe.subset)
        self._columns = encoded_metadata(records, recipe, parts)
        features = FeatureStore(extractor, records, recipe, store)
        seen = ["identity", *range(passes if recipe.augment_strength else 0)]
        self.views = [features.read(parts, view) for view in seen]

    def own(self, fold):
        """Return which rows a fold holds out, booleans `(rows,)`."""
        return held_out(self.folds, fold) & self._original

    def weights(self, fold):
        """Return the weight of each row in the loss, float32 `(rows,)`: of the classes among the other folds' rows.

        None where all count alike.
        """
        if self._recipe.class_weights == "none":
            return None
        others = self.labels[~held_out(self.folds, fold)]
        return class_weights(others, self.targets.shape[1], self._recipe.class_weights)[self.labels]

    def batches(self, fold, first=0):
        """Yield shuffled batches of `(features, targets[, weights])` of the other folds, without end.

        Each row of an epoch is seen in one of its views. An epoch is the same whether it is the `first` or reached.
        """
        size, rows, weights = self._recipe.batch_size, np.flatnonzero(~held_out(self.folds, fold)), self.weights(fold)
        # Of these rows alone, as `steps_per_epoch` counts them: else epochs would drift from the batches that they take
        labels = self.labels[rows]
        expected = expected_counts(labels, self.targets.shape[1], self._sampling, self._recipe.subset)
        for epoch in itertools.count(first):
            rng = epoch_generator(self._recipe.seed, epoch, CACHED_ORDER)
            counts = epoch_counts(expected, labels, self._recipe.seed, epoch)
            order = rng.permutation(np.repeat(rows, counts))
            views = rng.integers(len(self.views), size=len(order))
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                seen = zip(views[start : start + size], chosen, strict=True)
                features = np.stack([self.views[view][row] for view, row in seen]).astype(np.float32)
                batch = with_metadata(self._columns, chosen, features, "features"), self.targets[chosen]
                yield batch if weights is None else (*batch, weights[chosen])

    def predict(self, infer, fold):
        """Predict the rows that a fold holds out; returns what `predict_rows` does."""
        own = np.flatnonzero(self.own(fold))
        columns = {name: values[own] for name, values in self._columns.items()}
        return predict_features(infer, self.views[0][own], columns), self.labels[own], self.image_ids[own]


def held_out(folds, fold):
    """Return which rows a fold has, booleans `(rows,)`; none for `"refit"`."""
    return np.zeros(len(folds), bool) if fold == REFIT else folds == fold
