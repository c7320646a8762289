"""Train one fold: the loop over its stages, and the files it writes."""

import keras
import numpy as np

from kagglekit.pipeline.datasets import eval_dataset
from kagglekit.runs.events import EVENTS, write_events
from kagglekit.runs.history import history_table
from kagglekit.training.checkpoint import Checkpoint
from kagglekit.training.networks import same_layers

_NUM_CHECKED = 16  # images on which the saved network is compared with the trained one


def train_fold(setup, stages, fold, folder, checkpoint_file):
    """Train one fold and write its network, `oof.npz` (not for a refit) and history into a folder.

    Args:
        setup: the `Setup` that the folds of a run share.
        stages: list of `Stage`, in order.
        fold: number of the fold that is held out, or `"refit"`.
        folder: an empty folder.
        checkpoint_file: file of the fold's `Checkpoint`, from which it is resumed.
    """
    setup.restart()
    checkpoint, predictions = Checkpoint(checkpoint_file), None
    for stage in stages[checkpoint.stage :]:
        rows, predictions = stage.fit(fold, checkpoint)
        checkpoint.finish_stage(rows)
    save_network(setup, fold, folder, predictions)
    if setup.holds_out(fold):
        index = setup.records.index(fold)
        labels = setup.task.as_labels(index["label"])
        np.savez(folder / "oof.npz", probabilities=predictions, labels=labels, image_ids=index["image_id"])
    table = history_table(fold, checkpoint.history, setup.metric)
    table.to_csv(folder / "history.csv", index=False)
    write_events(folder / EVENTS, table)


def save_network(setup, fold, folder, predictions):
    """Save the network without its optimizer, load it and compare the predictions of both for a few images.

    Args:
        setup, fold, folder: as in `train_fold`.
        predictions: what the last stage predicted for the fold's rows.

    Raises:
        RuntimeError: if they differ.
    """
    same_layers(setup.saved).save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
    checked_recipe = setup.recipe.replace(batch_size=min(_NUM_CHECKED, setup.recipe.batch_size))
    part = fold if setup.holds_out(fold) else setup.records.folds[0]
    images = next(iter(eval_dataset(setup.records, checked_recipe, part)))[0]
    trained = setup.infer(setup.recipe.image_size)(images).numpy()
    scale = max(1, float(np.abs(trained).max()))  # a regression may predict thousands
    # Features are cached in half precision
    if setup.holds_out(fold) and np.abs(predictions[: len(trained)] - trained).max() > 0.05 * scale:
        raise RuntimeError(
            f"the head of fold {fold} was trained on cached features that the network does not give; remove the folder "
            f"{setup.features} and train again"
        )
    difference = float(np.abs(loaded(images, training=False).numpy() - trained).max())
    if difference > 1e-4 * scale:
        raise RuntimeError(
            f"the saved network predicts up to {difference:.2g} away from the trained one; a layer does not save all "
            "its state (see keras#20147). Finished folds are kept; change the network and train again"
        )
