"""How fast images are audited, against libjpeg-turbo alone; what an image takes in memory; how long 60,000 compare.

An audit is what notebook 1 asks of the images: facts, duplicates, a description, mean images. Each is decoded once.
"""

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import simplejpeg
from PIL import Image, ImageFile

import kagglekit as kk
from kagglekit.audit import similarity

FILES, FEW, REPEATS, HASHES = 20_000, 5_000, 5, 60_000


def write_files(folder):
    """Write FILES JPEGs of 224x224 pixels and about 12 KB: 500 images, each in as many files as needed."""
    rng = np.random.default_rng(0)
    contents = []
    for _ in range(500):
        soft = Image.fromarray(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)).resize((224, 224), 3)
        grain = np.asarray(soft, float) + rng.normal(0, 6, (224, 224, 3))
        contents.append(simplejpeg.encode_jpeg(grain.clip(0, 255).astype(np.uint8), quality=85, colorsubsampling="420"))
    for number in range(FILES):
        (folder / f"{number}.jpg").write_bytes(contents[number % len(contents)])
    return sum(map(len, contents)) / len(contents)


def competition(folder, files):
    """Return the first files as a competition; what is measured is the check, not the reader."""
    names = [str(number) for number in range(files)]
    table = pd.DataFrame({"image_id": names, "id": names, "source": [f"{name}.jpg" for name in names]}, dtype=object)
    labels = ["cat", "dog"] * (files // 2)
    return kk.Competition("scan", folder, train=table.assign(label=labels), test=table.iloc[:0])


def ceiling(folder, files):
    """Read and decode the same files with libjpeg-turbo, in as many threads as there are cores."""

    def decode(numbers):
        for number in numbers:
            simplejpeg.decode_jpeg((folder / f"{number}.jpg").read_bytes())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode, [range(start, min(start + 64, files)) for start in range(0, files, 64)]))


def audit(comp):
    """Return the seconds of `check_images`, which decodes, and of all that takes what it found."""
    check = seconds(kk.check_images, comp)
    start = time.perf_counter()
    report, groups = kk.check_images(comp), kk.duplicate_groups(comp)
    kk.describe_data(comp, report, groups)
    kk.suggest_recipe(comp)
    kk.plot_mean_images(comp)
    return check, check + time.perf_counter() - start


class Decodes:
    """Counts how often PIL decodes an image, of all threads together."""

    def __enter__(self):
        self.number, self.load = itertools.count(), ImageFile.ImageFile.load
        load, number = self.load, self.number

        def counted(image):
            if image.tile:  # not decoded yet
                next(number)
            return load(image)

        ImageFile.ImageFile.load = counted
        return self

    def __exit__(self, *error):
        ImageFile.ImageFile.load = self.load
        self.number = next(self.number)


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def memory(folder, files):
    """Return by how many MB a process of its own grows, at its peak, while it checks so many files (Linux)."""
    comp = competition(Path(folder), files)
    kk.check_images(competition(Path(folder), 256))  # what the first images load
    before = resident("VmRSS")
    kk.check_images(comp)
    return resident("VmHWM") - before


def resident(field):
    # Not resource.getrusage: its peak of a new process begins at the parent's.
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def drawn():
    """Return thumbnails of HASHES different images."""
    rng = np.random.default_rng(1)
    thumbnails = np.empty((HASHES, len(similarity.CROPS), similarity.SIDE, similarity.SIDE), np.uint8)
    for row in thumbnails:
        grid = rng.integers(0, 256, rng.integers(6, 24, 2), dtype=np.uint8)
        row[:] = similarity.thumbnails(Image.fromarray(grid).resize((64, 64), 3))
    return thumbnails


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_files(folder)
        comp = competition(folder, FILES)
        os.environ["KAGGLEKIT_WORKSPACE"] = str(folder / "first")
        audit(competition(folder, 256))  # what the first images load
        times = []
        for repeat in range(REPEATS):
            os.environ["KAGGLEKIT_WORKSPACE"] = str(folder / f"work{repeat}")  # where nothing is cached yet
            with Decodes() as decodes:
                times.append((*audit(comp), seconds(ceiling, folder, FILES)))
        os.environ["KAGGLEKIT_WORKSPACE"] = str(folder / "memory")
        grown = [
            float(subprocess.check_output([sys.executable, __file__, name, str(files)], text=True))
            for files in (FEW, FILES)
        ]
    thumbnails = drawn()
    search = seconds(similarity.near_pairs, thumbnails)
    check, whole, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{FILES} JPEGs of 224x224 pixels, {size / 1000:.1f} KB, {os.cpu_count()} threads, median of {REPEATS}")
    print(f"check_images, the first decode       {FILES / check:8.0f} images/s")
    print(f"the whole audit                      {FILES / whole:8.0f} images/s")
    print(f"libjpeg-turbo, read and decode only  {FILES / theirs:8.0f} images/s")
    print(f"decodes of {FILES} images             {decodes.number:8.0f}")
    print(f"memory that the check adds           {grown[0]:8.0f} MB for {FEW} files, {grown[1]:.0f} MB for {FILES}")
    print(f"all pairs among {HASHES} hashes         {search:8.1f} s")
    ratio = statistics.median(ceiling / whole for _, whole, ceiling in times)
    print(f"ratio: {ratio:.2f} (the whole audit against the libjpeg-turbo ceiling, images/s)")
    print(f"ratio: {decodes.number / FILES:.3f} (decodes of an image in the whole audit; at most 1)")
    kilobytes = 1024 * (grown[1] - grown[0]) / (FILES - FEW)
    print(f"ratio: {kilobytes / (size / 1000):.3f} (memory that each further file adds, against its bytes)")
    print(f"ratio: {search / 60:.2f} (search among {HASHES} hashes against a minute; at most 1)")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(memory(sys.argv[1], int(sys.argv[2])))
    else:
        main()
