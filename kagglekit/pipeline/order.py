"""Which rows make up each batch of an epoch.

This follows from the seed, the epoch and the row alone, not from other batches, threads or earlier epochs.
"""

import functools
import threading

import numpy as np

from kagglekit._random import ORDER, epoch_generator
from kagglekit.pipeline.sampling import epoch_counts, epoch_rows

LOCAL_BYTES = 2**30  # of records that are shuffled together: less than the system's file cache holds
BLOCK = 16  # neighbouring rows that are moved together, so that a slow disk need not seek for each


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
        self._expected, self._labels, self._seed, self._batch_size = expected, labels, seed, batch_size
        self._window = max(batch_size, int(LOCAL_BYTES / max(record_bytes, 1)))
        self.steps = -(-epoch_rows(expected) // batch_size)
        self._lock = threading.Lock()
        # Two, since the last batches of an epoch are made beside the first ones of the next
        self._epoch = functools.lru_cache(maxsize=2)(self._order)

    def batch(self, epoch, number):
        """Return a batch's rows and the number of each one's repetition in the epoch, from 0: two arrays `(rows,)`."""
        with self._lock:
            rows, repeats = self._epoch(epoch)
        span = slice(number * self._batch_size, (number + 1) * self._batch_size)
        return rows[span], repeats[span]

    def _order(self, epoch):
        counts = epoch_counts(self._expected, self._labels, self._seed, epoch)
        rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        repeats = np.arange(len(rows), dtype=np.int32) - np.repeat(np.cumsum(counts) - counts, counts).astype(np.int32)
        rng = epoch_generator(self._seed, epoch, ORDER)
        order = np.arange(len(rows))
        if len(rows) > self._window:
            blocks = rng.permutation(-(-len(rows) // BLOCK))
            order = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
            order = order[order < len(rows)]
        for start in range(0, len(rows), self._window):
            rng.shuffle(order[start : start + self._window])
        return rows[order], repeats[order]
