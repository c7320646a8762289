"""The state from which an interrupted fold is resumed at its next epoch, with the same result."""

import json

import numpy as np

from kagglekit._files import written_whole


class Checkpoint:
    """The training state of one fold, in a file that exists until the fold is complete.

    Args:
        path: the file, `.npz`; it is read if an interrupted training left one.

    Attributes:
        stage: number of the stage that is being trained, from 0.
        history: rows of the stages before it.
        arrays: dict of a name to a list of arrays: the network's variables, the optimizer's, the best weights; empty
            where the stage has not finished an epoch.
        values: dict of plain values of the same stage.
    """

    def __init__(self, path):
        self._path = path
        self.stage, self.history, self.arrays, self.values = 0, [], {}, {}
        if path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                state = json.loads(str(stored["text"]))
                for key in stored.files:
                    name, _, _ = key.partition(":")
                    if name != "text":
                        self.arrays.setdefault(name, []).append(stored[key])
            self.stage, self.history, self.values = state["stage"], state["history"], state["values"]

    def save(self, arrays, values):
        """Write the state of the stage, whole or not at all; `arrays` and `values` as in the attributes."""
        entries = {f"{name}:{number}": array for name, group in arrays.items() for number, array in enumerate(group)}
        text = json.dumps({"stage": self.stage, "history": self.history, "values": values})
        with written_whole(self._path) as temporary, open(temporary, "wb") as file:
            np.savez(file, text=text, **entries)

    def finish_stage(self, rows):
        """Move on to the next stage; `rows` are the history of the finished one."""
        self.stage, self.history, self.arrays, self.values = self.stage + 1, self.history + rows, {}, {}
