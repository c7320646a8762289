"""Worker processes, which need not wait for this process's GIL.

They are started by a plain command line, so a notebook or a script needs no `if __name__ == "__main__"`, they load no
TensorFlow, and they end with the process that started them. Handing work over takes a tenth of a millisecond, where
joblib's executors take one to two: a batch of images takes a few.

Google's grain 0.2.18 (Apache-2.0) could read and decode in their place: it maps any function over row numbers. But its
`mp_prefetch` starts new processes for each pass over the data, 4 s before the first batch against 0.2 s of these, which
stay, and it copies batches, which here are written into memory that is shared and used again. 720 photographs augmented
at 224x224 by the same function in two processes: 180 images/s against 410 after the first batch, the median of three
alternating passes on two busy cores. It has no wheels for Intel Macs.
"""

import atexit
import contextlib
import functools
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from kagglekit.pipeline import workers; workers.serve()"
)


class Workers:
    """A few worker processes that call functions.

    Args:
        count: number of processes; they start when they are first needed.
    """

    def __init__(self, count):
        self._idle, self._left, self._lock = queue.SimpleQueue(), count, threading.Lock()
        self._all = []
        atexit.register(self.close)

    def call(self, function, *arguments):
        """Call a function of a module with plain arguments in another process and return what it returns.

        Raises:
            RuntimeError: if the worker has ended.
            Exception: what the function raises.
        """
        process = self._take()
        try:
            pickle.dump((function, arguments), process.stdin, protocol=5)
            process.stdin.flush()
            succeeded, result = pickle.load(process.stdout)
        except BaseException as error:  # what it was sent or has answered is cut off: it cannot be used again
            process.kill()
            code = process.wait()
            with self._lock:
                self._left += 1  # the next call starts another
            self._idle.put(None)  # wakes a thread that waits for this one
            if not isinstance(error, EOFError | OSError):
                raise
            raise RuntimeError(
                f"a worker process ended with exit code {code}. -9 means that memory ran out: use a smaller "
                "batch_size, or parallel_calls=1, which needs no workers"
            ) from error
        self._idle.put(process)
        if not succeeded:
            raise result
        return result

    def close(self):
        """End the processes."""
        for process in self._all:
            with contextlib.suppress(OSError):  # it has ended before
                process.stdin.close()
            process.wait()
        self._all.clear()

    def _take(self):
        while True:
            with self._lock:
                if self._idle.empty() and self._left:
                    self._left -= 1
                    command = [sys.executable, "-c", _START, json.dumps(sys.path)]
                    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                    self._all.append(process)
                    return process
            process = self._idle.get()
            if process is not None:
                return process


@functools.cache
def shared_workers(count):
    """Return the workers that all datasets of this process share."""
    return Workers(count)


def serve():
    """In a worker: answer the calls of the process that started it, until that process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # interrupting a notebook's cell must not end the workers
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    while True:
        try:
            function, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = True, function(*arguments)
        except Exception as error:
            answer = False, error
        pickle.dump(answer, answers, protocol=5)
        answers.flush()
