"""Parallel work: in threads, for functions that release the GIL, or wherever `joblib.parallel_config` says.

Batches are made by worker processes, see `kagglekit.pipeline.workers`.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from tqdm.auto import tqdm

CHUNK = 64  # images a task: a task's overhead is that of an image of 1 KB; 60,000 images make 940 tasks


def parallel_map(title, function, items):
    """Yield `function(item)` for each item, in order, from threads, since decoders release the GIL; shows progress."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(total=len(items), desc=title, leave=False) as bar:
        for results in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
            yield from results
            bar.update(len(results))


def side_by_side():
    """Return the `joblib.Parallel` that `parallel_config` chose; else threads: decoding and hashing release the GIL."""
    from joblib import Parallel
    from joblib.parallel import get_active_backend

    backend, jobs = get_active_backend()
    if type(backend).__name__ == "LokyBackend" and jobs is None:  # joblib's own default
        return Parallel(os.cpu_count(), prefer="threads", return_as="generator")
    return Parallel(-1 if jobs is None else jobs, return_as="generator")


def worker_processes():
    """Return the number of processes that `joblib.parallel_config` asked for, None where it asked for none."""
    from joblib.parallel import get_active_backend

    backend, jobs = get_active_backend()
    name = type(backend).__name__
    asked = name == "DaskDistributedBackend" or (name in ("LokyBackend", "MultiprocessingBackend") and jobs is not None)
    return (-1 if jobs is None else jobs) if asked else None
