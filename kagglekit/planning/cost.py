"""What a run will cost on this machine: the costs of its stages, added up."""

import itertools
import time

import numpy as np
import pandas as pd

from kagglekit.competition import sources
from kagglekit.training.networks import loss_of, model_from_recipe
from kagglekit.training.setup import Setup
from kagglekit.training.stages import plan_stages

_VIEWS = 3  # TTA views that prediction tries


def plan(comp, recipe, n_splits=5):
    """Measure a few steps on this machine to estimate what a run will cost before it starts.

    Args:
        comp: a `Competition`.
        recipe: a `Recipe`.
        n_splits: number of folds.

    Returns:
        DataFrame with `part`, `value` and `unit`: minutes of each stage and in all, megabytes of records and of the
        run, and gigabytes of memory. Measured on random images, so expect it to be right within about a third.
    """
    class_names = comp.class_names

    def build(size):
        return model_from_recipe(len(class_names), recipe.at_size(size), task=comp.task)

    setup = Setup(recipe, build, task=comp.task, class_names=class_names)
    timing = Timing(setup, rows=len(comp.train), n_splits=n_splits)
    stages = plan_stages(setup)
    costs = [stage.cost(timing) for stage in stages]
    table_rows = [
        (f"{stage.name}, {stage.epochs} epochs, {n_splits} folds", cost.minutes, "minutes")
        for stage, cost in zip(stages, costs, strict=True)
    ]
    validated_epochs = sum(cost.validated_epochs for cost in costs)
    predicted_images = len(comp.train) * (_VIEWS + validated_epochs) + len(comp.test) * n_splits * _VIEWS
    predict_minutes = predicted_images / recipe.batch_size * timing.forward / 60
    cache_bytes = sum(cost.disk for cost in costs)
    network_megabytes = setup.model.count_params() * 4 / 2**20
    source_bytes = sum(
        sources.size_of(comp.root, source) for source in itertools.chain(comp.train["source"], comp.test["source"])
    )
    batch_bytes = timing.images.nbytes
    table_rows += [
        ("held-out folds, test and views", predict_minutes, "minutes"),
        ("in all", predict_minutes + sum(cost.minutes for cost in costs), "minutes"),
        ("records on disk, at most", source_bytes / 2**20, "MB"),
        ("run on disk", n_splits * network_megabytes, "MB"),
        *([("feature cache on disk", cache_bytes / 2**20, "MB")] if cache_bytes else []),
        ("memory, about", 1.0 + 4 * network_megabytes / 1024 + batch_bytes * 60 / 2**30, "GB"),
    ]
    table = pd.DataFrame(table_rows, columns=["part", "value", "unit"])
    table["value"] = table["value"].round(1)
    return table


class Timing:
    """How long a network takes on this machine, measured on random images.

    Args:
        setup: a `Setup`.
        rows: number of training images.
        n_splits: number of folds.

    Attributes:
        images: a batch of random images.
        rows: number of training images.
        training_steps: steps of one epoch of all folds.
        forward: seconds that the network takes to predict a batch.
    """

    def __init__(self, setup, *, rows, n_splits):
        recipe, self._setup, self.rows = setup.recipe, setup, rows
        shape = (recipe.batch_size, *setup.model.input_shape[1:])
        self.images = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
        self._steps = rows / recipe.batch_size
        self.training_steps = (n_splits - 1) * self._steps
        self.forward, _ = _seconds(lambda: setup.model.predict_on_batch(self.images))

    def passes(self, count):
        """Return the seconds that `count` forward passes over all training images take."""
        return count * self._steps * self.forward

    def training_step(self, network, inputs):
        """Compile a network and return the seconds of a training step and of the first one, which traces the network.

        Args:
            network: Keras model, with its trainable layers set.
            inputs: a batch of its inputs.
        """
        targets = np.zeros((len(inputs), len(self._setup.class_names)), np.float32)
        targets[:, 0] = 1
        network.compile(optimizer="sgd", loss=loss_of(self._setup.task, self._setup.recipe), jit_compile=False)
        return _seconds(lambda: network.train_on_batch(inputs, targets))

    def relative_pixels(self, size):
        """Return the number of pixels of an image size, relative to the recipe's image size."""
        return float(np.prod(np.broadcast_to(size, 2)) / np.prod(np.broadcast_to(self._setup.recipe.image_size, 2)))


def _seconds(step):
    """Return the seconds of a step once it is warm, and of its first call."""
    durations = []
    for _ in range(4):
        started = time.monotonic()
        step()
        durations.append(time.monotonic() - started)
    return min(durations[1:]), durations[0]
