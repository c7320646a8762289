"""What an unfinished fold needs to go on at the next epoch as if nothing had happened."""

import json

import numpy as np

from kagglekit._files import written_whole


def save_state(path, values, about):
    """Write a fold's state, whole or not at all.

    Args:
        path: the file, `.npz`.
        values: dict of a name to a list of arrays: the network's variables, the optimizer's, the best weights.
        about: plain values: stage, epoch, lines of history.
    """
    arrays = {f"{name}:{number}": value for name, part in values.items() for number, value in enumerate(part)}
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, about=json.dumps(about), **arrays)


def load_state(path):
    """Return `(values, about)` as `save_state` took them, or `({}, {})` where there is no file."""
    if not path.is_file():
        return {}, {}
    values = {}
    with np.load(path, allow_pickle=False) as stored:
        about = json.loads(str(stored["about"]))
        for key in stored.files:
            name, _, _ = key.partition(":")
            if name != "about":
                values.setdefault(name, []).append(stored[key])
    return values, about
