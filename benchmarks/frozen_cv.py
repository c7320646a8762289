"""Cross-validation of a head on a frozen backbone: all five folds for little more than one pass over the images.

Run: python benchmarks/frozen_cv.py [images] [images of 64 pixels]
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
from kagglekit.inference.traced import inference
from kagglekit.models.heads import freeze_backbone
from kagglekit.models.split import split_at_features
from kagglekit.training.networks import loss_of, model_from_recipe
from kagglekit.training.setup import Setup
from kagglekit.training.stages import plan_stages

RECIPE = kk.Recipe(batch_size=64, frozen_epochs=30, epochs=0, policy="none")


def prepared(folder, count, size):
    """Records in five folds and the images of all of them in memory, float32."""
    comp = generated(folder / f"images{size}", count, (size, size), 45 * size)
    recipe = RECIPE.replace(image_size=size, record_size=size)
    records = kk.write_records(comp, np.arange(count) % 5, record_size=size, folder=folder / f"records{size}")
    images = [batch.numpy() for batch, *_ in kk.eval_dataset(records, recipe.replace(batch_size=32), range(5))]
    return records, recipe, images


def cross_validated(records, recipe, store):
    """Seconds of everything after the imports: network, tracing, decoding, features, heads, out-of-fold predictions."""
    started = time.perf_counter()
    setup = Setup.of_run(records, recipe, "accuracy", store)
    (stage,) = plan_stages(setup)
    built = time.perf_counter() - started
    stage.prepare()
    return time.perf_counter() - started, built


def forward(recipe, images):
    """Seconds of one pass of the backbone over images in memory, once warm."""
    infer = inference(split_at_features(model_from_recipe(2, recipe))[0])
    infer(images[0]), infer(images[-1])
    started = time.perf_counter()
    for batch in images:
        infer(batch)
    return time.perf_counter() - started


def through_the_backbone(recipe, images):
    """Seconds of training the same head behind the frozen backbone, from memory, once warm; five folds."""
    images = np.concatenate(images)
    targets = np.eye(2, dtype=np.float32)[np.arange(len(images)) % 2]
    model = model_from_recipe(2, recipe)
    freeze_backbone(model)
    model.compile("adamw", loss_of("single_label", recipe), jit_compile=False)
    rows = np.arange(len(images)) % 5 != 0
    model.fit(images[rows], targets[rows], batch_size=recipe.batch_size, epochs=1, verbose=0)
    started = time.perf_counter()
    for fold in range(5):
        rows = np.arange(len(images)) % 5 != fold
        model.fit(images[rows], targets[rows], batch_size=recipe.batch_size, epochs=recipe.frozen_epochs, verbose=0)
    return time.perf_counter() - started


def main(large=2000, small=500):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["KAGGLEKIT_WORKSPACE"] = str(folder / "work")
        records, recipe, images = prepared(folder, large, 224)
        ours, built = cross_validated(records, recipe, folder / "features224")
        once = forward(recipe, images)
        print(f"{large} images of 224 pixels, 5 folds, 30 epochs: {ours:.1f} s (network {built:.1f} s)")
        print(f"one forward pass of the same images from memory: {once:.1f} s")
        records, recipe, images = prepared(folder, small, 64)
        # A few seconds, so several times
        ours_small = statistics.median(
            cross_validated(records, recipe, folder / f"features64-{turn}")[0] for turn in range(5)
        )
        keras.backend.clear_session()
        slow = through_the_backbone(recipe, images)
        print(f"{small} images of 64 pixels: {ours_small:.2f} s; the head behind the frozen backbone: {slow:.1f} s")
    print(f"ratio: {ours / once:.2f} (frozen cross-validation of one forward pass, {large} images of 224 pixels)")
    print(f"ratio: {slow / ours_small:.1f} (head behind the backbone of frozen cross-validation, {small} of 64 pixels)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
