"""The features of a frozen backbone, computed once for all folds, heads and trials."""

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

_BATCH = 32  # images per step, whatever batch size the recipe trains with


class FeatureStore:
    """Cache in files of the output of a network whose weights do not change, for every row of some records.

    A file holds some parts of the records in one view, float16 `(rows, *features)` in record order, and is read as a
    memory map. Its name is a hash of the pixels, the image size, the view and the network: if one of them changes,
    another file is used.

    Args:
        extractor: Keras model from pixels to one array per row.
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels`, `resize` and, for augmented passes, the policy, its strength and
            the seed are used.
        folder: folder of the files.

    Attributes:
        hash: content hash, the same for two stores that hold the same features.
    """

    def __init__(self, extractor, records, recipe, folder):
        self._extractor, self._records, self._folder = extractor, records, folder
        self._recipe = recipe.replace(batch_size=_BATCH, numeric=(), categorical=())
        self._infer, weights_hash = None, 0
        for array in extractor.get_weights():
            weights_hash = zlib.crc32(np.ascontiguousarray(array), weights_hash)
        images = [records.hash, recipe.image_size, recipe.channels, recipe.resize]
        # The same weights may follow another scaling of the pixels
        operations = _operation_configs(extractor)
        self.hash = content_hash([*images, extractor.output_shape, operations, weights_hash], length=16)

    def read(self, parts, view="identity"):
        """Return the features of some parts of the records, computing those that are not cached yet.

        Args:
            parts: a fold's number, `"test"`, or a list of parts such as `Records.with_copies` returns.
            view: as in `eval_dataset`.

        Returns:
            Array `(rows, *features)`, a read-only memory map: float16, or float32 where a number is too large for that.
        """
        recipe = self._recipe
        # The ops of a policy, not its name, which may mean other ops in another version
        augmentation = (
            [check_policy(recipe.policy), recipe.augment_strength, recipe.seed] if isinstance(view, int) else []
        )
        path = self._folder / f"{content_hash([self.hash, parts, view, *augmentation], length=16)}.npy"
        if not path.is_file():
            self._compute(path, parts, view)
        with contextlib.suppress(OSError):  # a folder that cannot be written to
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # the time of this read, for `make_room`
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
        num_bytes = np.dtype(dtype).itemsize * math.prod(header["shape"])
        make_room(self._folder, num_bytes, shutil.disk_usage(self._folder).free)
        description = "features of the frozen backbone" + ("" if view == "identity" else f", view {view}")
        # Written batch by batch: a full disk then raises an error, where a memory map would crash the process
        with (
            written_whole(path) as temporary,
            open(temporary, "wb") as file,
            tqdm(total=rows, desc=description, unit="image", leave=False) as bar,
        ):
            np.lib.format.write_array_header_1_0(file, header)
            for images, _, ids in eval_dataset(self._records, self._recipe, parts, view=view):
                features = self._infer(images).numpy()
                with np.errstate(over="ignore"):
                    stored = features.astype(dtype)
                if not np.isfinite(stored).all():
                    if np.isfinite(features).all():
                        raise OverflowError("too large for float16")
                    bad_id = ids.numpy()[~np.isfinite(features).reshape(len(features), -1).all(axis=1)][0].decode()
                    raise FloatingPointError(
                        f"the backbone gives NaN or infinity for image {bad_id!r}; check its weights"
                    )
                file.write(stored.tobytes())
                bar.update(len(stored))


def make_room(folder, expected, free):
    """Remove the least recently read files of a folder, so that all take at most half of the space free without them.

    Each strength of augmentation and each seed has its own files: a search over them would fill the disk.

    Args:
        folder: folder of the files.
        expected: bytes that are about to be written.
        free: free bytes on the disk.
    """
    files = []
    for path in folder.glob("[!.]*.npy"):  # not files that are being written
        with contextlib.suppress(OSError):  # another process has just removed it
            files.append((path, path.stat()))
    used = sum(stat.st_size for _, stat in files)
    limit = (free + used) / 2
    for path, stat in sorted(files, key=lambda file: file[1].st_atime_ns):
        if used + expected <= limit:
            return
        with contextlib.suppress(OSError):  # Windows keeps a file that is being read
            path.unlink()
            used -= stat.st_size


def _operation_configs(model):
    """Return what the layers and operations of a network compute apart from their weights, in order."""
    configs = []
    for operation in getattr(model, "operations", model.layers):  # a Sequential has layers alone
        if isinstance(operation, keras.Model):
            configs += _operation_configs(operation)
            continue
        # Without the settings that do not change predictions
        config = {name: value for name, value in operation.get_config().items() if name not in ("name", "trainable")}
        constants = [str(np.asarray(value).tolist()) for value in calls(operation)[0].constants]
        configs.append([type(operation).__name__, config, constants])
    return configs
