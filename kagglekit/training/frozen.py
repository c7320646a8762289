"""The frozen stage: the backbone's features are computed once, and the heads of all folds train on them."""

import itertools
import time

import numpy as np

from kagglekit.inputs.sampling import class_factors, class_weights, epoch_counts, expected_counts
from kagglekit.models.halves import split_at_features
from kagglekit.models.heads import with_probabilities
from kagglekit.training.callbacks import HeldOut, held_out_scores
from kagglekit.training.features import FeatureStore
from kagglekit.training.networks import loss_of, optimizer_of
from kagglekit.training.stacked_heads import StackedHeads, can_stack


class FrozenStage:
    """Trains one head for each fold on the features of a frozen backbone.

    Args:
        model: a classifier with a layer `features`; its weights are the first values of every fold.
        records: `Records`.
        recipe: a `Recipe`; with `frozen_views` the rows are seen in that many augmented passes as well.
        metric: name of the competition's metric.
        store: folder of the features.
    """

    def __init__(self, model, records, recipe, metric, store):
        extractor, self.head = split_at_features(model)
        self.records, self.recipe, self.metric = records, recipe, metric
        parts = records.with_copies(records.folds)
        index = records.index(parts)
        self.image_ids = index["image_id"]
        numbers = [part if isinstance(part, int) else int(part.removeprefix("copies")) for part in parts]
        self.folds = np.repeat(numbers, list(map(records.rows, parts)))
        self._original = np.arange(len(self.folds)) < records.rows(records.folds)  # copies are trained on alone
        single = records.task == "single_label"
        self.labels = index["label"] if single else index["label"].astype(np.float32)
        classes = len(records.class_names)
        self._targets = np.eye(classes, dtype=np.float32)[self.labels] if single else self.labels
        sampling = class_factors(recipe.sampling, records.class_names)
        self._expected = expected_counts(self.labels, classes, sampling, recipe.subset)
        self._weights = None
        if recipe.class_weights != "none":
            self._weights = class_weights(self.labels, classes, recipe.class_weights)[self.labels]
        features = FeatureStore(extractor, records, recipe, store)
        passes = ["identity", *range(recipe.frozen_views if recipe.augment_strength else 0)]
        self._views = [features.read(parts, view) for view in passes]

    def train(self, stage, steps):
        """Train the heads of all folds.

        Args:
            stage: the `Stage`.
            steps: number of steps of an epoch.

        Returns:
            Dict of fold -> `(values, rows, predictions)`: the head's variables, the lines of history, and the
            predictions of the fold's own rows.
        """
        if can_stack(self.head, self.recipe):
            return self._train_stacked(stage)
        return {fold: self._train_alone(fold, stage, steps) for fold in self.records.folds}

    def _own(self, fold):
        return (self.folds == fold) & self._original

    def _train_stacked(self, stage):
        heads = StackedHeads(self.head, self.folds, self._views, self._targets, self.labels, self._weights)
        optimizer = optimizer_of(
            self.recipe, stage, heads.steps(self._expected, self.recipe.batch_size) * stage.epochs, None
        )
        rows = {fold: [] for fold in self.records.folds}
        started, last = time.monotonic(), None

        def on_epoch(epoch, losses, predictions):
            nonlocal started, last
            rate, seconds = float(optimizer.learning_rate), time.monotonic() - started
            started, last = time.monotonic(), predictions
            for fold, loss in zip(self.records.folds, losses, strict=True):
                own = self._own(fold)
                line = {"stage": stage.name, "epoch": stage.first + epoch + 1, "loss": float(loss)}
                line |= held_out_scores(self.labels[own], predictions[own], self.metric, self.records.task)
                line |= {"learning_rate": rate, "seconds": round(seconds / len(losses), 3)}
                rows[fold].append(line)

        heads.train(
            optimizer,
            loss_of(self.records.task, self.recipe),
            epochs=stage.epochs,
            expected=self._expected,
            recipe=self.recipe,
            on_epoch=on_epoch,
        )
        return {fold: (heads.values(fold), rows[fold], last[self._own(fold)]) for fold in self.records.folds}

    def _train_alone(self, fold, stage, steps):
        """A head of another kind: Keras's own fit, fold after fold."""
        first = [variable.numpy() for variable in self.head.variables]
        own, others = np.flatnonzero(self._own(fold)), np.flatnonzero(self.folds != fold)
        infer = with_probabilities(self.head)

        def predict():
            features = self._views[0][own].astype(np.float32)
            return infer(features, training=False).numpy(), self.labels[own], self.image_ids[own]

        watcher = HeldOut(predict, self.metric, self.records.task, stage.name)
        self.head.compile(
            optimizer=optimizer_of(self.recipe, stage, steps * stage.epochs, self.head),
            loss=loss_of(self.records.task, self.recipe),
            jit_compile=False,  # XLA is twenty times slower on a CPU
        )
        self.head.fit(
            self._batches(others),
            steps_per_epoch=steps,
            initial_epoch=stage.first,
            epochs=stage.first + stage.epochs,
            callbacks=[watcher],
            shuffle=False,
            verbose=0,
        )
        result = [variable.numpy() for variable in self.head.variables], watcher.state["rows"], watcher.state["last"]
        for variable, value in zip(self.head.variables, first, strict=True):
            variable.assign(value)
        return result

    def _batches(self, rows):
        """Yield shuffled batches of `(features, targets[, weights])` of some rows, epoch after epoch without end."""
        size = self.recipe.batch_size
        for epoch in itertools.count():
            rng = np.random.default_rng([self.recipe.seed, epoch, 2])
            counts = epoch_counts(self._expected[rows], self.labels[rows], self.recipe.seed, epoch)
            order = rng.permutation(np.repeat(rows, counts))
            views = rng.integers(len(self._views), size=len(order))
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                seen = zip(views[start : start + size], chosen, strict=True)
                features = np.stack([self._views[view][row] for view, row in seen]).astype(np.float32)
                batch = features, self._targets[chosen]
                yield batch if self._weights is None else (*batch, self._weights[chosen])
