"""Where each image is in a container: scanned once and cached in the workspace, for all later starts."""

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from kagglekit import _paths
from kagglekit._files import content_hash, written_whole
from kagglekit.competition import sources

COLUMNS = ("image_id", "id", "label", "offset", "length")
_BLOCK = 100_000  # rows that are held as Python objects at a time


def container_index(folder, path, scan, *, version):
    """Return the table of a container's images, from the workspace where it is cached.

    Args:
        folder: folder of the competition.
        path: the container, below `folder`.
        scan: function of an open binary file that yields `(position, rows)`: the bytes read so far, and tuples of
            `COLUMNS` (text, text, text, integer, integer).
        version: number that changes when `scan` does.

    Returns:
        DataFrame with `image_id`, `id`, `label` and `source`.
    """
    status = path.stat()
    name = str(path.relative_to(folder))
    file_hash = content_hash([str(path), status.st_size, status.st_mtime_ns, version])
    stored = _paths.folders_of(folder.name).index / f"{path.name}-{file_hash}.npz"
    if not stored.is_file():
        columns = _scan(path, scan, status.st_size)
        with written_whole(stored) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **columns)
    with np.load(stored, allow_pickle=False) as columns:
        table = pd.DataFrame({column: columns[column].astype(object) for column in COLUMNS})
    places = zip(table.pop("offset"), table.pop("length"), strict=True)
    table["source"] = [sources.stretch(name, offset, length) for offset, length in places]
    return table


def _scan(path, scan, size):
    blocks, rows = [], []
    with (
        open(path, "rb") as file,
        tqdm(total=size, desc=f"indexing {path.name}", unit="B", unit_scale=True, leave=False) as bar,
    ):
        for position, new_rows in scan(file):
            rows += new_rows
            if len(rows) >= _BLOCK:
                blocks.append(_columns(rows))
                rows = []
            bar.update(position - bar.n)
    blocks.append(_columns(rows))
    return {column: np.concatenate([block[column] for block in blocks]) for column in COLUMNS}


def _columns(rows):
    values = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    kinds = (str, str, str, np.int64, np.int64)
    return {column: np.array(cells, dtype=kind) for column, cells, kind in zip(COLUMNS, values, kinds, strict=True)}
