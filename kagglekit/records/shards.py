"""One shard: a TFRecord file of bounded size, and the sidecar that lists its records and their checksums.

Nothing here needs TensorFlow, so that worker processes start at once.
"""

import contextlib
import itertools
import os
import threading
import zipfile

import google_crc32c
import numpy as np

from kagglekit._checks import first_few
from kagglekit._files import content_hash, written_whole
from kagglekit._tfrecord import DATA_AT, frame, make_example
from kagglekit.competition import sources
from kagglekit.records.encoding import encode_image

# numpy reads a header by `ast.literal_eval`, which fails now and then in two threads at once: "SystemError: AST
# constructor recursion depth mismatch" (https://github.com/python/cpython/issues/106905)
_HEADER_LOCK = threading.Lock()


def shard_key(root, rows, settings):
    """Return a hash that changes when a row, a setting or a source file (its size or time) of the shard changes."""
    stamps = {}
    for row in rows:
        for part in sources.parts(row["source"]):
            file = sources.file_of(part)
            if file not in stamps:
                status = os.stat(os.path.join(root, file))
                stamps[file] = (status.st_size, status.st_mtime_ns)
    return content_hash([settings, rows, sorted(stamps.items())], length=32)


def mean_bytes(root, images):
    """Return the mean size of the files of some sources, bytes; 1 or more."""
    sizes = [0]
    for source in images:
        with contextlib.suppress(OSError):  # a missing file is named when its shard is written
            sizes.append(sources.size_of(root, source))
    return max(1, sum(sizes) / max(1, len(sizes) - 1))


def write_shard(root, rows, path, settings):
    """Write a shard and its sidecar, unless both exist and come from the same rows, files and settings.

    Args:
        root: folder of the competition.
        rows: list of dicts: `image_id`, `id`, `source`, `row` (line of its table), `label` (class number, or a list of
            floats), the text of metadata columns, and `preprocess` where there is any, see `encode_image`.
        path: the shard's file; the sidecar's name ends with `.npz` instead.
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
    stored = read_sidecar(sidecar)
    if stored is not None and str(stored["key"]) == key and path.is_file() and path.stat().st_size == stored["bytes"]:
        return _manifest_entry(path, stored), []
    sidecar.unlink(missing_ok=True)
    columns = {name: [] for name in ("image_id", "id", "row", "label", "crc", "digest", "height", "width")}
    columns |= {"at": [], "length": []}  # of the planes' bytes in the file
    columns |= {f"metadata_{name}": [] for name in settings["metadata"]}
    ends, bits, jpeg, grey, plane_counts, problems = [0], 8, True, True, set(), []
    with _written_unless_damaged(path) as file:
        for row in rows:
            try:
                options = settings["record_size"], settings["quality"], row.get("preprocess", ())
                planes, facts = encode_image(root, row["source"], *options)
            except sources.UNREADABLE as error:
                problems.append(describe_problem(row["source"], error))
                continue
            example = make_example(_example_features(row, planes, facts, settings["metadata"]))
            framed = frame(example)
            file.write(framed)
            facts["at"], facts["length"] = _plane_offsets(example, planes, ends[-1] + DATA_AT)
            ends.append(file.tell())
            bits, jpeg, grey = max(bits, facts["bits"]), jpeg and facts["jpeg"], grey and facts["grey"]
            plane_counts.add(len(planes))
            values = row | facts | {"crc": google_crc32c.value(framed), "digest": facts["source_hash"][:16]}
            values |= {f"metadata_{name}": row[name] for name in settings["metadata"]}
            for name, cells in columns.items():
                cells.append(values[name])
        if problems:
            raise DamagedImages
    if problems:
        return None, problems
    if len(plane_counts) > 1:  # not a rectangular array; `write_records` refuses such rows
        columns["at"] = columns["length"] = []
    facts = {
        "key": key,
        "bytes": ends[-1],
        "bits": bits,
        "jpeg": jpeg,
        "grey": grey,
        "planes": max(plane_counts) if len(plane_counts) == 1 else 0,
        "end": np.array(ends, np.int64),
    }
    arrays = {name: np.array(value) for name, value in (facts | columns).items()}
    with written_whole(sidecar) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    return _manifest_entry(path, arrays), []


class DamagedImages(Exception):
    """Ends a `written_whole` block without a result: one of its images is damaged."""


def describe_problem(source, error):
    """Return one line that names an image which cannot be decoded, and why."""
    return f"{sources.name_of(source)} ({str(error) or type(error).__name__})"


def raise_problems(root, problems, *, task="decoded"):
    """Raise a `ValueError` that names the images with problems, if there are any."""
    if problems:
        raise ValueError(
            f"{len(problems)} images below {root} cannot be {task}: {first_few(problems)}; see kk.check_images(comp), "
            "then repair the files or take their rows out with kk.quarantine"
        )


@contextlib.contextmanager
def _written_unless_damaged(path):
    with contextlib.suppress(DamagedImages), written_whole(path) as temporary, open(temporary, "wb") as file:
        yield file


def read_sidecar(path):
    """Return a shard's sidecar as a dict of arrays, or None if it is missing or damaged."""
    try:
        with _HEADER_LOCK, np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def check_shard(path):
    """Compare a shard with its sidecar, byte for byte.

    Returns:
        List of dicts `shard`, `record` (number), `image_id`, `problem`; empty if the shard is whole.
    """
    stored = read_sidecar(path.with_suffix(".npz"))
    if stored is None:
        return [_damage(path, -1, "", "its sidecar is missing or damaged")]
    ids, crcs, ends = stored["image_id"], stored["crc"], stored["end"]  # of each record, after a 0
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


def _plane_offsets(example, planes, start):
    """Offset and length of each plane's bytes in the shard, found in the message, which holds them unchanged."""
    offsets, position = [], 0
    for plane in planes:
        position = example.index(plane, position)
        offsets.append(start + position)
        position += len(plane)
    return offsets, [len(plane) for plane in planes]


def _example_features(row, planes, facts, metadata):
    values = {
        "image": planes,
        "image_id": row["image_id"].encode(),
        "id": row["id"].encode(),
        "label": row["label"],
        "row": row["row"],
        "height": facts["height"],
        "width": facts["width"],
    }
    return values | {f"metadata/{name}": row[name].encode() for name in metadata}


def _manifest_entry(path, arrays):
    facts = {name: arrays[name].item() for name in ("bytes", "bits", "jpeg", "grey", "planes")}
    shard_hash = content_hash([arrays["image_id"].tolist(), arrays["crc"].tolist()], length=16)
    source_hash = content_hash(arrays["digest"].tolist(), length=16)
    return {"file": path.name, "rows": len(arrays["image_id"]), **facts, "hash": shard_hash, "source_hash": source_hash}
