"""One shard: a TFRecord file of bounded size, and the sidecar that says what is in it and proves it whole.

Nothing here needs TensorFlow, so that worker processes start at once.
"""

import contextlib
import itertools
import os
import threading
import zipfile

import google_crc32c
import numpy as np

from kagglekit._files import content_hash, written_whole
from kagglekit._tfrecord import DATA_AT, frame, make_example
from kagglekit.competition import sources
from kagglekit.records.encoding import encode_image

# numpy reads a header by `ast.literal_eval`, which fails now and then in two threads at once: "SystemError: AST
# constructor recursion depth mismatch" (https://github.com/python/cpython/issues/106905)
_ONE_AT_A_TIME = threading.Lock()


def shard_key(root, rows, settings):
    """Return text that changes when a row, a setting or a source file of the shard does (by size and time)."""
    found = {}
    for row in rows:
        for part in sources.parts(row["source"]):
            file = sources.file_of(part)
            if file not in found:
                about = os.stat(os.path.join(root, file))
                found[file] = (about.st_size, about.st_mtime_ns)
    return content_hash([settings, rows, sorted(found.items())], length=32)


def mean_bytes(root, images):
    """Return the mean size of the files of some sources, bytes; 1 or more."""
    sizes = [0]
    for source in images:
        with contextlib.suppress(OSError):  # a missing file is named when its shard is written
            sizes.append(sources.size_of(root, source))
    return max(1, sum(sizes) / max(1, len(sizes) - 1))


def write_shard(root, rows, path, settings):
    """Write a shard and its sidecar, unless both are there and made of the same.

    Args:
        root: folder of the competition.
        rows: list of dicts: `image_id`, `id`, `source`, `row` (line of its table), `label` (class number, or a list of
            floats), and metadata text; and `preprocess` where there is any, see `encode_image`.
        path: the shard's file; the sidecar is the same with the ending `.npz`.
        settings: dict of `record_size`, `quality` and `metadata` (names of the columns that are stored).

    Returns:
        `(entry, problems)`: the shard's line of the manifest, and texts that name the images that cannot be decoded.
        With a problem nothing is written and the entry is None.
    """
    sidecar = path.with_suffix(".npz")
    try:
        key = shard_key(root, rows, settings)
    except OSError as error:
        return None, [f"{error.filename} ({error.strerror})"]
    known = read_sidecar(sidecar)
    if known is not None and str(known["key"]) == key and path.is_file() and path.stat().st_size == known["bytes"]:
        return _entry(path, known), []
    sidecar.unlink(missing_ok=True)
    columns = {name: [] for name in ("image_id", "id", "row", "label", "crc", "digest", "height", "width")}
    columns |= {"at": [], "length": []}  # where the planes' bytes stand in the file
    columns |= {f"metadata_{name}": [] for name in settings["metadata"]}
    ends, bits, jpeg, grey, planes, problems = [0], 8, True, True, set(), []
    with _written(path) as file:
        for row in rows:
            try:
                options = settings["record_size"], settings["quality"], row.get("preprocess", ())
                content, about = encode_image(root, row["source"], *options)
            except sources.UNREADABLE as error:
                problems.append(f"{sources.name_of(row['source'])} ({str(error) or type(error).__name__})")
                continue
            example = make_example(_features(row, content, about, settings["metadata"]))
            framed = frame(example)
            file.write(framed)
            about["at"], about["length"] = _places(example, content, ends[-1] + DATA_AT)
            ends.append(file.tell())
            bits, jpeg, grey = max(bits, about["bits"]), jpeg and about["jpeg"], grey and about["grey"]
            planes.add(len(content))
            values = row | about | {"crc": google_crc32c.value(framed), "digest": about["digest"][:16]}
            values |= {f"metadata_{name}": row[name] for name in settings["metadata"]}
            for name, cells in columns.items():
                cells.append(values[name])
        if problems:
            raise _Unwritten
    if problems:
        return None, problems
    if len(planes) > 1:  # no table; `write_records` refuses such rows
        columns["at"] = columns["length"] = []
    about = {
        "key": key,
        "bytes": ends[-1],
        "bits": bits,
        "jpeg": jpeg,
        "grey": grey,
        "planes": max(planes) if len(planes) == 1 else 0,
        "end": np.array(ends, np.int64),
    }
    arrays = {name: np.array(value) for name, value in (about | columns).items()}
    with written_whole(sidecar) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    return _entry(path, arrays), []


class _Unwritten(Exception):
    """A shard with a damaged image: its file is not to appear."""


@contextlib.contextmanager
def _written(path):
    with contextlib.suppress(_Unwritten), written_whole(path) as temporary, open(temporary, "wb") as file:
        yield file


def read_sidecar(path):
    """Return a shard's sidecar as a dict of arrays, or None where there is none that is whole."""
    try:
        with _ONE_AT_A_TIME, np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def check_shard(path):
    """Compare a shard with its sidecar, byte for byte.

    Returns:
        List of dicts `shard`, `record` (number), `image_id`, `problem`; empty where all is well.
    """
    known = read_sidecar(path.with_suffix(".npz"))
    if known is None:
        return [_damage(path, -1, "", "its sidecar is missing or damaged")]
    ids, crcs, ends = known["image_id"], known["crc"], known["end"]  # of each record, after a 0
    if not path.is_file():
        return [_damage(path, -1, "", "the file is missing")]
    damaged = []
    with open(path, "rb") as file:
        for number, (start, end) in enumerate(itertools.pairwise(ends.tolist())):
            file.seek(start)
            content = file.read(end - start)
            if len(content) < end - start:
                damaged.append(_damage(path, number, ids[number], "the file ends before it or within it"))
                break
            if google_crc32c.value(content) != crcs[number]:
                damaged.append(_damage(path, number, ids[number], "its bytes have changed"))
    if not damaged and path.stat().st_size != ends[-1]:
        damaged.append(_damage(path, len(ids), "", "there are bytes behind the last record"))
    return damaged


def _damage(path, number, image_id, problem):
    return {"shard": str(path), "record": number, "image_id": str(image_id), "problem": problem}


def _places(example, planes, start):
    """Offset and length of each plane's bytes in the shard, found in the message, which holds them as they are."""
    offsets, found = [], 0
    for plane in planes:
        found = example.index(plane, found)
        offsets.append(start + found)
        found += len(plane)
    return offsets, [len(plane) for plane in planes]


def _features(row, content, about, metadata):
    values = {
        "image": content,
        "image_id": row["image_id"].encode(),
        "id": row["id"].encode(),
        "label": row["label"],
        "row": row["row"],
        "height": about["height"],
        "width": about["width"],
    }
    return values | {f"metadata/{name}": row[name].encode() for name in metadata}


def _entry(path, arrays):
    about = {name: arrays[name].item() for name in ("bytes", "bits", "jpeg", "grey", "planes")}
    digest = content_hash([arrays["image_id"].tolist(), arrays["crc"].tolist()], length=16)
    sources_digest = content_hash(arrays["digest"].tolist(), length=16)
    return {"file": path.name, "rows": len(arrays["image_id"]), **about, "hash": digest, "source_hash": sources_digest}
