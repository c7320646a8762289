"""Train a network on every fold but one, for each fold, into a run that can be taken up again."""

import inspect
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from kagglekit._files import content_hash, written_whole
from kagglekit.competition.tables import as_series
from kagglekit.inputs.pipeline import eval_dataset, train_dataset
from kagglekit.inputs.records import write_records
from kagglekit.models.heads import build_classifier, freeze_backbone, unfreeze_backbone
from kagglekit.models.optimizers import adamw_with_warmup
from kagglekit.training.callbacks import HeldOut, Progress
from kagglekit.training.prediction import predict_rows
from kagglekit.training.runs import open_run


def cross_validate(comp, folds, recipe, *, build_model=None, fold_numbers=None, parent=None):
    """Train one network per fold and predict each training image by the network that never saw it.

    Each fold starts afresh (weights, optimizer, seeds): first the head on the frozen backbone, then fine-tuning of its
    last layers; a backbone with random weights is trained as a whole. What a finished fold gave lies in the run's folder;
    a run that was broken off goes on at its first unfinished fold, and the result is the same.

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
        FloatingPointError: if the loss becomes NaN; finished folds stay usable.
        RuntimeError: if the saved network does not predict what the trained one did.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.Recipe(backbone="small_cnn", weights=None, image_size=8, channels=1, frozen_epochs=0, epochs=1)
    >>> run = kk.cross_validate(comp, kk.assign_folds(comp, 2), recipe)  # doctest: +ELLIPSIS
    fold 1 of 2: accuracy ...
    """
    folds = as_series(folds, comp.train["image_id"], "folds").astype(int)
    records = write_records(comp, folds, record_size=recipe.record_size)
    model_key = _source_key(build_model) if build_model else None
    run = open_run(comp, folds, recipe, records, model_key=model_key, parent=parent, fold_numbers=fold_numbers)
    numbers, done = run.info["folds"], run.finished_folds
    tf.config.experimental.enable_op_determinism()
    steps = {fold: _steps(records, recipe, _others(records, fold)) for fold in numbers}
    epochs = recipe.frozen_epochs + recipe.epochs
    with tqdm(total=epochs * sum(steps[fold] for fold in numbers if fold not in done), unit="step") as bar:
        for place, fold in enumerate(numbers, 1):
            if fold not in done:
                started = time.monotonic()
                title = f"fold {place} of {len(numbers)}"
                with written_whole(run.fold_folder(fold)) as folder:
                    folder.mkdir()
                    _train_fold(folder, fold, records, recipe, build_model or _from_recipe, comp.metric, (bar, title))
                score = run.scores()[fold]
                # A line that stays, also where no bar is shown (logs, executed notebooks)
                bar.write(f"{title}: {comp.metric} {score:.4f} ({time.monotonic() - started:.0f} s)")
    return run


def _train_fold(folder, fold, records, recipe, build_model, metric, shown):
    bar, title = shown
    keras.utils.clear_session()
    # Every fold draws from its own seed, so that a resumed run does not depend on the folds before it.
    keras.utils.set_random_seed(int(content_hash([recipe.seed, fold]), 16) % 2**31)
    model = build_model(len(records.class_names), recipe)
    training_folds = _others(records, fold)
    steps = _steps(records, recipe, training_folds)
    held_out = eval_dataset(records, recipe, fold)
    history, last, start = [], None, 0
    for stage, epochs, learning_rate in _stages(recipe, model):
        _set_trainable(model, stage, recipe)
        model.compile(
            optimizer=adamw_with_warmup(
                learning_rate, steps * epochs, warmup=recipe.warmup, weight_decay=recipe.weight_decay
            ),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=False,  # XLA is twenty times slower on a CPU
        )
        watcher = HeldOut(lambda model: predict_rows(model, held_out), metric, stage)
        model.fit(
            train_dataset(records, recipe, training_folds, start_epoch=start),
            steps_per_epoch=steps,
            initial_epoch=start,
            epochs=start + epochs,
            callbacks=[Progress(bar, f"{title}, {stage}"), watcher],
            verbose=0,
        )
        history += watcher.rows
        last, start = watcher.last, start + epochs
    _save(folder, model, held_out, last)
    table = pd.DataFrame(history)
    table.insert(0, "fold", fold)
    table.to_csv(folder / "history.csv", index=False)


def _save(folder, model, held_out, last):
    """Save the network without its optimizer, load it again and keep what the loaded one predicts."""
    if type(model).__name__ == "Functional":
        model = keras.Model(model.inputs, model.outputs, name=model.name)  # not compiled
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
    probabilities, labels, image_ids = predict_rows(loaded, held_out)
    difference = float(np.abs(probabilities - last[0]).max())
    if difference > 1e-4:
        raise RuntimeError(
            f"the saved network predicts up to {difference:.2g} away from the trained one; a layer does not save all its "
            "state (see keras#20147). Finished folds are kept; change the network and start again"
        )
    np.savez(folder / "oof.npz", probabilities=probabilities, labels=labels, image_ids=image_ids)


def _from_recipe(num_classes, recipe):
    return build_classifier(
        num_classes,
        backbone=recipe.backbone,
        weights=recipe.weights,
        image_size=recipe.image_size,
        channels=recipe.channels,
        pooling=recipe.pooling,
        dropout=recipe.dropout,
    )


def _stages(recipe, model):
    """Return `(name, epochs, peak learning rate)` of the stages; a network without a backbone is trained in one."""
    stages = [("frozen", recipe.frozen_epochs, recipe.frozen_learning_rate), ("fine-tuning", recipe.epochs, recipe.learning_rate)]
    if not _has_backbone(model):
        stages = [("training", recipe.frozen_epochs + recipe.epochs, recipe.learning_rate)]
    return [stage for stage in stages if stage[1] > 0]


def _set_trainable(model, stage, recipe):
    if stage == "frozen":
        freeze_backbone(model)
    elif _has_backbone(model):
        unfreeze_backbone(model, recipe.unfrozen_layers, batch_norm=recipe.weights is None)


def _has_backbone(model):
    return any(layer.name == "backbone" for layer in model.layers)


def _others(records, fold):
    return [number for number in records.folds if number != fold]


def _steps(records, recipe, folds):
    return -(-records.rows(folds) // recipe.batch_size)


def _source_key(function):
    try:
        return content_hash([function.__qualname__, inspect.getsource(function)])
    except (OSError, TypeError):
        raise ValueError(
            f"cannot read the source of build_model={function!r}, which names the run; define it with `def` in a file or cell"
        ) from None
