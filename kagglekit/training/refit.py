"""One network trained on all rows, for as many epochs as were best for the folds."""

import time

import tensorflow as tf

from kagglekit.models.keras_graph import precision
from kagglekit.training.cross_validation import build_model_hash, train_into
from kagglekit.training.progress import progress_bar, say, titled
from kagglekit.training.setup import REFIT, Setup
from kagglekit.training.stages import plan_stages


def refit(run, *, build_model=None):
    """Train a run's recipe once more, on all training rows, and keep the network in the run's folder.

    For the test rows (`kk.predict(run, networks="refit")`) and for deployment: one network that saw every image, in
    place of one per fold that saw a part. No row is left to score it on; the folds' score is the estimate.

    It trains for the recipe's epochs. With `patience` each stage ends after the mean of the folds' best epochs,
    rounded, at the learning rate of the recipe's schedule there. An interrupted refit is resumed after its last whole
    epoch with the same bits; a complete one is not trained again.

    Args:
        run: a complete `Run`.
        build_model: the function that the run was trained with, if its network was a custom one.

    Returns:
        The `Run`; `run.model("refit")` loads the network, whose folder also holds `history.csv` without held-out rows.

    Raises:
        ValueError: if the run is not complete, its images have changed, or `build_model` is not the run's.
        FloatingPointError: if the loss becomes NaN.
        RuntimeError: if the saved network does not predict what the trained one did.
        OSError: if a file cannot be written; the next call resumes.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.Recipe(backbone="small_cnn", weights=None, image_size=8, channels=1, frozen_epochs=0, epochs=2)
    >>> run = kk.cross_validate(comp, kk.assign_folds(comp, 2), recipe)  # doctest: +ELLIPSIS
    fold 1 of 2: accuracy ...
    >>> kk.refit(run).model("refit").output_shape  # doctest: +ELLIPSIS
    refit on 1437 images ...
    (None, 10)
    """
    _check_refit(run, build_model)
    folder = run.fold_folder("refit")
    if folder.is_dir():
        return run
    records, recipe = run.records(), run.recipe
    tf.config.experimental.enable_op_determinism()
    with precision(run.info["precision"]):
        setup = Setup.of_run(
            records, recipe, run.trained_metric, run.features(), build_model=build_model, folds=[REFIT]
        )  # fmt: skip
        stages = plan_stages(setup)
        if recipe.patience:
            stages = [stage.ending_after(_mean_best_epoch(run, stage)) for stage in stages]
        started = time.monotonic()
        with progress_bar(sum(stage.steps(REFIT) for stage in stages)), titled("refit"):
            train_into(folder, setup, stages, REFIT, call="kk.refit")
            say(f"refit on {records.rows(records.folds)} images ({time.monotonic() - started:.0f} s)")
    return run


def _check_refit(run, build_model):
    if not run.complete:
        raise ValueError(f"{run!r} is not complete; call kk.cross_validate with its recipe again to finish it")
    is_custom = run.info["model"] != run.recipe.backbone
    if is_custom and build_model is None:
        raise ValueError(
            f"{run.name} has a network of your own, which a run does not store; call kk.refit(run, build_model=...) "
            "with the function that it was trained with"
        )
    if build_model is not None and build_model_hash(build_model) != run.info["model"]:
        trained = "another function, or another version of it" if is_custom else f"the backbone {run.recipe.backbone!r}"
        raise ValueError(
            f"{run.name} was trained with {trained}, not with build_model={build_model.__qualname__}; "
            f"{'give that function' if is_custom else 'leave build_model out'}, or train a new run with it by "
            "kk.cross_validate"
        )


def _mean_best_epoch(run, stage):
    """Return the mean over the folds of a stage's epoch with the best held-out metric, the first of equal ones.

    A fold whose metric is never defined counts with its last epoch.
    """
    history, metric = run.history, run.trained_metric
    stage_history = history[history["epoch"].between(stage.first + 1, stage.first + stage.epochs)]
    last_epochs = stage_history.groupby("fold")["epoch"].max()
    fold_scores = stage_history.dropna(subset=f"held_out_{metric}").groupby("fold")[f"held_out_{metric}"]
    best_rows = fold_scores.agg(metric.best)
    return round(
        stage_history.loc[best_rows].set_index("fold")["epoch"].reindex(last_epochs.index).fillna(last_epochs).mean()
    )
