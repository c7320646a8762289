"""Rows of records as float images of the network's size, written into a batch: in this process or in a worker.

Each image takes a dozen short library calls. They release the GIL, but threads wait for it between them: two threads
are 1.4 times as fast as one, two processes 1.9 times. So unless the images are few, worker processes make the batches,
in memory that they share with this one.
"""

import contextlib
import ctypes
import functools
import itertools
import json
import mmap
import multiprocessing
import os
import weakref

import cv2
import numpy as np

from kagglekit._random import AUGMENTED_PASS, row_generator
from kagglekit.augment.views import apply_view, view_box
from kagglekit.pipeline.decoding import Decoder
from kagglekit.pipeline.workers import shared_workers
from kagglekit.recipe import Recipe
from kagglekit.records.read import open_records
from kagglekit.records.rows import RowReader

WORTH_PROCESSES = 2e7  # values of all images together; fewer are ready before a worker has started


_serials = itertools.count()


class ImageWriter:
    """Writes images of some parts of records into batches.

    Args:
        records: `Records`.
        recipe: a `Recipe`.
        parts: a fold's number, a list of them, or `"test"`.
        view: None for training; for evaluation a view's name or the number of an augmented pass.
    """

    def __init__(self, records, recipe, parts, view=None):
        self.decoder, self.reader = Decoder(records, recipe), RowReader(records, parts)
        self._recipe, self._view, self._rows = recipe, view, self.reader.index["row"]

    def fill(self, out, numbers, repeats=None, epoch=0):
        """Write images into `out`, float32 `(rows, height, width, channels)`.

        Args:
            out: the batch.
            numbers: of the rows among those of the parts.
            repeats: number of each row's repetition in the epoch, from 0; for training.
            epoch: number of the epoch; for training.
        """
        for place, (number, planes) in enumerate(zip(numbers.tolist(), self.reader.read(numbers), strict=True)):
            shape, row, image = self.reader.shape(number), self._rows[number], out[place]
            if self._view is None:
                self._augment(planes, shape, image, epoch, row, repeats[place])
            elif isinstance(self._view, int):
                self._augment(planes, shape, image, self._view, row, AUGMENTED_PASS)
            else:
                box = view_box(self._view, self.decoder.box(shape))
                self.decoder.fit(self.decoder.decode(planes, shape, box), box, shape, out=image)
                if self._view != "identity":
                    image[:] = apply_view(image, self._view)

    def _augment(self, planes, shape, image, epoch, row, repeat):
        rng = row_generator(self._recipe.seed, epoch, row, repeat)
        strength = self._recipe.strength_in(epoch) if self._view is None else self._recipe.augment_strength
        self.decoder.augment(planes, shape, self._recipe.policy, rng, strength=strength, out=image)


class Batches:
    """Makes batches of images in buffers that are reused.

    A fresh 19 MB of memory for each batch costs a quarter of the pipeline's time: the system clears its pages first.
    TensorFlow takes an array over without a copy where it begins at a multiple of 64 bytes, and drops it when its
    tensor goes.

    Args:
        records, recipe, parts, view: as `ImageWriter` takes them.
        workers: number of processes. Defaults to as many as are worth starting; 0 for none.
    """

    def __init__(self, records, recipe, parts, view=None, *, workers=None):
        self.writer = ImageWriter(records, recipe, parts, view)
        decoder = self.writer.decoder
        self.shape = (recipe.batch_size, *decoder.size, decoder.channels)
        self._bytes, self._free = 4 * int(np.prod(self.shape)), []
        if workers is None:
            values = len(self.writer.reader) * self._bytes / 4 / recipe.batch_size
            in_process = multiprocessing.parent_process() is not None or not hasattr(os, "memfd_create")
            workers = 0 if in_process or values < WORTH_PROCESSES else min(os.cpu_count() or 1, 16)
        self._workers = workers
        keep_freed_memory()
        part_key = parts if isinstance(parts, str | int | np.integer) else tuple(parts)
        self._key = (str(records.folder), records.hash, json.dumps(recipe.to_dict()), part_key, view)

    def make(self, numbers, repeats=None, epoch=0):
        """Return the images of some rows as a float32 array; arguments as `ImageWriter.fill` takes them."""
        try:
            memory, file = self._free.pop()
        except IndexError:  # all are in use
            memory, file = self._buffer()
        batch = memory[: len(numbers)]
        weakref.finalize(batch, self._free.append, (memory, file)).atexit = False
        if not self._workers:
            self.writer.fill(batch, numbers, repeats, epoch)
        else:
            shared_workers(self._workers).call(_fill, self._key, (*file, self.shape), numbers, repeats, epoch)
        return batch

    def _buffer(self):
        """A new buffer, and the name by which a worker opens it."""
        if not self._workers:
            raw = np.empty(self._bytes + 64, np.uint8)
            start = -raw.ctypes.data % 64
            return raw[start : start + self._bytes].view(np.float32).reshape(self.shape), None
        file = os.memfd_create("kagglekit")
        os.ftruncate(file, self._bytes)
        memory = np.frombuffer(mmap.mmap(file, self._bytes), np.float32).reshape(self.shape)
        weakref.finalize(memory, os.close, file).atexit = False
        # With a serial number, since the number of a closed file is given to another one
        return memory, (f"/proc/{os.getpid()}/fd/{file}", next(_serials))


def _fill(key, buffer, numbers, repeats, epoch):
    """In a worker: write images into a buffer of the process that called."""
    _image_writer(*key).fill(_open_buffer(*buffer)[: len(numbers)], numbers, repeats, epoch)


@functools.lru_cache(maxsize=8)
def _image_writer(folder, records_hash, recipe, parts, view):
    cv2.setNumThreads(1)
    keep_freed_memory()
    return ImageWriter(_open_records(folder, records_hash), Recipe.from_dict(json.loads(recipe)), parts, view)


@functools.lru_cache(maxsize=2)
def _open_records(folder, records_hash):
    return open_records(folder)


@functools.lru_cache(maxsize=8)
def _open_buffer(name, serial, shape):
    file = os.open(name, os.O_RDWR)
    try:
        return np.frombuffer(mmap.mmap(file, 4 * int(np.prod(shape))), np.float32).reshape(shape)
    finally:
        os.close(file)


@functools.cache
def keep_freed_memory():
    """Let glibc keep the memory of one image for the next, up to 1 GB a block.

    By default it goes back to the system and is taken, and cleared, page by page again: a quarter of the pipeline's
    time. Reference: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    trim_threshold, mmap_threshold = -1, -3
    with contextlib.suppress(OSError, TypeError, AttributeError):  # no glibc: Windows, macOS, musl
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**30)
