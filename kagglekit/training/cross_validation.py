"""Train one network per fold on the other folds, into a run that can be resumed."""

import contextlib
import os
import time
from functools import partial

import tensorflow as tf

from kagglekit._files import source_hash, written_whole
from kagglekit._parallel import worker_processes
from kagglekit.competition.tables import row_folds
from kagglekit.models.keras_graph import precision
from kagglekit.pipeline.metadata import check_no_metadata
from kagglekit.records.write import records_of
from kagglekit.runs.creation import adopt_folds, open_run
from kagglekit.training.fold_trainer import train_fold
from kagglekit.training.progress import advance, progress_bar, say, title, titled
from kagglekit.training.setup import Setup
from kagglekit.training.stages import plan_stages


def cross_validate(comp, folds, recipe, *, build_model=None, fold_numbers=None, parent=None):
    """Train one network per fold and predict each training image by the network that never saw it.

    Each fold starts afresh (weights, optimizer, seeds): first the head on the frozen backbone, then fine-tuning of its
    last layers; a backbone with random weights is trained as a whole. The results of finished folds are in the run's
    folder; an interrupted run is resumed after its last whole epoch, and the result is the same, bit for bit. Folds
    that a tuning trial of the same recipe has trained already are copied.

    Folds are trained one after another; under `joblib.parallel_config("loky", n_jobs=2)`, or `"dask"` with the client
    of a cluster, in parallel in worker processes, with the same bits.

    Enables TensorFlow's deterministic ops for the process.

    Args:
        comp: a `Competition`.
        folds: fold of each training image, as `assign_folds` gives it.
        recipe: a `Recipe`.
        build_model: function `(num_classes, recipe)` that returns a custom Keras network: raw pixels to
            probabilities, not compiled. A layer named `backbone`, if it has one, is frozen in the first stage. Its
            source is part of the run's hash. Defaults to the recipe's network.
        fold_numbers: folds to train. Defaults to all.
        parent: folder to put the run in. Defaults to `runs` in the competition's workspace.

    Returns:
        `Run`, with `score`, `oof`, `history` and `model(fold)`.

    Raises:
        ValueError: if images lack a fold, train or test a column that the recipe names, or `build_model` is given with
            a recipe that names columns.
        FloatingPointError: if the loss becomes NaN; finished folds stay usable.
        RuntimeError: if the saved network does not predict what the trained one did.
        OSError: if a file cannot be written, on a full disk for instance; the next call resumes.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.Recipe(backbone="small_cnn", weights=None, image_size=8, channels=1, frozen_epochs=0, epochs=1)
    >>> run = kk.cross_validate(comp, kk.assign_folds(comp, 2), recipe)  # doctest: +ELLIPSIS
    fold 1 of 2: accuracy ...
    """
    folds = row_folds(comp, folds)
    if build_model:
        check_no_metadata(recipe, "build_model")
    records = records_of(comp, folds, recipe)
    return train_on(records, comp, folds, recipe, build_model=build_model, fold_numbers=fold_numbers, parent=parent)


def train_on(records, comp, folds, recipe, *, build_model=None, fold_numbers=None, parent=None):
    """Cross-validate on records of `records_of` that are written already; otherwise as `cross_validate`.

    `records_of` checks every source file, which a search need not do for each of its trials.
    """
    model_hash = build_model_hash(build_model) if build_model else None
    run = open_run(comp, folds, recipe, records, model_hash=model_hash, parent=parent, fold_numbers=fold_numbers)
    tf.config.experimental.enable_op_determinism()
    adopt_folds(comp, run)
    missing = [fold for fold in run.info["folds"] if fold not in run.finished_folds]
    if missing:
        make_setup = partial(Setup.of_run, records, recipe, comp.metric, comp.folders.features, build_model=build_model)
        _train_all(run, make_setup, missing)
    return run


def _train_all(run, make_setup, missing):
    """Train folds in this process, or in the workers of a backend chosen by `joblib.parallel_config`."""
    num_workers, setup = worker_processes(), make_setup()
    stages = plan_stages(setup)
    if num_workers is None:
        with progress_bar(sum(stage.steps(fold) for stage in stages for fold in missing)):
            for fold in missing:
                say(_train(run, setup, stages, fold))
        return
    from joblib import Parallel, delayed

    for stage in stages:
        stage.prepare()  # so that the workers find the features cached
    threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()
    tasks = (delayed(_train_in_worker)(run, make_setup, fold, threads) for fold in missing)
    with progress_bar(len(missing), unit="fold"):
        for line in Parallel(num_workers, return_as="generator_unordered")(tasks):
            say(line)
            advance()


def _train_in_worker(run, make_setup, fold, threads):
    with contextlib.suppress(RuntimeError):  # a worker that has trained a fold before
        tf.config.threading.set_intra_op_parallelism_threads(threads)  # sums depend on the number of threads
    tf.config.experimental.enable_op_determinism()
    with precision(run.info["precision"]):
        setup = make_setup()
        return _train(run, setup, plan_stages(setup), fold)


def _train(run, setup, stages, fold):
    """Train a fold; return a line to print, which stays visible in logs and executed notebooks."""
    started, folds = time.monotonic(), run.info["folds"]
    with titled(f"fold {folds.index(fold) + 1} of {len(folds)}"):
        train_into(run.fold_folder(fold), setup, stages, fold)
        seconds = time.monotonic() - started
        return f"{title()}: {run.metric} {run.scores()[fold]:.4f} ({seconds:.0f} s)"


def train_into(folder, setup, stages, fold, *, call="kk.cross_validate"):
    """Train a fold into its folder, which exists once the fold is complete; until then a checkpoint is beside it.

    Args:
        folder: the folder.
        setup, stages, fold: as `train_fold` takes them.
        call: the function that resumes the training, for the error.

    Raises:
        OSError: if a file cannot be written.
    """
    checkpoint_file = folder.with_name(f"{folder.name}.state.npz")
    try:
        with written_whole(folder) as temporary:
            temporary.mkdir()
            train_fold(setup, stages, fold, temporary, checkpoint_file)
    except OSError as error:
        raise OSError(
            f"{title()} could not be written below {folder.parent}: {error}. Finished folds are kept and this one "
            f"resumes after its last whole epoch: free some space, then call {call} again"
        ) from error
    checkpoint_file.unlink(missing_ok=True)


def build_model_hash(function):
    """Return a hash of the name and source of the function that builds a custom network."""
    try:
        return source_hash(function)
    except (OSError, TypeError):
        raise ValueError(
            f"cannot read the source of build_model={function!r}, which is part of the run's hash; "
            "define it with `def` in a file or a cell"
        ) from None
