"""Keras callbacks: progress, fresh seeds, and the metric on the fold that was held out."""

import time

import keras
import numpy as np

from kagglekit import metrics


class Progress(keras.callbacks.Callback):
    """Move a bar on by a step per batch, and stop with a clear error when the loss is no number.

    Args:
        bar: a tqdm bar.
        title: what the bar says in front.
    """

    def __init__(self, bar, title):
        super().__init__()
        self.bar, self.title = bar, title

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.bar.set_description(f"{self.title}, epoch {epoch + 1}")

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"{self.title}: the loss became {loss} in epoch {self.epoch + 1}, batch {batch + 1}; lower the "
                "learning rate, or look at the images with kk.check_images(comp)"
            )
        self.bar.update()
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)


class Reseed(keras.callbacks.Callback):
    """Give dropout and its like seeds that follow from the run's seed, the fold and the epoch alone.

    Keras saves the state of its seed generators neither in `.keras` nor in `.weights.h5`; drawn anew for each epoch,
    training goes on after an interruption as it would have without one.

    Args:
        seed, fold: integers, 0 or more.
    """

    def __init__(self, seed, fold):
        super().__init__()
        self.seed, self.fold = seed, fold

    def on_epoch_begin(self, epoch, logs=None):
        states = [variable for variable in self.model.variables if variable.path.endswith("seed_generator_state")]
        for number, variable in enumerate(states):
            drawn = np.random.SeedSequence([self.seed, self.fold, epoch, number]).generate_state(2)
            variable.assign(drawn.astype(variable.dtype))


class HeldOut(keras.callbacks.Callback):
    """Predict the held-out fold after each epoch, score it by the exact metric, and keep the best weights if asked to.

    Args:
        predict: function without arguments that returns `(probabilities, labels, image_ids)` of the held-out fold; of
            none, where all rows are trained on.
        metric: the `Metric`, or its name.
        task: as in `Competition`.
        stage: name of the stage, for the history.
        patience: stop after so many epochs without a better metric and go back to the best weights; 0 keeps the last,
            and so does a fold whose labels do not define the metric.
        class_names: as `metrics.score` takes them.

    Attributes:
        state: dict of what must be known to go on after an interruption: `rows` (a dict for each epoch of this stage),
            `last` (predictions after the last epoch, or the best), `best` (score) and `weights` (of the best epoch).
    """

    def __init__(self, predict, metric, task, stage, *, patience=0, class_names=None):
        super().__init__()
        self.class_names = class_names
        self.predict, self.metric, self.task, self.stage, self.patience = predict, metric, task, stage, patience
        self.state = {"rows": [], "last": None, "best": None, "weights": []}

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        probabilities, labels, _ = self.predict()
        row = {"stage": self.stage, "epoch": epoch + 1}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        row |= held_out_scores(labels, probabilities, self.metric, self.task, self.class_names)
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        row["seconds"] = round(time.monotonic() - self.started, 2)
        state, score = self.state, row.get(f"held_out_{self.metric}")
        state["rows"].append(row)
        if not self.patience:
            state["last"] = probabilities
        # A fold in which the metric is not defined keeps its last epoch
        elif state["best"] is None or np.isnan(state["best"]) or metrics.better(self.metric, score, state["best"]):
            state |= {"last": probabilities, "best": score, "weights": self.model.get_weights(), "since": 0}
        else:
            state["since"] += 1

    @property
    def ended(self):
        """Whether the metric has not become better for `patience` epochs."""
        return bool(self.patience) and self.state.get("since", 0) >= self.patience


def held_out_scores(labels, probabilities, metric, task, class_names=None):
    """Return an epoch's `held_out_loss` and `held_out_<metric>`; nothing where no row was held out."""
    if not len(labels):
        return {}
    return {
        "held_out_loss": metrics.score(metrics.loss_of(task), labels, probabilities, task),
        f"held_out_{metric}": metrics.score(metric, labels, probabilities, task, class_names),
    }
