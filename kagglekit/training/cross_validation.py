"""Train a network on every fold but one, for each fold, into a run that can be taken up again."""

import contextlib
import inspect
import os
import time
from functools import partial

import tensorflow as tf
from tqdm.auto import tqdm

from kagglekit._files import content_hash, written_whole
from kagglekit._parallel import worker_processes
from kagglekit.competition.tables import row_folds
from kagglekit.models.keras_graph import precision
from kagglekit.pipeline.metadata import check_pixels_alone
from kagglekit.predictions.metrics import check_metric
from kagglekit.records.write import records_of
from kagglekit.runs.runs import adopt_folds, open_run
from kagglekit.training.fold_trainer import FoldTrainer


def cross_validate(comp, folds, recipe, *, build_model=None, fold_numbers=None, parent=None):
    """Train one network per fold and predict each training image by the network that never saw it.

    Each fold starts afresh (weights, optimizer, seeds): first the head on the frozen backbone, then fine-tuning of its
    last layers; a backbone with random weights is trained as a whole. What a finished fold gave lies in the run's
    folder; a run that was broken off goes on after its last whole epoch, and the result is the same, bit for bit. Folds
    that a tuning trial of the same recipe has trained already are taken over.

    Folds are trained one after another; under `joblib.parallel_config("loky", n_jobs=2)`, or `"dask"` with the client
    of a cluster, side by side in worker processes, with the same bits.

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
        ValueError: if the competition's metric is unknown, images lack a fold, train or test a column that the recipe
            names, or `build_model` is given with a recipe that names columns.
        FloatingPointError: if the loss becomes NaN; finished folds stay usable.
        RuntimeError: if the saved network does not predict what the trained one did.
        OSError: if a file cannot be written, on a full disk for instance; the next call goes on.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.Recipe(backbone="small_cnn", weights=None, image_size=8, channels=1, frozen_epochs=0, epochs=1)
    >>> run = kk.cross_validate(comp, kk.assign_folds(comp, 2), recipe)  # doctest: +ELLIPSIS
    fold 1 of 2: accuracy ...
    """
    check_metric(comp.metric, comp.task)
    folds = row_folds(comp, folds)
    if build_model:
        check_pixels_alone(recipe, "build_model")
    records = records_of(comp, folds, recipe)
    model_key = source_key(build_model) if build_model else None
    run = open_run(comp, folds, recipe, records, model_key=model_key, parent=parent, fold_numbers=fold_numbers)
    tf.config.experimental.enable_op_determinism()
    adopt_folds(comp, run)
    missing = [fold for fold in run.info["folds"] if fold not in run.finished_folds]
    if missing:
        make = partial(FoldTrainer, records, recipe, build_model, comp.metric, comp.workspace / "features")
        _train_all(run, make, missing)
    return run


def _train_all(run, make, missing):
    """Train folds in this process, or in those of a joblib backend that `joblib.parallel_config` chose."""
    from joblib import Parallel, delayed

    trainer, jobs = make(), worker_processes()
    if jobs is None:
        with tqdm(total=sum(trainer.steps(fold) for fold in missing), unit="step") as bar:
            for fold in missing:
                bar.write(_train(run, trainer, fold, bar))
        return
    trainer.prepare()  # so that the features are computed once
    threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()
    tasks = (delayed(_train_in_worker)(run, make, fold, threads) for fold in missing)
    with tqdm(total=len(missing), unit="fold") as bar:
        for line in Parallel(jobs, return_as="generator_unordered")(tasks):
            bar.write(line)
            bar.update()


def _train_in_worker(run, make, fold, threads):
    with contextlib.suppress(RuntimeError):  # a worker that has trained a fold has its threads
        tf.config.threading.set_intra_op_parallelism_threads(threads)  # sums depend on their number
    tf.config.experimental.enable_op_determinism()
    with precision(run.info["precision"]):
        return _train(run, make(), fold, tqdm(disable=True))


def _train(run, trainer, fold, bar):
    """Train a fold; return a line that stays, also where no bar is shown (logs, executed notebooks)."""
    started = time.monotonic()
    title = f"fold {run.info['folds'].index(fold) + 1} of {len(run.info['folds'])}"
    train_into(run.fold_folder(fold), trainer, fold, bar, title)
    return f"{title}: {run.info['metric']} {run.scores()[fold]:.4f} ({time.monotonic() - started:.0f} s)"


def train_into(folder, trainer, fold, bar, title, *, call="kk.cross_validate"):
    """Let a trainer fill a folder, whole or not at all; what it goes on from stands beside the folder until then.

    Args:
        folder: the folder.
        trainer, fold, bar, title: as `FoldTrainer.train` takes them.
        call: the function that takes the training up again, for the error.

    Raises:
        OSError: if a file cannot be written.
    """
    state_file = folder.with_name(f"{folder.name}.state.npz")
    try:
        with written_whole(folder) as temporary:
            temporary.mkdir()
            trainer.train(fold, temporary, state_file, bar, title)
    except OSError as error:
        raise OSError(
            f"{title} could not be written below {folder.parent}: {error}. Finished folds are kept and this one goes "
            f"on after its last whole epoch: free some space, then call {call} again"
        ) from error
    state_file.unlink(missing_ok=True)


def source_key(function):
    """Return the text that names a network of the user's own: a hash of the name and source of its function."""
    try:
        return content_hash([function.__qualname__, inspect.getsource(function)])
    except (OSError, TypeError):
        raise ValueError(
            f"cannot read the source of build_model={function!r}, which names the run; "
            "define it with `def` in a file or a cell"
        ) from None
