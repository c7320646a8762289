"""The frozen stage for plain heads: those of all folds are trained at once, on features computed once."""

import functools
import time

import numpy as np

from kagglekit.models.heads import freeze_backbone
from kagglekit.models.split import split_at_features
from kagglekit.runs.history import history_row
from kagglekit.training.callbacks import held_out_scores
from kagglekit.training.networks import loss_of, optimizer_of
from kagglekit.training.progress import describe
from kagglekit.training.setup import restore
from kagglekit.training.stages.base import Cost, Stage
from kagglekit.training.stages.cached_rows import CachedRows
from kagglekit.training.stages.head_stack import HeadStack, is_plain_head

# The update of each weight depends on that weight alone
_ELEMENTWISE = ("adam", "adamw", "sgd", "lion", "radam")


def can_stack(setup):
    """Return whether the heads of all folds can be trained as one with the same result.

    They can where a head is dropout and one Dense layer, and its optimizer updates each weight independently.
    """
    recipe = setup.recipe
    is_elementwise = recipe.optimizer in _ELEMENTWISE and not recipe.clip and not recipe.ema
    return setup.has_features and is_elementwise and recipe.head == "linear" and is_plain_head(setup.head)


class StackedHeads(Stage):
    """Trains one head for each fold on the features of a frozen backbone; arguments as `Stage`'s."""

    @classmethod
    def plan(cls, setup):
        recipe = setup.recipe
        if recipe.frozen_epochs and setup.pretrained and can_stack(setup):
            rate = recipe.frozen_learning_rate
            return [cls(setup, "frozen", first=0, epochs=recipe.frozen_epochs, learning_rate=rate)]
        return []

    def choose_layers(self, model):
        freeze_backbone(model)

    def cost(self, timing):  # the heads themselves cost next to nothing
        return Cost(timing.passes(1 + self.setup.recipe.frozen_views) / 60)

    def prepare(self):
        self.heads  # noqa: B018  trains them, for which the features are computed

    def fit(self, fold, checkpoint):
        describe(self.name)
        values, history, predictions = self.heads[fold]
        restore(self.setup.head.variables, values)
        return history, predictions

    @functools.cached_property
    def rows(self):
        """The `CachedRows` of the features."""
        setup = self.setup
        extractor, _ = split_at_features(setup.model)
        return CachedRows(extractor, setup.records, setup.recipe, setup.features, setup.recipe.frozen_views)

    @functools.cached_property
    def heads(self):
        """Dict of fold -> `(values, history, predictions)`: of the head's variables, and of the fold's own rows."""
        setup, recipe, rows = self.setup, self.setup.recipe, self.rows
        folds = setup.folds
        weights = None if recipe.class_weights == "none" else np.stack([rows.weights(fold) for fold in folds])
        stack = HeadStack(setup.head, rows.folds, rows.views, rows.targets, rows.labels, weights, folds)
        steps = stack.steps(rows.expected, recipe.batch_size) * self.epochs
        optimizer = optimizer_of(recipe, self.learning_rate, steps, self.epochs)
        history = {fold: [] for fold in folds}
        epoch_started, last_predictions = time.monotonic(), None

        def on_epoch(epoch, averages, predictions):
            nonlocal epoch_started, last_predictions
            seconds = round((time.monotonic() - epoch_started) / len(folds), 3)
            epoch_started, last_predictions = time.monotonic(), predictions
            shared = {"learning_rate": optimizer.learning_rate, "seconds": seconds}
            for fold, (loss, accuracy) in zip(folds, averages, strict=True):
                validation_rows = rows.validation_rows(fold)
                scores = held_out_scores(setup, rows.labels[validation_rows], predictions[validation_rows])
                number = self.first + epoch + 1
                history[fold].append(history_row(self.name, number, loss=loss, accuracy=accuracy, **shared, **scores))

        stack.train(
            optimizer,
            loss_of(setup.task, recipe),
            epochs=self.epochs,
            expected=rows.expected,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            on_epoch=on_epoch,
        )
        return {
            fold: (stack.values(fold), history[fold], last_predictions[rows.validation_rows(fold)]) for fold in folds
        }
