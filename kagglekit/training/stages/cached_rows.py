"""The output of a network's frozen part for the training rows: computed once, read by every fold."""

import itertools

import numpy as np

from kagglekit._random import CACHED_ORDER, epoch_generator
from kagglekit.inference.features import FeatureStore
from kagglekit.inference.traced import predict_features
from kagglekit.pipeline.metadata import encoded_metadata, with_metadata
from kagglekit.pipeline.sampling import class_factors, class_weights, epoch_counts, expected_counts
from kagglekit.training.setup import REFIT


class CachedRows:
    """The training rows as a network's frozen part gives them, in place of images.

    Args:
        extractor: Keras model from pixels to the array that is cached for a row; its weights do not change.
        records: `Records`.
        recipe: a `Recipe`: as in `FeatureStore`; `sampling`, `subset`, `class_weights`, `batch_size`, `numeric` and
            `categorical` are used as well.
        store: folder of the files.
        passes: number of augmented passes over the rows, beside the images as they are.

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
        fold_numbers = [part if isinstance(part, int) else int(part.removeprefix("copies")) for part in parts]
        self.folds = np.repeat(fold_numbers, list(map(records.rows, parts)))
        self._original = np.arange(len(self.folds)) < records.rows(records.folds)  # copies are only trained on
        num_classes = len(records.class_names)
        self.labels = records.task.as_labels(index["label"])
        self.targets = records.task.one_hot(self.labels, num_classes)
        self._sampling = class_factors(recipe.sampling, records.class_names)
        self.expected = expected_counts(self.labels, num_classes, self._sampling, recipe.subset)
        self._columns = encoded_metadata(records, recipe, parts)
        features = FeatureStore(extractor, records, recipe, store)
        views = ["identity", *range(passes if recipe.augment_strength else 0)]
        self.views = [features.read(parts, view) for view in views]

    def validation_rows(self, fold):
        """Return which rows are predicted for a fold, without copies, booleans `(rows,)`."""
        return held_out(self.folds, fold) & self._original

    def weights(self, fold):
        """Return the weight of each row in the loss, float32 `(rows,)`: by the classes among the other folds' rows.

        None where all rows have the same weight.
        """
        if self._recipe.class_weights == "none":
            return None
        labels = self.labels[~held_out(self.folds, fold)]
        return class_weights(labels, self.targets.shape[1], self._recipe.class_weights)[self.labels]

    def batches(self, fold, first=0):
        """Yield shuffled batches of `(features, targets[, weights])` of the other folds, without end.

        Each row of an epoch is seen in one of its views. An epoch's batches do not depend on `first`.
        """
        batch_size, weights = self._recipe.batch_size, self.weights(fold)
        rows = np.flatnonzero(~held_out(self.folds, fold))
        # Of these rows alone, as `steps_per_epoch` counts them: otherwise epochs and batches would drift apart
        labels = self.labels[rows]
        expected = expected_counts(labels, self.targets.shape[1], self._sampling, self._recipe.subset)
        for epoch in itertools.count(first):
            rng = epoch_generator(self._recipe.seed, epoch, CACHED_ORDER)
            counts = epoch_counts(expected, labels, self._recipe.seed, epoch)
            order = rng.permutation(np.repeat(rows, counts))
            views = rng.integers(len(self.views), size=len(order))
            for start in range(0, len(order), batch_size):
                batch_rows = order[start : start + batch_size]
                view_rows = zip(views[start : start + batch_size], batch_rows, strict=True)
                features = np.stack([self.views[view][row] for view, row in view_rows]).astype(np.float32)
                batch = with_metadata(self._columns, batch_rows, features, "features"), self.targets[batch_rows]
                yield batch if weights is None else (*batch, weights[batch_rows])

    def predict(self, infer, fold):
        """Predict the validation rows of a fold; returns what `predict_rows` does."""
        rows = np.flatnonzero(self.validation_rows(fold))
        columns = {name: values[rows] for name, values in self._columns.items()}
        return predict_features(infer, self.views[0][rows], columns), self.labels[rows], self.image_ids[rows]


def held_out(folds, fold):
    """Return which rows a fold holds out, booleans `(rows,)`; none for `"refit"`."""
    return np.zeros(len(folds), bool) if fold == REFIT else folds == fold
