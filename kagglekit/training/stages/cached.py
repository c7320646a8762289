"""Training from what the layers below the trained ones give: computed once for all folds and epochs."""

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
            stages += [cls.of_the_head(setup, split=split_at_features, views=recipe.frozen_views)]
        if recipe.cached_views:
            kept = {"split": split_below_trained, "views": recipe.cached_views}
            shares = several(recipe.unfrozen_layers)
            stages += cls.in_steps(setup, "fine-tuning", recipe.frozen_epochs, recipe.epochs, shares, **kept)
        return stages

    def cost(self, timing):
        self.choose_layers(self.setup.model)
        lower, upper = self.split(self.setup.model)
        seconds, tracing = timing.training_step(upper, lower.predict_on_batch(timing.images))
        minutes = (timing.passes(1 + self.views) + timing.training_steps * self.epochs * seconds + tracing) / 60
        disk = (1 + self.views) * timing.rows * 2 * float(np.prod(lower.output_shape[1:]))  # float16
        return Cost(minutes, disk)

    def prepare(self):
        self._parts  # noqa: B018  computes the files

    def trained(self):
        return self._parts[1]

    def batches(self, fold):
        return partial(self._parts[0].batches, fold)

    def predictor(self, fold):
        rows, _, infer = self._parts
        return partial(rows.predict, infer, fold) if self.setup.holds_out(fold) else self.setup.nothing

    @functools.cached_property
    def _parts(self):
        """The cached rows, the network that is trained on them, and the upper part of the saved one as a function."""
        setup = self.setup
        self.choose_layers(setup.model)
        lower, upper = self.split(setup.model)
        rows = CachedRows(lower, setup.records, setup.recipe, setup.features, self.views)
        return rows, upper, inference(self.split(setup.saved)[1])
