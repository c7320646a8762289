"""Images a second of the evaluation pipeline, against libjpeg-turbo decoding the same bytes with as many threads.

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

import numpy as np
import pandas as pd
import simplejpeg
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
        for _ in range(12 if number == 0 else 1):  # the first picture finds the grain that gives the size
            pixels = (127 + 90 * np.stack(waves, axis=-1) + grain * noise).clip(0, 255).astype(np.uint8)
            stored = io.BytesIO()
            Image.fromarray(pixels).save(stored, "JPEG", quality=85)
            grain *= (goal / len(stored.getvalue())) ** 0.7 if number == 0 else 1
        (folder / f"{number:05d}.jpg").write_bytes(stored.getvalue())
    names = [f"{number:05d}.jpg" for number in range(count)]
    table = pd.DataFrame({"image_id": names, "id": names, "source": names, "label": ["a", "b"] * (count // 2)})
    return kk.Competition("generated", folder, table, table[:0])


def decoded(contents, **options):
    """Decode with all cores, as fast as the library can."""

    def some(part):
        for content in part:
            simplejpeg.decode_jpeg(content, **options)

    with ThreadPoolExecutor(CORES) as threads:
        list(threads.map(some, [contents[start::CORES] for start in range(CORES)]))


def read(dataset, rows):
    assert sum(images.shape[0] for images, *_ in dataset) == rows


def compared(comp, record_size, folder, seconds):
    """`{what: images a second}`, medians of alternating repeats, and the ratios of each round."""
    records = kk.write_records(comp, [0] * len(comp.train), record_size=record_size, folder=folder)
    contents = [(comp.root / source).read_bytes() for source in comp.train["source"]]
    copies = max(1, 2400 // len(contents)) if record_size < 500 else 2
    rows = copies * len(contents)
    recipe = RECIPE.replace(record_size=record_size)
    dataset = kk.eval_dataset(records, recipe, [0] * copies)  # made once for all epochs, as cross_validate does
    kept = kk.eval_dataset(records, recipe, [0] * copies, cache=True)
    ways = {
        "simplejpeg (ceiling)": lambda: decoded(contents * copies),
        "simplejpeg, fast": lambda: decoded(contents * copies, fastdct=True, fastupsample=True),
        "eval_dataset": lambda: read(dataset, rows),
        "kept": lambda: read(kept, rows),
    }
    times, until = {way: [] for way in ways}, time.perf_counter() + seconds
    for turn in itertools.count():
        for way, run in ways.items():
            start = time.perf_counter()
            run()
            if turn:  # the first turn warms caches up
                times[way].append(time.perf_counter() - start)
        if turn >= 5 and time.perf_counter() > until:
            break
    ceiling, _, ours, _ = times.values()
    rates = {way: rows / statistics.median(taken) for way, taken in times.items()}
    return rates, [full / own for full, own in zip(ceiling, ours, strict=True)]


def main(seconds=30.0):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["KAGGLEKIT_WORKSPACE"] = str(folder / "work")
        sets = [
            (*flowers(folder), 280),
            ("generated, 1024x768", generated(folder / "large", 160, (1024, 768), 1e5), 768),
        ]
        lines = []
        columns = ("simplejpeg", "fast", "eval_dataset", "cache=True")
        print(f"{CORES} cores\n{'images/s':24}" + "".join(f"{column:>14}" for column in columns))
        for name, comp, record_size in sets:
            rates, ratios = compared(comp, record_size, folder / f"records{record_size}", seconds)
            print(f"{name:24}" + "".join(f"{rate:14.0f}" for rate in rates.values()), end="   ")
            print(f"{min(ratios):.2f} to {max(ratios):.2f} of simplejpeg in {len(ratios)} turns")
            lines.append(f"ratio: {statistics.median(ratios):.2f} (eval_dataset to 224 of decoding alone, {name})")
        print(*lines, sep="\n")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
