"""Images a second of the pipelines, against libjpeg-turbo decoding the same bytes with as many threads.

Run: python benchmarks/input_pipeline.py [seconds]    (seconds: about how long the repeats of one row may take)
"""

import io
import itertools
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pandas as pd
import simplejpeg
import tensorflow as tf
from PIL import Image

import kagglekit as kk

CORES = os.cpu_count() or 1
RECIPE = kk.Recipe(image_size=224, batch_size=32)


def flowers(folder):
    """flowers12 where it is, else photographs made up to its size: 224 x 224 pixels, about 10 KB."""
    found = Path(os.environ.get("KAGGLEKIT_TEST_DATA", "")) / "flowers12"
    if (found / "train.csv").is_file():
        return "flowers12, 224x224", kk.load_competition(found)
    return "generated, 224x224", generated(folder / "small", 600, (224, 224), 10_000)


def generated(folder, count, size, goal):
    """A competition of JPEGs of `size` (width, height) and about `goal` bytes: waves under noise."""
    folder.mkdir(parents=True)
    rng, (width, height) = np.random.default_rng(0), size
    y, x = np.mgrid[0:height, 0:width] * (8 / height)
    grain = 2.0
    for number in range(count):
        waves = [np.sin(x * rng.normal() + y * rng.normal() + rng.uniform(0, 6)) for _ in range(3)]
        noise = rng.normal(size=(height, width, 1))
        for _ in range(12 if number == 0 else 1):  # the first image finds the grain that gives the size
            pixels = (127 + 90 * np.stack(waves, axis=-1) + grain * noise).clip(0, 255).astype(np.uint8)
            stored = io.BytesIO()
            Image.fromarray(pixels).save(stored, "JPEG", quality=85)
            grain *= (goal / len(stored.getvalue())) ** 0.7 if number == 0 else 1
        (folder / f"{number:05d}.jpg").write_bytes(stored.getvalue())
    names = [f"{number:05d}.jpg" for number in range(count)]
    table = pd.DataFrame({"image_id": names, "id": names, "source": names, "label": ["a", "b"] * (count // 2)})
    return kk.Competition("generated", folder, table, table[:0])


def decoded(contents):
    """Decode with all cores, as fast as the library can, and drop what comes out."""

    def some(part):
        for content in part:
            simplejpeg.decode_jpeg(content)

    with ThreadPoolExecutor(CORES) as threads:
        list(threads.map(some, [contents[start::CORES] for start in range(CORES)]))


def reader(dataset, rows):
    """Return a function that reads a dataset inside a graph, as `Model.fit` does."""
    counted = tf.function(
        lambda: dataset.reduce(np.int64(0), lambda count, batch: count + tf.shape(batch[0], tf.int64)[0])
    )

    def read():
        assert int(counted()) == rows

    return read


def with_keras_layers(dataset):
    """The standard policy made of Keras's layers, a batch at a time; the random crop as a random zoom."""
    layers = [
        keras.layers.RandomZoom((-0.4, 0.0), fill_mode="reflect", data_format="channels_last"),
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomRotation(15 / 360, fill_mode="reflect"),
        keras.layers.RandomBrightness(0.2, value_range=(0, 255)),
        keras.layers.RandomContrast(0.3, value_range=(0, 255)),
        keras.layers.RandomSaturation((0.35, 0.65), value_range=(0, 255)),
        keras.layers.RandomHue(0.05, value_range=(0, 255)),
        keras.layers.RandomErasing(0.25, value_range=(0, 255)),
    ]

    def augment(images, *others):
        for layer in layers:
            images = layer(images, training=True)
        return images, *others

    return dataset.map(augment, CORES).prefetch(1)


def compared(comp, record_size, folder, seconds, policies):
    """`{way: images a second}`, medians of alternating repeats, and the share of the ceiling in each turn."""
    records = kk.write_records(comp, [0] * len(comp.train), record_size=record_size, folder=folder)
    contents = [(comp.root / source).read_bytes() for source in comp.train["source"]]
    copies = max(1, 2400 // len(contents)) if record_size < 500 else 2
    rows = copies * len(contents)
    recipe = RECIPE.replace(record_size=record_size)
    evaluated = kk.eval_dataset(records, recipe, [0] * copies)
    ways = {
        "simplejpeg": lambda: decoded(contents * copies),
        "eval_dataset": reader(evaluated, rows),
    }
    for policy in policies:
        trained = kk.train_dataset(records, recipe.replace(policy=policy), [0], epochs=copies)
        ways[policy] = reader(trained, rows)
    times, until = {way: [] for way in ways}, time.perf_counter() + seconds
    for turn in itertools.count():
        for way, run in ways.items():
            start = time.perf_counter()
            run()
            if turn:  # the first turn warms caches up
                times[way].append(time.perf_counter() - start)
        if turn >= 5 and time.perf_counter() > until:
            break
    rates = {way: rows / statistics.median(taken) for way, taken in times.items()}
    shares = {
        way: [full / own for full, own in zip(times["simplejpeg"], taken, strict=True)] for way, taken in times.items()
    }
    if policies:  # once: it takes a hundred times as long
        read = reader(with_keras_layers(kk.eval_dataset(records, recipe, 0).take(6)), 192)
        read()
        start = time.perf_counter()
        read()
        rates["keras layers"] = 192 / (time.perf_counter() - start)
        shares["keras layers"] = [rates["keras layers"] / rates["simplejpeg"]]
    return rates, shares


def main(seconds=30.0):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["KAGGLEKIT_WORKSPACE"] = str(folder / "work")
        sets = [
            (*flowers(folder), 280, ("light", "standard", "strong")),
            ("generated, 1024x768", generated(folder / "large", 160, (1024, 768), 1e5), 768, ()),
        ]
        lines = []
        print(f"{CORES} cores, batches of 32 at 224")
        for name, comp, record_size, policies in sets:
            rates, shares = compared(comp, record_size, folder / f"records{record_size}", seconds, policies)
            print(f"\n{name:24}{'images/s':>10}{'of simplejpeg, lowest to highest turn':>42}")
            for way, rate in rates.items():
                print(f"{way:24}{rate:10.0f}{min(shares[way]):36.2f} {max(shares[way]):.2f}")
                if way not in ("simplejpeg", "keras layers"):
                    share = statistics.median(shares[way])
                    lines.append(f"ratio: {share:.2f} ({way} of decoding alone, {name})")
            if policies:
                lines.append(
                    f"ratio: {rates['standard'] / rates['keras layers']:.0f} (standard of Keras's layers, {name})"
                )
        print("", *lines, sep="\n")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
