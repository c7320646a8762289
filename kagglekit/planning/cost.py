"""What a run will cost on this machine: what its stages say, added up."""

import itertools
import time

import numpy as np
import pandas as pd

from kagglekit.competition import sources
from kagglekit.training.networks import loss_of, model_from_recipe
from kagglekit.training.setup import Setup
from kagglekit.training.stages import plan_stages

_VIEWS = 3  # that prediction tries


def plan(comp, recipe, n_splits=5):
    """Measure a few steps on this machine and say what a run will cost before it starts.

    Args:
        comp: a `Competition`.
        recipe: a `Recipe`.
        n_splits: number of folds.

    Returns:
        DataFrame with `part`, `value` and `unit`: minutes of each stage and in all, megabytes of records and of the
        run, and gigabytes of memory. Measured on random images, so it holds within about a third.
    """
    names = comp.class_names

    def build(size):
        return model_from_recipe(len(names), recipe.at_size(size), task=comp.task)

    setup = Setup(recipe, build, task=comp.task, class_names=names)
    timing = Timing(setup, rows=len(comp.train), n_splits=n_splits)
    stages = plan_stages(setup)
    costs = [stage.cost(timing) for stage in stages]
    lines = [
        (f"{stage.name}, {stage.epochs} epochs, {n_splits} folds", cost.minutes, "minutes")
        for stage, cost in zip(stages, costs, strict=True)
    ]
    validated = sum(cost.validated_epochs for cost in costs)
    images = len(comp.train) * (_VIEWS + validated) + len(comp.test) * n_splits * _VIEWS
    predicting = images / recipe.batch_size * timing.forward / 60
    cached = sum(cost.disk for cost in costs)
    megabytes = setup.model.count_params() * 4 / 2**20
    stored = sum(
        sources.size_of(comp.root, source) for source in itertools.chain(comp.train["source"], comp.test["source"])
    )
    batch = timing.images.nbytes
    lines += [
        ("held-out folds, test and views", predicting, "minutes"),
        ("in all", predicting + sum(cost.minutes for cost in costs), "minutes"),
        ("records on disk, at most", stored / 2**20, "MB"),
        ("run on disk", n_splits * megabytes, "MB"),
        *([("what frozen layers give, on disk", cached / 2**20, "MB")] if cached else []),
        ("memory, about", 1.0 + 4 * megabytes / 1024 + batch * 60 / 2**30, "GB"),
    ]
    table = pd.DataFrame(lines, columns=["part", "value", "unit"])
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
        rows: as given.
        training_steps: of one epoch of all folds.
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
        """Return the seconds that passes over all training images through the network take."""
        return count * self._steps * self.forward

    def training_step(self, network, inputs):
        """Compile a network and return the seconds of a training step, and of the first one, which traces it.

        Args:
            network: Keras model, its layers made trainable or not.
            inputs: a batch of what it takes.
        """
        targets = np.zeros((len(inputs), len(self._setup.class_names)), np.float32)
        targets[:, 0] = 1
        network.compile(optimizer="sgd", loss=loss_of(self._setup.task, self._setup.recipe), jit_compile=False)
        return _seconds(lambda: network.train_on_batch(inputs, targets))

    def relative_pixels(self, size):
        """Return the pixels of an image size, as a share of those of the recipe's."""
        return float(np.prod(np.broadcast_to(size, 2)) / np.prod(np.broadcast_to(self._setup.recipe.image_size, 2)))


def _seconds(step):
    """Return the seconds of a step once warm, and of its first call."""
    times = []
    for _ in range(4):
        started = time.monotonic()
        step()
        times.append(time.monotonic() - started)
    return min(times[1:]), times[0]
