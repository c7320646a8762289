"""The base of all export formats."""

from collections.abc import Callable
from typing import NamedTuple


class Format(NamedTuple):
    """How a network is written as a file, and how that file predicts. A new one is an entry of `formats.FORMATS`.

    Args:
        suffix: suffix of the file's name, with the dot.
        write: function `(model_file, path)` that converts the `.keras` file at `model_file` and writes it to `path`.
        predict: function `(path, images)` from float32 images `(rows, height, width, channels)` in `[0, 255]` to the
            file's predictions, float32 `(rows, outputs)`, computed as in deployment.
    """

    suffix: str
    write: Callable
    predict: Callable
