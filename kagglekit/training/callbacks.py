"""Keras callbacks: progress, and the metric on the fold that was held out."""

import time

import keras
import numpy as np

from kagglekit.predictions import metrics


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


class HeldOut(keras.callbacks.Callback):
    """Predict the held-out fold after each epoch and add the exact metric to the epoch's line of history.

    Args:
        predict: function without arguments that returns `(probabilities, labels, image_ids)` of the held-out fold.
        metric: name of the metric.
        task: as in `Competition`.
        stage: name of the stage, for the history.

    Attributes:
        rows: list of dicts, one per epoch.
        last: what `predict` returned after the last epoch.
    """

    def __init__(self, predict, metric, task, stage):
        super().__init__()
        self.predict, self.metric, self.task, self.stage = predict, metric, task, stage
        self.rows, self.last = [], None

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self.last = probabilities, labels, _ = self.predict()
        row = {"stage": self.stage, "epoch": epoch + 1}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        row["held_out_loss"] = metrics.score(metrics.loss_of(self.task), labels, probabilities, self.task)
        row[f"held_out_{self.metric}"] = metrics.score(self.metric, labels, probabilities, self.task)
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        row["seconds"] = round(time.monotonic() - self.started, 2)
        self.rows.append(row)
