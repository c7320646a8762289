"""Peak memory of writing records, of a training epoch and of prediction: ten times the images must not need more.

Run: python benchmarks/memory.py [images]    (the smaller number; the larger is ten times that)
"""

import io
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd
from PIL import Image

import kagglekit as kk

STEPS = ("write", "train", "predict")
KINDS = 50  # different images; the rest are copies under other names
RECIPE = kk.Recipe(backbone="small_cnn", weights=None, image_size=32, record_size=160, batch_size=64)


def competition(folder, count):
    """A competition of 160 x 160 JPEGs of about 10 KB: files of their own, so that each is read."""
    root = folder / f"images{count}"
    names = [f"{number // 1000:02d}/{number:05d}.jpg" for number in range(count)]
    if not root.is_dir():
        rng, kinds = np.random.default_rng(0), []
        for _ in range(KINDS):
            stored = io.BytesIO()
            coarse = Image.fromarray(rng.integers(0, 256, (60, 60, 3), np.uint8))
            coarse.resize((160, 160)).save(stored, "JPEG", quality=85)
            kinds.append(stored.getvalue())
        for thousand in {name[:2] for name in names}:
            (root / thousand).mkdir(parents=True)
        for number, name in enumerate(names):
            (root / name).write_bytes(kinds[number % KINDS])
    table = pd.DataFrame({"image_id": names, "id": names, "source": names, "label": ["a", "b"] * (count // 2)})
    return kk.Competition("generated", root, table, table[:0])


def step(name, folder, count):
    """Do one step in this process and print its peak memory, bytes."""
    folder = Path(folder)
    records = folder / f"records{count}"
    if name == "write":
        comp = competition(folder, count)
        kk.write_records(comp, [number % 5 for number in range(count)], record_size=160, folder=records)
    else:
        import keras

        opened = kk.open_records(records)
        network = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")])
        if name == "train":
            network.compile("sgd", "categorical_crossentropy")
            network.fit(kk.train_dataset(opened, RECIPE, opened.folds, epochs=1), verbose=0)
        else:
            for images, *_ in kk.eval_dataset(opened, RECIPE, opened.folds):
                network(images)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def main(images=6000):
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in (images, 10 * images):
            competition(Path(folder), count)
            for name in STEPS:
                command = [sys.executable, __file__, name, folder, str(count)]
                output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
                peaks[name, count] = int(output.split()[-1])
    print(f"{'peak memory, MB':20}{images:>12}{10 * images:>12} images")
    for name in STEPS:
        print(f"{name:20}{peaks[name, images] / 1e6:12.0f}{peaks[name, 10 * images] / 1e6:12.0f}")
    for name in STEPS:
        ratio = peaks[name, 10 * images] / peaks[name, images]
        print(f"ratio: {ratio:.2f} (peak memory of {name}, {10 * images} images against {images})")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in STEPS:
        step(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:]))
