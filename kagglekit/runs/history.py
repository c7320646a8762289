"""The history of a run: one schema for every stage and every task."""

import numpy as np
import pandas as pd


def history_row(stage, epoch, **values):
    """Return the row of one epoch in the history of a fold.

    Args:
        stage: name of the stage.
        epoch: number of the epoch, from 1, counted over all stages.
        **values: any of `loss` (mean over the training batches, of smoothed labels where the recipe smooths them),
            `accuracy` (the same, where the task has one label a row), `held_out_loss` and `held_out_score` (of the
            validation fold after the epoch), `learning_rate` (at its end) and `seconds`. Values left out are NaN.

    Example:

    >>> history_row("frozen", 1, loss=0.7)["held_out_score"]
    nan
    """
    unknown = set(values) - set(_VALUES)
    if unknown:
        raise TypeError(f"expected values among {_VALUES}, got {sorted(unknown)}")
    return {"stage": stage, "epoch": epoch} | {name: float(values.get(name, np.nan)) for name in _VALUES}


def history_table(fold, rows, metric):
    """Return the rows of one fold as a DataFrame whose columns are the same for every stage and task.

    Args:
        fold: number of the fold, or `"refit"`.
        rows: list of what `history_row` returned.
        metric: name of the competition's metric, which names the column of `held_out_score`.

    Example:

    >>> history_table(0, [history_row("frozen", 1, loss=0.7)], "auc").columns.tolist()  # doctest: +NORMALIZE_WHITESPACE
    ['fold', 'stage', 'epoch', 'loss', 'accuracy', 'held_out_loss', 'held_out_auc', 'learning_rate', 'seconds']
    """
    table = pd.DataFrame(rows, columns=["stage", "epoch", *_VALUES])
    table.insert(0, "fold", fold)
    return table.rename(columns={"held_out_score": f"held_out_{metric}"})


_VALUES = ("loss", "accuracy", "held_out_loss", "held_out_score", "learning_rate", "seconds")
