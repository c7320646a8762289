"""The frozen stage: the heads of all folds train at once on features that are computed once."""

import time

import numpy as np

from kagglekit.training.callbacks import held_out_scores
from kagglekit.training.networks import loss_of, optimizer_of
from kagglekit.training.stages.stacked_heads import StackedHeads


def train_heads(rows, head, stage, records, recipe, metric, folds=None):
    """Train one head for each fold.

    Args:
        rows: `CachedRows` of the features.
        head: Keras model from features to what is predicted, for which `can_stack` holds; its values start each fold.
        stage: the `Stage`.
        records: `Records`.
        recipe: a `Recipe`.
        metric: the competition's `Metric`.
        folds: to train a head for; one that no row has trains on all rows. Defaults to those of the records.

    Returns:
        Dict of fold -> `(values, lines, predictions)`: the head's variables, the lines of history, and the predictions
        of the fold's own rows.
    """
    folds = records.folds if folds is None else folds
    weights = None if recipe.class_weights == "none" else np.stack([rows.weights(fold) for fold in folds])
    heads = StackedHeads(head, rows.folds, rows.views, rows.targets, rows.labels, weights, folds)
    own_rate = recipe.replace(layer_decay=1.0)  # which the head has anyway
    optimizer = optimizer_of(own_rate, stage, heads.steps(rows.expected, recipe.batch_size) * stage.epochs, None)
    lines = {fold: [] for fold in folds}
    started, last = time.monotonic(), None

    def on_epoch(epoch, losses, predictions):
        nonlocal started, last
        rate, seconds = float(optimizer.learning_rate), time.monotonic() - started
        started, last = time.monotonic(), predictions
        for fold, loss in zip(folds, losses, strict=True):
            own = rows.own(fold)
            line = {"stage": stage.name, "epoch": stage.first + epoch + 1, "loss": float(loss)}
            line |= held_out_scores(rows.labels[own], predictions[own], metric, records.task, records.class_names)
            line |= {"learning_rate": rate, "seconds": round(seconds / len(losses), 3)}
            lines[fold].append(line)

    heads.train(
        optimizer,
        loss_of(records.task, recipe),
        epochs=stage.epochs,
        expected=rows.expected,
        recipe=recipe,
        on_epoch=on_epoch,
    )
    return {fold: (heads.values(fold), lines[fold], last[rows.own(fold)]) for fold in folds}
