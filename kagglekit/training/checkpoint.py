"""What an unfinished fold needs to go on at the next epoch as if nothing had happened."""

import json

import numpy as np

from kagglekit._files import written_whole


class Checkpoint:
    """The state of one fold in training, in a file that is there until the fold is complete.

    Args:
        path: the file, `.npz`; what an interrupted training left there is resumed.

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
                text = json.loads(str(stored["text"]))
                for key in stored.files:
                    name, _, _ = key.partition(":")
                    if name != "text":
                        self.arrays.setdefault(name, []).append(stored[key])
            self.stage, self.history, self.values = text["stage"], text["history"], text["values"]

    def save(self, arrays, values):
        """Write the state of the stage, whole or not at all; arguments as the attributes."""
        named = {f"{name}:{number}": value for name, part in arrays.items() for number, value in enumerate(part)}
        text = json.dumps({"stage": self.stage, "history": self.history, "values": values})
        with written_whole(self._path) as temporary, open(temporary, "wb") as file:
            np.savez(file, text=text, **named)

    def finish_stage(self, rows):
        """Go on to the next stage; `rows` are the history of the one that is done."""
        self.stage, self.history, self.arrays, self.values = self.stage + 1, self.history + rows, {}, {}
