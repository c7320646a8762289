"""One way to draw random numbers: each generator follows from the seed and from what is drawn, and from nothing else.

So the same seed gives the same batches at any parallelism, and epoch 3 is the same in a resumed run.
"""

import threading

import numpy as np

# What is drawn for a whole epoch: each has a stream of its own
COUNTS, ORDER, CACHED_ORDER = (), (1,), (2,)
AUGMENTED_PASS = 2**23 - 1  # in place of the copy's number: a pass over all rows, which is no epoch of training


def epoch_generator(seed, epoch, purpose, *, fold=None):
    """Return the random numbers that an epoch needs for one purpose.

    Args:
        seed, epoch: integers from 0.
        purpose: `COUNTS` (how often the epoch sees each row), `ORDER` (of the rows), or `CACHED_ORDER` (of the rows on
            cached features, and which view of each is seen).
        fold: number of the fold, where each fold draws numbers of its own.

    Returns:
        `numpy.random.Generator`.
    """
    return np.random.default_rng([seed, epoch, *(() if fold is None else (int(fold),)), *purpose])


_streams = threading.local()


def row_generator(seed, epoch, row, copy=0):
    """Return the random numbers of one row in one epoch.

    Args:
        seed, epoch: integers from 0, below 2^31.
        row: line of the row in its table, below 2^40.
        copy: 0, or the number of the row's repetition in the epoch, below 2^23 - 1; or `AUGMENTED_PASS`.

    Returns:
        `numpy.random.Generator`, good until this thread asks for the next one: a new one costs as much as a warp.

    Reference: Philox, a counter-based generator: any key gives a stream of its own (Salmon et al., "Parallel Random
    Numbers: As Easy as 1, 2, 3", SC 2011).
    """
    return _generator(seed << 32 | epoch, int(row) << 23 | int(copy))


def batch_generator(seed, epoch, number):
    """Return the random numbers that the rows of a batch share; as `row_generator`."""
    return _generator(seed << 32 | epoch, 1 << 63 | number)


def _generator(*key):
    if not hasattr(_streams, "generator"):
        _streams.philox = np.random.Philox(key=0)
        _streams.generator, _streams.start = np.random.Generator(_streams.philox), _streams.philox.state
    _streams.start["state"]["key"][:] = key
    _streams.philox.state = _streams.start
    return _streams.generator
