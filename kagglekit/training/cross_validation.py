"""Train a network on every fold but one, for each fold, into a run that can be taken up again."""

import inspect
import time

import tensorflow as tf
from tqdm.auto import tqdm

from kagglekit._files import content_hash, written_whole
from kagglekit.competition.tables import row_folds
from kagglekit.inputs.writing import write_records
from kagglekit.predictions.metrics import check_metric
from kagglekit.training.fold_trainer import FoldTrainer
from kagglekit.training.runs import adopt_folds, open_run


def cross_validate(comp, folds, recipe, *, build_model=None, fold_numbers=None, parent=None):
    """Train one network per fold and predict each training image by the network that never saw it.

    Each fold starts afresh (weights, optimizer, seeds): first the head on the frozen backbone, then fine-tuning of its
    last layers; a backbone with random weights is trained as a whole. What a finished fold gave lies in the run's
    folder; a run that was broken off goes on at its first unfinished fold, and the result is the same. Folds that a
    tuning trial of the same recipe has trained already are taken over.

    Switches TensorFlow's deterministic ops on for the process.

    Args:
        comp: a `Competition`.
        folds: fold of each training image, as `assign_folds` gives it.
        recipe: a `Recipe`.
        build_model: function `(num_classes, recipe)` that returns a Keras network of one's own: raw pixels to
            probabilities, not compiled. A layer named `backbone`, if it has one, is frozen in the first stage. Its
            source is part of the run's identity. Defaults to `build_classifier`.
        fold_numbers: folds to train. Defaults to all.
        parent: folder to put the run in. Defaults to `runs` in the competition's workspace.

    Returns:
        `Run`, with `score`, `oof`, `history` and `model(fold)`.

    Raises:
        ValueError: if the competition's metric is unknown, or images lack a fold.
        FloatingPointError: if the loss becomes NaN; finished folds stay usable.
        RuntimeError: if the saved network does not predict what the trained one did.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.Recipe(backbone="small_cnn", weights=None, image_size=8, channels=1, frozen_epochs=0, epochs=1)
    >>> run = kk.cross_validate(comp, kk.assign_folds(comp, 2), recipe)  # doctest: +ELLIPSIS
    fold 1 of 2: accuracy ...
    """
    check_metric(comp.metric, comp.task)
    folds = row_folds(comp, folds)
    records = write_records(comp, folds, record_size=recipe.record_size, preprocess=recipe.preprocess)
    model_key = _source_key(build_model) if build_model else None
    run = open_run(comp, folds, recipe, records, model_key=model_key, parent=parent, fold_numbers=fold_numbers)
    tf.config.experimental.enable_op_determinism()
    adopt_folds(comp, run)
    missing = [fold for fold in run.info["folds"] if fold not in run.finished_folds]
    if missing:
        store = comp.workspace / "features"
        trainer = FoldTrainer(records, recipe, build_model, comp.metric, store)
        with tqdm(total=sum(trainer.steps(fold) for fold in missing), unit="step") as bar:
            for fold in missing:
                _train(run, trainer, fold, bar)
    return run


def _train(run, trainer, fold, bar):
    started = time.monotonic()
    title = f"fold {run.info['folds'].index(fold) + 1} of {len(run.info['folds'])}"
    with written_whole(run.fold_folder(fold)) as folder:
        folder.mkdir()
        trainer.train(fold, folder, bar, title)
    # A line that stays, also where no bar is shown (logs, executed notebooks)
    bar.write(f"{title}: {run.info['metric']} {run.scores()[fold]:.4f} ({time.monotonic() - started:.0f} s)")


def _source_key(function):
    try:
        return content_hash([function.__qualname__, inspect.getsource(function)])
    except (OSError, TypeError):
        raise ValueError(
            f"cannot read the source of build_model={function!r}, which names the run; "
            "define it with `def` in a file or a cell"
        ) from None
