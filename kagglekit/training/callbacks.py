"""Keras callbacks: progress, fresh seeds, and the metric on the validation fold."""

import time

import keras
import numpy as np

from kagglekit import metrics
from kagglekit.models.keras_graph import mark_average_in_network
from kagglekit.runs.history import history_row
from kagglekit.training.progress import advance, describe, title


class Progress(keras.callbacks.Callback):
    """Move the progress bar on by a step per batch, and stop with a clear error when the loss is NaN or infinite.

    Args:
        stage: name of the stage.
    """

    def __init__(self, stage):
        super().__init__()
        self.stage = stage

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        describe(self.stage, f"epoch {epoch + 1}")

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"{title(self.stage)}: the loss became {loss} in epoch {self.epoch + 1}, batch {batch + 1}; lower the "
                "learning rate, or look at the images with kk.check_images(comp)"
            )
        advance(loss=f"{loss:.3f}")


class Reseed(keras.callbacks.Callback):
    """Give dropout and other random layers seeds that follow from the run's seed, the fold and the epoch alone.

    Keras saves the state of its seed generators neither in `.keras` nor in `.weights.h5`. Since it is set anew for each
    epoch, training resumes after an interruption exactly as it would have continued without one.

    Args:
        seed: integer, 0 or more.
        fold: the number of the fold in seeds, see `seed_of`.
    """

    def __init__(self, seed, fold):
        super().__init__()
        self.seed, self.fold = seed, fold

    def on_epoch_begin(self, epoch, logs=None):
        seed_states = [variable for variable in self.model.variables if variable.path.endswith("seed_generator_state")]
        for position, variable in enumerate(seed_states):
            state = np.random.SeedSequence([self.seed, self.fold, epoch, position]).generate_state(2)
            variable.assign(state.astype(variable.dtype))


class HeldOut(keras.callbacks.Callback):
    """Predict and score the validation fold after each epoch by the exact metric; with patience keep the best weights.

    Args:
        setup: the `Setup` whose metric scores.
        predict: function without arguments that returns `(probabilities, labels, image_ids)` of the fold; arrays
            without rows where all rows are trained on.
        stage: name of the stage, for the history.
        patience: stop after this many epochs without a better metric and return to the best weights; 0 keeps the last
            weights, as does a fold whose labels do not define the metric.

    Attributes:
        rows: history of the stage, a row for each epoch.
        last: predictions after the last epoch or, with patience, the best.
        best: score of the best epoch, or None.
        weights: weights of the network after that epoch.
        ended: whether the metric has not become better for `patience` epochs.
    """

    def __init__(self, setup, predict, stage, *, patience=0):
        super().__init__()
        self.setup, self.predict, self.stage, self.patience = setup, predict, stage, patience
        self.rows, self.last, self.best, self.weights, self._epochs_since_best = [], None, None, [], 0

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        probabilities, labels, _ = self.predict()
        row = history_row(
            self.stage,
            epoch + 1,
            **(logs or {}),
            **held_out_scores(self.setup, labels, probabilities),
            learning_rate=self.model.optimizer.learning_rate,
            seconds=round(time.monotonic() - self._started, 2),
        )
        self.rows.append(row)
        score = row["held_out_score"]
        if not self.patience:
            self.last = probabilities
        # A fold in which the metric is not defined keeps its last epoch
        elif self.best is None or np.isnan(self.best) or self.setup.metric.better(score, self.best):
            self.last, self.best, self.weights = probabilities, score, self.model.get_weights()
            self._epochs_since_best = 0
        else:
            self._epochs_since_best += 1

    @property
    def ended(self):
        return bool(self.patience) and self._epochs_since_best >= self.patience

    def arrays(self):
        """Return the arrays that `resume` needs, a dict of lists."""
        return {"best": self.weights, "last": [self.last]}

    def values(self):
        """Return the plain values that `resume` needs, a dict."""
        return {"rows": self.rows, "best": self.best, "since": self._epochs_since_best}

    def resume(self, arrays, values):
        """Restore what `arrays` and `values` returned."""
        self.rows, self.best, self._epochs_since_best = list(values["rows"]), values["best"], values["since"]
        self.last, self.weights = arrays["last"][0], arrays.get("best", [])


def swap_averages(momentum, *, resumed):
    """Return the callbacks that replace the weights by their moving average after each epoch; none for 0."""
    if not momentum:
        return []
    callback = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    if resumed:
        mark_average_in_network(callback)  # the checkpoint was saved after the swap
    return [callback]


def held_out_scores(setup, labels, probabilities):
    """Return an epoch's `held_out_loss` and `held_out_score` as a dict, empty where no row is held out.

    Raises:
        FloatingPointError: if a prediction is NaN or infinite, as after a last step that went too far.
    """
    if not len(labels):
        return {}
    if not np.isfinite(probabilities).all():
        raise FloatingPointError(
            "the network predicts NaN or infinity for images of the validation fold; lower the learning rate, or look "
            "at the images with kk.check_images(comp)"
        )
    return {
        "held_out_loss": metrics.score(setup.task.error, labels, probabilities, setup.task),
        "held_out_score": metrics.score(setup.metric, labels, probabilities, setup.task, setup.class_names),
    }
