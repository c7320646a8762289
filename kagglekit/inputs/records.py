"""TFRecord shards, one set per fold, and the manifest that proves them whole."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from kagglekit._checks import first_few
from kagglekit._files import content_hash, read_json, write_json
from kagglekit.competition.tables import as_series
from kagglekit.inputs.shards import check_shard, mean_bytes, read_sidecar, write_shard

FORMAT_VERSION = 2
SHARD_ROWS = 2048
SHARD_BYTES = 256 * 2**20


@dataclasses.dataclass(frozen=True)
class Records:
    """A folder of shards. Made by `write_records`, found again by `open_records`.

    Args:
        folder: where the shards lie.
        manifest: what `manifest.json` says: `parts` (part name -> shards with `file`, `rows`, `bytes`, hashes),
            `class_names`, `task`, `record_size`, `planes` and `bits` of the stored images, `source_hash`, `key`.
    """

    folder: Path
    manifest: dict = dataclasses.field(repr=False)

    @property
    def class_names(self):
        return self.manifest["class_names"]

    @property
    def task(self):
        return self.manifest["task"]

    @property
    def identity(self):
        """Text that two sets of records share when they hold the same rows, folds, pixels and settings."""
        return content_hash([self.manifest["key"], self.manifest["source_hash"]])

    @property
    def folds(self):
        """Numbers of the folds that there are records of."""
        return sorted(int(part.removeprefix("fold")) for part in self.manifest["parts"] if part != "test")

    def files(self, parts):
        """Return the paths of the shards of some parts, in order.

        Args:
            parts: a fold's number, a list of them, or `"test"`.

        Raises:
            ValueError: if a part is not there, or a shard is missing or of another size than the manifest says.
        """
        paths = []
        for shard in self._shards(parts):
            path = self.folder / shard["file"]
            size = path.stat().st_size if path.is_file() else 0
            if size != shard["bytes"]:
                damage = check_shard(path)
                known = damage and damage[0]["image_id"]
                where = f", record {damage[0]['record']} ({damage[0]['image_id']!r})" if known else ""
                raise ValueError(
                    f"{path}{where} has {size} bytes, the manifest says {shard['bytes']}; kk.write_records writes "
                    "damaged shards again"
                )
            paths.append(str(path))
        return paths

    def rows(self, parts):
        """Return the number of images in some parts."""
        return sum(shard["rows"] for shard in self._shards(parts))

    def mean_bytes(self, parts):
        """Return the mean size of a record in some parts, bytes."""
        return sum(shard["bytes"] for shard in self._shards(parts)) / max(self.rows(parts), 1)

    def table(self, parts):
        """Return the rows of some parts in record order, without their pixels.

        Returns:
            DataFrame with `image_id`, `id`, `row` (line of its table), `label` (class number, -1 for test; for another
            task a tuple of floats), `height`, `width` (stored pixels) and the metadata columns.
        """
        frames = []
        for shard in self._shards(parts):
            known = read_sidecar((self.folder / shard["file"]).with_suffix(".npz"))
            if known is None:
                raise ValueError(f"{self.folder / shard['file']}: its sidecar is damaged; call kk.write_records again")
            labels = known["label"]
            columns = {name: known[name] for name in ("image_id", "id", "row")}
            columns["label"] = labels if labels.ndim == 1 else list(map(tuple, labels.tolist()))
            columns |= {name: known[name] for name in ("height", "width")}
            columns |= {name: known[f"metadata_{name}"] for name in self.manifest["metadata"]}
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def _shards(self, parts):
        parts = [parts] if isinstance(parts, str | int | np.integer) else list(parts)
        names = [part if part == "test" else f"fold{part}" for part in parts]
        missing = [name for name in names if name not in self.manifest["parts"]]
        if missing:
            raise ValueError(
                f"no records of {first_few(missing)} in {self.folder}; there are {list(self.manifest['parts'])}"
            )
        return [shard for name in names for shard in self.manifest["parts"][name]]


def write_records(comp, folds, *, record_size=280, quality=95, metadata=(), folder=None):
    """Write a competition's images as TFRecord shards, one set per fold and one for the test images.

    What is stored of an image says `kagglekit.inputs.encoding.encode_image`. Shards are written side by side through
    joblib: `joblib.parallel_config` chooses the backend (threads, processes, a Dask cluster) and the number of jobs. A
    shard is written whole or not at all; one that is there already, of the same rows, settings and files, is kept: a
    call that was broken off goes on, and a changed image rewrites its own shard alone.

    Args:
        comp: a `Competition`.
        folds: fold of each training image, as `assign_folds` gives it.
        record_size: short side of the stored images, pixels; nothing is enlarged.
        quality: of the JPEGs that are written anew, 1 to 100.
        metadata: names of columns of train and test whose text is stored with each row.
        folder: where to write. Defaults to `records/<key>` in the competition's workspace.

    Returns:
        `Records`.

    Raises:
        ValueError: naming the images that cannot be decoded (finished shards stay, for the next call), or if `folder`
            holds files that are no records.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> records = kk.write_records(comp, kk.assign_folds(comp), record_size=16)
    >>> records.rows("test"), records.rows(records.folds)
    (360, 1437)
    """
    folds = as_series(folds, comp.train["image_id"], "folds").astype(int)
    if folds.min() < 0:
        raise ValueError(f"images without a fold: {first_few(folds.index[folds < 0])}; expected numbers from 0")
    for part, table in (("train", comp.train), ("test", comp.test)):
        lacking = [name for name in metadata if name not in table and len(table)]
        if lacking:
            raise ValueError(f"the {part} table has no column {first_few(lacking)}; it has {list(table.columns)}")
    settings = {"record_size": record_size, "quality": quality, "metadata": list(metadata)}
    key = content_hash([FORMAT_VERSION, comp.hash, folds.tolist(), settings])
    folder = Path(folder) if folder else comp.workspace / "records" / key
    if folder.is_dir() and any(folder.iterdir()) and not any(folder.glob("*.tfrec")):
        raise ValueError(f"{folder} holds files but no records; choose an empty or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    parts = _parts(comp, folds)
    shards = _plan(comp, parts)
    entries, problems = _write_all(comp, parts, shards, folder, settings)
    if problems:
        raise ValueError(
            f"{len(problems)} images below {comp.root} cannot be decoded: {first_few(problems)}; see "
            "kk.check_images(comp), then repair the files or take their rows out with kk.quarantine"
        )
    planes = {entry["planes"] for entry in entries}
    if len(planes) > 1 or 0 in planes:
        raise ValueError(f"the images of {comp.name} have differing numbers of files a row: {sorted(planes)}")
    listed = {part: [] for part in parts}
    for (part, *_), entry in zip(shards, entries, strict=True):
        listed[part].append(entry)
    manifest = {
        "key": key,
        "format_version": FORMAT_VERSION,
        **settings,
        "class_names": comp.class_names,
        "task": comp.task,
        "planes": planes.pop(),
        "bits": max(entry["bits"] for entry in entries),
        "jpeg": all(entry["jpeg"] for entry in entries),
        "grey": all(entry["grey"] for entry in entries),
        "source_hash": content_hash([entry["source_hash"] for entry in entries], length=16),
        "parts": listed,
    }
    if not (folder / "manifest.json").is_file() or read_json(folder / "manifest.json") != manifest:
        write_json(folder / "manifest.json", manifest)
    _remove_others(folder, entries)
    return open_records(folder)


def open_records(folder):
    """Open records that `write_records` wrote.

    Raises:
        FileNotFoundError: if the folder has no manifest.
        ValueError: if another version of the format wrote them.
    """
    folder = Path(folder)
    if not (folder / "manifest.json").is_file():
        raise FileNotFoundError(f"{folder} has no manifest.json; expected a folder that kk.write_records wrote")
    manifest = read_json(folder / "manifest.json")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{folder} holds records of format {manifest.get('format_version')}, expected {FORMAT_VERSION}"
        )
    return Records(folder, manifest)


def verify_records(records):
    """Read every shard and compare it with its sidecar, byte for byte.

    Args:
        records: `Records`.

    Returns:
        DataFrame with a line for each damaged record: `shard`, `record` (its number), `image_id`, `problem`; empty
        where all is well. `attrs["verdict"]` sums up. Delete a damaged shard, and `write_records` writes it again.
    """
    from joblib import delayed

    shards = [shard for part in records.manifest["parts"].values() for shard in part]
    paths = [records.folder / shard["file"] for shard in shards]
    found = _parallel()(delayed(check_shard)(path) for path in paths)
    damaged = [line for lines in tqdm(found, total=len(paths), desc="verifying", leave=False) for line in lines]
    table = pd.DataFrame(damaged, columns=["shard", "record", "image_id", "problem"])
    rows = sum(shard["rows"] for shard in shards)
    verdict = f"{rows} records in {len(paths)} shards, "
    verdict += "all whole" if table.empty else f"{len(table)} damaged: {first_few(table['image_id'])}"
    table.attrs["verdict"] = verdict
    return table


def _parts(comp, folds):
    """Part name -> the numbers of its rows."""
    order = np.arange(len(folds))
    parts = {f"fold{fold}": order[folds.to_numpy() == fold] for fold in sorted(folds.unique())}
    return parts | ({"test": np.arange(len(comp.test))} if len(comp.test) else {})


def _plan(comp, parts):
    """`(part, first, stop, shard number, shards)` of every shard: at most `SHARD_ROWS` rows, about `SHARD_BYTES`."""
    sample = comp.train["source"].iloc[:: max(1, len(comp.train) // 100)]
    most = int(max(1, min(SHARD_ROWS, SHARD_BYTES // mean_bytes(comp.root, sample))))
    if most < SHARD_ROWS:
        most = 1 << most.bit_length() - 1  # a power of two: an image that changes its size seldom moves all the rows
    shards = []
    for part, rows in parts.items():
        count = -(-len(rows) // most)
        shards += [(part, n * most, min((n + 1) * most, len(rows)), n, count) for n in range(count)]
    return shards


def _write_all(comp, parts, shards, folder, settings):
    from joblib import delayed

    targets = comp.targets

    def tasks():
        for part, first, stop, number, count in shards:
            numbers = parts[part][first:stop]
            table = comp.test if part == "test" else comp.train
            columns = ["image_id", "id", "source", *settings["metadata"]]
            rows = table.iloc[numbers][columns].to_dict("records")
            for line, row in zip(numbers.tolist(), rows, strict=True):
                row["row"] = line
                single = comp.task == "single_label"
                nothing = -1 if single else [0.0] * len(comp.classes)
                row["label"] = nothing if part == "test" else targets[line].tolist()
            path = folder / f"{part}-{number:02d}-of-{count:02d}-{len(numbers):05d}.tfrec"
            yield delayed(write_shard)(comp.root, rows, path, settings)

    entries, problems = [], []
    total = sum(map(len, parts.values()))
    with tqdm(total=total, desc="writing records", leave=False) as bar:
        for (_, first, stop, *_), (entry, found) in zip(shards, _parallel()(tasks()), strict=True):
            bar.update(stop - first)
            entries.append(entry)
            problems += found
    return entries, problems


def _parallel():
    """What `joblib.parallel_config` chose; else threads, since decoding and hashing leave the interpreter's lock."""
    from joblib import Parallel
    from joblib.parallel import get_active_backend

    backend, jobs = get_active_backend()
    if type(backend).__name__ == "LokyBackend" and jobs is None:  # joblib's own default
        return Parallel(os.cpu_count(), prefer="threads", return_as="generator")
    return Parallel(-1 if jobs is None else jobs, return_as="generator")


def _remove_others(folder, entries):
    """Remove the shards of an earlier writing that the manifest lacks; a dot begins a file that is being written."""
    kept = {Path(entry["file"]).stem for entry in entries}
    for path in [*folder.glob("[!.]*.tfrec"), *folder.glob("[!.]*.npz")]:
        if path.stem not in kept:
            path.unlink()
