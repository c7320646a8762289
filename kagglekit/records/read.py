"""Reading records: TFRecord shards, one set per fold, and the manifest that lists them."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from kagglekit._checks import first_few
from kagglekit._files import content_hash, read_json
from kagglekit._parallel import side_by_side
from kagglekit.records.shards import check_shard, read_sidecar
from kagglekit.tasks import find_task

FORMAT_VERSION = 3


@dataclasses.dataclass(frozen=True)
class Records:
    """A folder of shards. Written by `write_records`, opened by `open_records`.

    Args:
        folder: the folder of the shards.
        manifest: the content of `manifest.json`: `parts` (part name -> shards with `file`, `rows`, `bytes`, hashes),
            `class_names`, `task`, `record_size`, `planes` and `bits` of the stored images, `source_hash`, `key`.
    """

    folder: Path
    manifest: dict = dataclasses.field(repr=False)
    _cache: dict = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def __getstate__(self):
        return self.__dict__ | {"_cache": {}}  # caches are not sent to other processes

    def cached(self, key, compute):
        """Return `compute()`, called once for each key: for results that depend on the records alone."""
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    @property
    def class_names(self):
        return self.manifest["class_names"]

    @property
    def task(self):
        return find_task(self.manifest["task"])

    @property
    def hash(self):
        """Hash that records of the same rows, folds, pixels and settings share."""
        return content_hash([self.manifest["key"], self.manifest["source_hash"]])

    @property
    def folds(self):
        """Numbers of the folds in these records."""
        return sorted(int(part.removeprefix("fold")) for part in self.manifest["parts"] if part.startswith("fold"))

    def with_copies(self, folds):
        """Return folds together with their augmented copies from `kk.expand`: the parts to train on.

        Evaluation reads the folds alone, so that every image counts once.
        """
        folds = [folds] if isinstance(folds, int | np.integer) else list(folds)
        copies = [f"copies{fold}" for fold in folds]
        return folds + [part for part in copies if part in self.manifest["parts"]]

    def files(self, parts):
        """Return the paths of the shards of some parts, in order.

        Args:
            parts: a fold's number, a list of them, `"test"`, or what `with_copies` returned.

        Raises:
            ValueError: if a part is unknown, or a shard is missing or its size is not that of the manifest.
        """
        paths = []
        for shard in self._shards(parts):
            path = self.folder / shard["file"]
            size = path.stat().st_size if path.is_file() else 0
            if size != shard["bytes"]:
                damage = check_shard(path)
                has_id = damage and damage[0]["image_id"]
                where = f", record {damage[0]['record']} ({damage[0]['image_id']!r})" if has_id else ""
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
        index = self.index(parts)
        labels = index["label"]
        columns = {name: index[name] for name in ("image_id", "id", "row")}
        columns["label"] = labels if self.task.one_label else list(map(tuple, labels.tolist()))
        columns |= {name: index[name] for name in ("height", "width")}
        columns |= {name: index[f"metadata_{name}"] for name in self.manifest["metadata"]}
        return pd.DataFrame(columns)

    def index(self, parts):
        """Return the sidecars' columns for some parts, in record order: a dict of arrays `(rows, ...)`.

        Beside the columns of `table` there are `shard` (number of the file in `files(parts)`), `record` (number of the
        row in it), `begin` and `end` (bytes of its frame in the file), `crc` (CRC-32C of these), `at` and `length` (of
        each plane's encoded bytes in the file). The arrays are read-only, since each sidecar is read once and
        shared.
        """
        names = self.part_names(parts)
        tables = [self.cached(("index", name), lambda name=name: self._read_index(name)) for name in names]
        if len(tables) == 1:
            return dict(tables[0])
        index = {name: np.concatenate([columns[name] for columns in tables]) for name in tables[0]}
        shards = [len(self.manifest["parts"][name]) for name in names]
        rows = [len(columns["shard"]) for columns in tables]
        index["shard"] += np.repeat(np.cumsum([0, *shards[:-1]]), rows).astype(np.int32)
        return read_only(index)

    def _read_index(self, name):
        tables = []
        for number, shard in enumerate(self.manifest["parts"][name]):
            sidecar = read_sidecar((self.folder / shard["file"]).with_suffix(".npz"))
            if sidecar is None:
                raise ValueError(f"{self.folder / shard['file']}: its sidecar is damaged; call kk.write_records again")
            rows = np.arange(shard["rows"], dtype=np.int32)
            columns = {name: array for name, array in sidecar.items() if array.ndim and name != "digest"}
            columns["begin"], columns["end"] = sidecar["end"][:-1], sidecar["end"][1:]
            tables.append(columns | {"shard": np.full_like(rows, number), "record": rows})
        return read_only({name: np.concatenate([columns[name] for columns in tables]) for name in tables[0]})

    def part_names(self, parts):
        """Return the names of some parts in the manifest: `fold0`, `copies0`, `test`; these are accepted too."""
        parts = [parts] if isinstance(parts, str | int | np.integer) else list(parts)
        names = [part if isinstance(part, str) else f"fold{part}" for part in parts]
        missing = [name for name in names if name not in self.manifest["parts"]]
        if missing:
            raise ValueError(
                f"no records of {first_few(missing)} in {self.folder}; there are {list(self.manifest['parts'])}"
            )
        return names

    def _shards(self, parts):
        return [shard for name in self.part_names(parts) for shard in self.manifest["parts"][name]]


def read_only(arrays):
    """Make the arrays of a dict read-only, and return the dict."""
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def open_records(folder):
    """Open records that `write_records` wrote.

    Raises:
        FileNotFoundError: if the folder has no manifest.
        ValueError: if they have another version of the format.
    """
    folder = Path(folder)
    if not (folder / "manifest.json").is_file():
        raise FileNotFoundError(f"{folder} has no manifest.json; expected a folder that kk.write_records wrote")
    manifest = read_json(folder / "manifest.json")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{folder} holds records of format {manifest.get('format_version')}, expected {FORMAT_VERSION}; write them "
            "again with kk.write_records"
        )
    return Records(folder, manifest)


def verify_records(records):
    """Read every shard and compare it with its sidecar, byte for byte.

    Args:
        records: `Records`.

    Returns:
        DataFrame with a line for each damaged record: `shard`, `record` (its number), `image_id`, `problem`; empty
        if all are whole. `attrs["verdict"]` is a one-line summary. Delete a damaged shard, and
        `write_records` writes it again.
    """
    from joblib import delayed

    shards = [shard for part in records.manifest["parts"].values() for shard in part]
    paths = [records.folder / shard["file"] for shard in shards]
    results = side_by_side()(delayed(check_shard)(path) for path in paths)
    damaged = [line for lines in tqdm(results, total=len(paths), desc="verifying", leave=False) for line in lines]
    table = pd.DataFrame(damaged, columns=["shard", "record", "image_id", "problem"])
    rows = sum(shard["rows"] for shard in shards)
    verdict = f"{rows} records in {len(paths)} shards, "
    verdict += "all whole" if table.empty else f"{len(table)} damaged: {first_few(table['image_id'])}"
    table.attrs["verdict"] = verdict
    return table
