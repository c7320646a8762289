"""What the stages of a run share: its rows, its network, and the folder of cached features."""

import functools

import keras
import numpy as np

from kagglekit.inference.traced import inference
from kagglekit.metrics import find_metric
from kagglekit.models.heads import with_probabilities
from kagglekit.models.keras_graph import clear_session, seeds_from
from kagglekit.models.split import split_at_features
from kagglekit.pipeline.datasets import steps_per_epoch
from kagglekit.pipeline.metadata import fitted_encoder
from kagglekit.training.networks import has_layer, is_functional, model_from_recipe

REFIT = "refit"  # in place of a fold's number: no row is held out


class Setup:
    """A run's network, which is trained fold after fold, and what it is trained on.

    Tracing a network takes longer than an epoch on a small dataset. So there is one network (at each image size that
    stages train) for all folds, and before a fold all its variables are reset to their initial values: a fold's result
    does not depend on the folds before it, nor on whether it was trained in this process.

    Args:
        recipe: a `Recipe`.
        build: function from an image size to a network, not compiled, of new variables.
        task, class_names: as in `Competition`.
        metric: the competition's metric, a `Metric` or its name.
        records: `Records` that the rows are read from; None where the setup only serves to plan.
        features: folder of the feature cache.
        folds: folds to train: their numbers, or `["refit"]`. Defaults to the folds of the records.

    Attributes:
        model: the network at the recipe's image size.
        saved: the same, with probabilities where its head gives cosines.
    """

    def __init__(self, recipe, build, *, task, class_names, metric=None, records=None, features=None, folds=None):
        self.recipe, self.task, self.class_names = recipe, task, class_names
        self.metric = None if metric is None else find_metric(metric)
        self.records, self.features = records, features
        self.folds = folds if folds is not None else records.folds if records else []
        self.model = build(recipe.image_size)
        self.saved = with_probabilities(self.model)
        self._initial_values = values_of(self.model.variables)
        self._build, self._networks = build, {recipe.image_size: self.model}
        self._inferences = {}

    @classmethod
    def of_run(cls, records, recipe, metric, features, *, build_model=None, folds=None):
        """Return the setup of a run; arguments as in the class, and `build_model` as in `kk.cross_validate`.

        Resets Keras's session: names and initial values of variables follow from the recipe's seed alone.
        """
        clear_session()
        keras.utils.set_random_seed(recipe.seed)
        classes = len(records.class_names)
        offset, scale = records.task.units(records.index(records.folds)["label"])
        encoder = fitted_encoder(records, recipe)

        def build(size):
            sized = recipe.at_size(size)
            with seeds_from(recipe.seed):
                if build_model:
                    return build_model(classes, sized)
                return model_from_recipe(classes, sized, task=records.task, offset=offset, scale=scale, encoder=encoder)

        options = {"task": records.task, "class_names": records.class_names, "metric": metric}
        return cls(recipe, build, **options, records=records, features=features, folds=folds)

    def network(self, size):
        """Return the network at an image size; at another than the recipe's it has variables of its own."""
        if size not in self._networks:
            self._networks[size] = self._build(size)
        return self._networks[size]

    def infer(self, size):
        """Return the network at an image size as a function, traced once for all folds, stages and epochs."""
        if size not in self._inferences:
            self._inferences[size] = inference(with_probabilities(self.network(size)))
        return self._inferences[size]

    @property
    def pretrained(self):
        """Whether the network has a backbone with trained weights, so that its head is trained first."""
        return self.recipe.weights is not None and is_functional(self.model) and has_layer(self.model, "backbone")

    @property
    def has_features(self):
        """Whether the network has one vector between backbone and head."""
        return has_layer(self.model, "features")

    @functools.cached_property
    def head(self):
        """The network above its features."""
        return split_at_features(self.model)[1]

    def restart(self):
        """Reset all variables of the network to their initial values."""
        restore(self.model.variables, self._initial_values)

    def training_folds(self, fold):
        """Return the folds that are trained on when `fold` is held out."""
        return [number for number in self.records.folds if number != fold]

    def holds_out(self, fold):
        """Return whether rows are held out: not where the network is trained on all of them."""
        return fold != REFIT

    def steps_per_epoch(self, fold):
        return self._steps[fold]

    @functools.cached_property
    def max_steps(self):
        """Steps per epoch of the fold that trains on most rows, which schedules span."""
        return max(self._steps.values())

    @functools.cached_property
    def _steps(self):
        return {fold: steps_per_epoch(self.records, self.recipe, self.training_folds(fold)) for fold in self.folds}

    def no_predictions(self):
        """Return predictions of no rows, in the form of `predict_rows`, for where none is held out."""
        no_rows = np.zeros((0, len(self.class_names)), np.float32)
        return no_rows, no_rows, np.array([], dtype=str)


def seed_of(fold, folds):
    """Return the number of a fold in seeds; for the refit one more than the last of `folds`."""
    return int(max(folds)) + 1 if fold == REFIT else int(fold)


def values_of(variables):
    """Return the values of variables, a list of arrays."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def restore(variables, values):
    """Give variables the values that `values_of` returned."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
