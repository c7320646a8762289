"""Which rows stand in which batch of an epoch.

It follows from the seed, the epoch and the row alone: no other batch, thread or earlier epoch plays a part.
"""

import functools
import threading

import numpy as np

from kagglekit._random import ORDER, epoch_generator
from kagglekit.pipeline.sampling import epoch_counts, epoch_rows

LOCAL_BYTES = 2**30  # records that are read in random order: less than the system's file cache holds
BLOCK = 16  # rows that stay together until then, so that a slow disk need not move for each


class EpochOrder:
    """The order of the rows in each epoch.

    Args:
        expected: how often each row is seen in an epoch, `expected_counts`.
        labels: of the rows, as `epoch_counts` takes them.
        record_bytes: mean size of a record, bytes.
        batch_size: rows of a batch.
        seed: integer.
    """

    def __init__(self, expected, labels, record_bytes, *, batch_size, seed):
        self._expected, self._labels, self._seed, self._batch = expected, labels, seed, batch_size
        self._window = max(batch_size, int(LOCAL_BYTES / max(record_bytes, 1)))
        self.steps = -(-epoch_rows(expected) // batch_size)
        self._lock = threading.Lock()
        self._epoch = functools.lru_cache(maxsize=2)(
            self._ordered
        )  # the end of one is made beside the next one's start

    def batch(self, epoch, number):
        """Return the rows of a batch and, of each, how many times the epoch has it elsewhere: two arrays `(rows,)`."""
        with self._lock:
            rows, copies = self._epoch(epoch)
        part = slice(number * self._batch, (number + 1) * self._batch)
        return rows[part], copies[part]

    def _ordered(self, epoch):
        counts = epoch_counts(self._expected, self._labels, self._seed, epoch)
        rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        copies = np.arange(len(rows), dtype=np.int32) - np.repeat(np.cumsum(counts) - counts, counts).astype(np.int32)
        rng = epoch_generator(self._seed, epoch, ORDER)
        order = np.arange(len(rows))
        if len(rows) > self._window:
            blocks = rng.permutation(-(-len(rows) // BLOCK))
            order = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
            order = order[order < len(rows)]
        for start in range(0, len(rows), self._window):
            rng.shuffle(order[start : start + self._window])
        return rows[order], copies[order]
