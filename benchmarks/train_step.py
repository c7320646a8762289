"""Images a second while fine-tuning from records, against the same steps on one batch held in memory.

Run: python benchmarks/train_step.py [repeats]
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from input_pipeline import generated

import kagglekit as kk
from kagglekit.models.heads import unfreeze_backbone
from kagglekit.training.networks import loss_of, model_from_recipe

FIRST, LAST = 10, 60
RECIPE = kk.Recipe(image_size=224, batch_size=32, policy="standard")


class Clock(keras.callbacks.Callback):
    """The seconds from the end of batch `FIRST` to the end of batch `LAST`."""

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == FIRST:
            self.started = time.perf_counter()
        if batch + 1 == LAST:
            self.seconds = time.perf_counter() - self.started


def main(repeats=3):
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KAGGLEKIT_WORKSPACE"] = folder
        comp = generated(Path(folder) / "images", 2000, (280, 280), 15_000)
        records = kk.write_records(comp, np.zeros(2000, int), record_size=280, folder=Path(folder) / "records")
        model = model_from_recipe(2, RECIPE)
        unfreeze_backbone(model, RECIPE.unfrozen_layers)
        model.compile("adamw", loss_of("single_label", RECIPE), jit_compile=False)
        dataset = kk.train_dataset(records, RECIPE, [0])
        images, targets = (part.numpy() for part in next(iter(dataset)))
        model.train_on_batch(images, targets)
        ours, held = [], []
        for _ in range(repeats):
            clock = Clock()
            model.fit(dataset, steps_per_epoch=LAST, epochs=1, callbacks=[clock], verbose=0)
            ours.append(clock.seconds)
            started = time.perf_counter()
            for _ in range(LAST - FIRST):
                model.train_on_batch(images, targets)
            held.append(time.perf_counter() - started)
    rows = (LAST - FIRST) * RECIPE.batch_size
    print(f"fine-tuning from records, policy standard: {rows / statistics.median(ours):.1f} images/s")
    print(f"train_on_batch, one batch in memory:       {rows / statistics.median(held):.1f} images/s")
    ratio = statistics.median(mine / theirs for mine, theirs in zip(held, ours, strict=True))
    print(f"ratio: {ratio:.2f} (images a second of fine-tuning of train_on_batch)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
