"""Training on the cached output of the layers below the trained ones, computed once for all folds and epochs."""

import functools
from functools import partial

import numpy as np

from kagglekit._knobs import several
from kagglekit.inference.traced import inference
from kagglekit.models.split import split_at_features, split_below_trained
from kagglekit.training.stages.base import Cost
from kagglekit.training.stages.cached_rows import CachedRows
from kagglekit.training.stages.fine_tuning import FineTuning
from kagglekit.training.stages.stacked_heads import can_stack


class Cached(FineTuning):
    """Trains the upper part of the network on cached features or activations.

    Args:
        setup, name, first, epochs, learning_rate, size, share: as in `FineTuning`.
        split: function from a network to its lower and upper part.
        views: number of augmented passes that are cached beside the images as they are.
    """

    def __init__(self, setup, name, *, split, views, **options):
        super().__init__(setup, name, **options)
        self.split, self.views = split, views

    @classmethod
    def plan(cls, setup):
        recipe, stages = setup.recipe, []
        if not setup.pretrained:
            if recipe.cached_views:
                raise ValueError(
                    "expected a functional Keras network with a layer named 'backbone' for cached_views, got "
                    f"{setup.model.name!r} without; use cached_views=0"
                )
            return []
        if recipe.frozen_epochs and setup.has_features and not can_stack(setup):
            stages += [cls.head_stage(setup, split=split_at_features, views=recipe.frozen_views)]
        if recipe.cached_views:
            options = {"split": split_below_trained, "views": recipe.cached_views}
            shares = several(recipe.unfrozen_layers)
            first, epochs = recipe.frozen_epochs, recipe.epochs
            stages += cls.progressive_stages(setup, "fine-tuning", first, epochs, shares, **options)
        return stages

    def cost(self, timing):
        self.choose_layers(self.setup.model)
        lower, upper = self.split(self.setup.model)
        seconds, tracing = timing.training_step(upper, lower.predict_on_batch(timing.images))
        minutes = (timing.passes(1 + self.views) + timing.training_steps * self.epochs * seconds + tracing) / 60
        disk = (1 + self.views) * timing.rows * 2 * float(np.prod(lower.output_shape[1:]))  # float16
        return Cost(minutes, disk)

    def prepare(self):
        self._rows_and_networks  # noqa: B018  computes the files

    def trained_part(self):
        return self._rows_and_networks[1]

    def batches(self, fold):
        return partial(self._rows_and_networks[0].batches, fold)

    def predictor(self, fold):
        rows, _, infer = self._rows_and_networks
        return partial(rows.predict, infer, fold) if self.setup.holds_out(fold) else self.setup.no_predictions

    @functools.cached_property
    def _rows_and_networks(self):
        """The cached rows, the network that is trained on them, and the upper part of the saved one, traced."""
        setup = self.setup
        self.choose_layers(setup.model)
        lower, upper = self.split(setup.model)
        rows = CachedRows(lower, setup.records, setup.recipe, setup.features, self.views)
        return rows, upper, inference(self.split(setup.saved)[1])
