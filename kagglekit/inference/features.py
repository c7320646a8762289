"""What a frozen backbone sees, computed once for all folds, heads, trials and views."""

import contextlib
import math
import os
import shutil
import time
import zlib

import keras
import numpy as np
from tqdm.auto import tqdm

from kagglekit._files import content_hash, written_whole
from kagglekit.augment import check_policy
from kagglekit.inference.traced import inference
from kagglekit.models.keras_graph import calls
from kagglekit.pipeline.datasets import eval_dataset

_BATCH = 32  # images a step, whatever the recipe trains with


class FeatureStore:
    """The output of a network whose weights do not change, for every row of some records, kept in files.

    A file holds a part of the records in one view, float16 `(rows, *features)` in record order, and is read as a memory
    map. Pixels, their size, the view and the weights name it: if one of them changes, so does the file.

    Args:
        extractor: Keras model from pixels to an array a row.
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels`, `resize` and, for augmented passes, the policy, its strength and
            the seed are used.
        folder: of the files.

    Attributes:
        hash: text that two stores share when they hold the same features.
    """

    def __init__(self, extractor, records, recipe, folder):
        self._extractor, self._records, self._folder = extractor, records, folder
        self._recipe = recipe.replace(batch_size=_BATCH, numeric=(), categorical=())
        self._infer, weights = None, 0
        for value in extractor.get_weights():
            weights = zlib.crc32(np.ascontiguousarray(value), weights)
        size = recipe.image_size
        # Two scales of the pixels may stand before the same weights
        steps = _steps(extractor)
        known = [records.hash, size, recipe.channels, recipe.resize, extractor.output_shape, steps, weights]
        self.hash = content_hash(known, length=16)

    def read(self, parts, view="identity"):
        """Return the features of some parts, computing what is not known yet.

        Args:
            parts: a fold's number, a list of them, or `"test"`.
            view: as `eval_dataset` takes it.

        Returns:
            Array `(rows, *features)`, a read-only memory map: float16, or float32 where a number is too large for that.
        """
        recipe = self._recipe
        # The ops of a policy, not its name, which may stand for others in another version
        drawn = [check_policy(recipe.policy), recipe.augment_strength, recipe.seed] if isinstance(view, int) else []
        path = self._folder / f"{content_hash([self.hash, parts, view, *drawn], length=16)}.npy"
        if not path.is_file():
            self._compute(path, parts, view)
        with contextlib.suppress(OSError):  # a folder that cannot be written to
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # read now, for `make_room`
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def _compute(self, path, parts, view):
        if self._infer is None:
            self._infer = inference(self._extractor)  # traced once for all parts and views
        try:
            self._write(path, parts, view, np.float16)
        except OverflowError:
            self._write(path, parts, view, np.float32)

    def _write(self, path, parts, view, dtype):
        rows = self._records.rows(parts)
        header = {
            "descr": np.dtype(dtype).str,
            "fortran_order": False,
            "shape": (rows, *self._extractor.output_shape[1:]),
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        expected = np.dtype(dtype).itemsize * math.prod(header["shape"])
        make_room(self._folder, expected, shutil.disk_usage(self._folder).free)
        title = "features of the frozen backbone" + ("" if view == "identity" else f", view {view}")
        # Written one after another: on a full disk that is an error, where a memory map would end the process
        with (
            written_whole(path) as temporary,
            open(temporary, "wb") as file,
            tqdm(total=rows, desc=title, unit="image", leave=False) as bar,
        ):
            np.lib.format.write_array_header_1_0(file, header)
            for images, _, ids in eval_dataset(self._records, self._recipe, parts, view=view):
                found = self._infer(images).numpy()
                with np.errstate(over="ignore"):
                    kept = found.astype(dtype)
                if not np.isfinite(kept).all():
                    if np.isfinite(found).all():
                        raise OverflowError("too large for float16")
                    bad = ids.numpy()[~np.isfinite(found).reshape(len(found), -1).all(axis=1)][0].decode()
                    raise FloatingPointError(
                        f"the backbone gives no finite number for image {bad!r}; check its weights"
                    )
                file.write(kept.tobytes())
                bar.update(len(kept))


def make_room(folder, expected, free):
    """Remove the files of a folder that were read longest ago, so that all take at most half of the room there is.

    Each strength of augmentation and each seed has files of its own: a search over them would fill the disk.

    Args:
        folder: of the files.
        expected: bytes that are about to be written.
        free: bytes that are free on the disk.
    """
    files = []
    for path in folder.glob("[!.]*.npy"):  # not those that are being written
        with contextlib.suppress(OSError):  # another process has just removed it
            files.append((path, path.stat()))
    taken = sum(about.st_size for _, about in files)
    room = (free + taken) / 2
    for path, about in sorted(files, key=lambda file: file[1].st_atime_ns):
        if taken + expected <= room:
            return
        with contextlib.suppress(OSError):  # Windows keeps what somebody reads
            path.unlink()
            taken -= about.st_size


def _steps(model):
    """What the layers and operations of a network do beside their weights, in order."""
    steps = []
    for each in getattr(model, "operations", model.layers):  # a Sequential has layers alone
        if isinstance(each, keras.Model):
            steps += _steps(each)
            continue
        # Without what does not change the output at prediction
        settings = {name: value for name, value in each.get_config().items() if name not in ("name", "trainable")}
        constants = [str(np.asarray(value).tolist()) for value in calls(each)[0].constants]
        steps.append([type(each).__name__, settings, constants])
    return steps
