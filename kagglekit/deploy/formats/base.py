"""What a format of exported files is."""

from collections.abc import Callable
from typing import NamedTuple


class Format(NamedTuple):
    """How a network is written as a file, and how that file predicts. A new one is an entry of `formats.FORMATS`.

    Args:
        suffix: of the file's name, with the dot.
        write: function `(saved, path)` that writes the network in `saved`, the path of a `.keras` file, to `path`.
        predict: function `(path, images)` from float32 images `(rows, height, width, channels)` in `[0, 255]` to the
            file's predictions, float32 `(rows, outputs)`: by what the format is meant for, not by Keras.
    """

    suffix: str
    write: Callable
    predict: Callable
