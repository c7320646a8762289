"""Write a competition's images as TFRecord shards, one set per fold."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from kagglekit._checks import first_few
from kagglekit._files import content_hash, read_json, write_json
from kagglekit._parallel import side_by_side
from kagglekit.competition.columns import RESERVED
from kagglekit.competition.tables import row_folds
from kagglekit.records.preprocess import check_preprocess
from kagglekit.records.read import FORMAT_VERSION, open_records
from kagglekit.records.shards import mean_bytes, raise_problems, write_shard

SHARD_ROWS = 1024  # a sidecar's columns are in memory until its shard is written
SHARD_BYTES = 256 * 2**20
_RESERVED_NAMES = (*RESERVED, "row", "preprocess")  # what records call columns of their own


def write_records(comp, folds, *, record_size=280, quality=95, metadata=(), preprocess=(), folder=None):
    """Write a competition's images as TFRecord shards, one set per fold and one for the test images.

    `kagglekit.records.encoding.encode_image` says what is stored of an image. Shards are written side by side through
    joblib: `joblib.parallel_config` chooses the backend (threads, processes, a Dask cluster) and the number of jobs. A
    shard is written whole or not at all; one that exists already, of the same rows, settings and files, is kept: an
    interrupted call resumes, and a changed image rewrites its own shard alone.

    Args:
        comp: a `Competition`.
        folds: fold of each training image, as `assign_folds` gives it.
        record_size: short side of the stored images, pixels; nothing is enlarged.
        quality: of the JPEGs that are encoded again, 1 to 100.
        metadata: names of columns of train and test whose text is stored with each row, empty where a cell is missing.
        preprocess: what is done to every upright image before it is reduced and stored: names of
            `kagglekit.records.preprocess.PREPROCESS`, or pairs of a name and a dict of the function's arguments, in
            order. `("crop_to_box", {"box": ("y", "x", "height", "width")})` takes each image's box from these columns
            of train and test: top, left, height and width, in pixels of the upright image; without the dict, the
            columns have these four names.
        folder: where to write. Defaults to `records/<key>` in the competition's workspace.

    Returns:
        `Records`.

    Raises:
        ValueError: naming the images that cannot be decoded or preprocessed (finished shards are kept for the next
            call), if `folder` holds files that are not records, or if a column of `metadata` is missing or has a name
            that records use themselves.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> records = kk.write_records(comp, kk.assign_folds(comp), record_size=16)
    >>> records.rows("test"), records.rows(records.folds)
    (360, 1437)
    """
    folds = row_folds(comp, folds)
    if folds.min() < 0:
        raise ValueError(f"images without a fold: {first_few(folds.index[folds < 0])}; expected numbers from 0")
    reserved = [name for name in metadata if name in _RESERVED_NAMES]
    if reserved:
        raise ValueError(
            f"{first_few(reserved)} cannot be metadata, records use these names themselves; rename the columns, or "
            f"choose from {comp.metadata_columns}"
        )
    for part, table in (("train", comp.train), ("test", comp.test)):
        missing = [name for name in metadata if name not in table and len(table)]
        if missing:
            raise ValueError(f"the {part} table has no column {first_few(missing)}; it has {list(table.columns)}")
    metadata_hashes = []
    if metadata:
        comp = dataclasses.replace(comp, train=_as_text(comp.train, metadata), test=_as_text(comp.test, metadata))
        metadata_hashes = [  # in pieces, as in `Competition.hash`
            content_hash(table.iloc[first : first + 2_000].reindex(columns=metadata).to_numpy().tolist(), length=32)
            for table in (comp.train, comp.test)
            for first in range(0, len(table), 2_000)
        ]
    settings = {"record_size": record_size, "quality": quality, "metadata": list(metadata)}
    steps, per_row = check_preprocess(preprocess), {}
    if steps:
        settings["preprocess"] = steps
        per_row = {part: _with_boxes(steps, table) for part, table in (("train", comp.train), ("test", comp.test))}
    boxes = per_row if any(name == "crop_to_box" for name, _ in steps) else {}
    fold_hash = hashlib.sha256(folds.to_numpy("<i8").tobytes()).hexdigest()
    key = content_hash([FORMAT_VERSION, comp.hash, fold_hash, settings, *boxes.values(), *metadata_hashes])
    folder = Path(folder) if folder else comp.folders.records / key
    if folder.is_dir() and any(folder.iterdir()) and not any(folder.glob("*.tfrec")):
        raise ValueError(f"{folder} holds files but no records; choose an empty or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    parts = _rows_of_parts(comp.train, folds) | ({"test": np.arange(len(comp.test))} if len(comp.test) else {})
    shards = _plan_shards(comp, parts)
    entries, problems = _write_all(comp, parts, shards, folder, settings, per_row)
    raise_problems(comp.root, problems, task="decoded and preprocessed" if steps else "decoded")
    planes = {entry["planes"] for entry in entries}
    if len(planes) > 1 or 0 in planes:
        raise ValueError(f"the images of {comp.name} have differing numbers of files; give every row the same number")
    entries_of_parts = {part: [] for part in parts}
    for (part, *_), entry in zip(shards, entries, strict=True):
        entries_of_parts[part].append(entry)
    manifest = {
        "key": key,
        "format_version": FORMAT_VERSION,
        **settings,
        "class_names": comp.class_names,
        "task": str(comp.task),
        "planes": planes.pop(),
        "bits": max(entry["bits"] for entry in entries),
        "jpeg": all(entry["jpeg"] for entry in entries),
        "grey": all(entry["grey"] for entry in entries),
        "source_hash": content_hash([entry["source_hash"] for entry in entries], length=16),
        "parts": entries_of_parts,
    }
    if not (folder / "manifest.json").is_file() or read_json(folder / "manifest.json") != manifest:
        write_json(folder / "manifest.json", manifest)
    _remove_old_shards(folder, entries)
    return open_records(folder)


def records_of(comp, folds, recipe):
    """Write what a recipe trains on: `record_size`, `preprocess`, `numeric` and `categorical` are used.

    Raises:
        ValueError: if another knob of the recipe does not fit the competition's task; nothing is written then.
    """
    comp.task.check_recipe(recipe)
    knobs = {"record_size": recipe.record_size, "preprocess": recipe.preprocess, "metadata": recipe.metadata}
    return write_records(comp, folds, **knobs)


def _as_text(table, columns):
    """A table with text in some columns, computed numbers included."""
    present = {name: table[name].astype(object) for name in columns if name in table}
    return table.assign(**{name: cells.where(cells.notna(), "").map(str) for name, cells in present.items()})


def _rows_of_parts(train, folds):
    """Part name -> the numbers of its rows; copies of `kk.expand` are parts of their own: nothing is scored on them."""
    is_copy = (train["copy_of"] != "").to_numpy() if "copy_of" in train else np.zeros(len(train), bool)
    if is_copy.any():
        fold = folds.reindex(train["copy_of"][is_copy]).to_numpy()
        strays = train["image_id"][is_copy][(fold != folds[is_copy].to_numpy()) & ~np.isnan(fold)]
        if len(strays):
            raise ValueError(f"copies in another fold than their image: {first_few(strays)}; use kk.assign_folds")
    numbers, parts = folds.to_numpy(), {}
    for name, selected in (("fold", ~is_copy), ("copies", is_copy)):
        for fold in np.unique(numbers[selected]).tolist():
            parts[f"{name}{fold}"] = np.flatnonzero(selected & (numbers == fold))
    return parts


def _plan_shards(comp, parts):
    """`(part, first, stop, number, count)` of every shard: at most `SHARD_ROWS` rows, about `SHARD_BYTES`."""
    sample = comp.train["source"].iloc[:: max(1, len(comp.train) // 100)]
    max_rows = int(max(1, min(SHARD_ROWS, SHARD_BYTES // mean_bytes(comp.root, sample))))
    if max_rows < SHARD_ROWS:
        # A power of two: an image that changes its size rarely moves all rows
        max_rows = 1 << max_rows.bit_length() - 1
    shards = []
    for part, rows in parts.items():
        count = -(-len(rows) // max_rows)
        shards += [(part, n * max_rows, min((n + 1) * max_rows, len(rows)), n, count) for n in range(count)]
    return shards


def _with_boxes(steps, table):
    """Return the steps of each row of a table, with the row's own box where a step takes one."""
    rows = [steps] * len(table)
    for number, (name, options) in enumerate(steps):
        if name != "crop_to_box":
            continue
        columns = options["box"]
        missing = [column for column in columns if column not in table]
        if len(columns) != 4 or (missing and len(table)):
            raise ValueError(
                f"crop_to_box needs the names of four columns (top, left, height, width) of train and test, got "
                f"{columns}; there are {list(table.columns)}"
            )
        cells = table.reindex(columns=columns).apply(pd.to_numeric, errors="coerce").astype(float)
        empty = table["image_id"][cells.isna().any(axis=1).to_numpy()]
        if len(empty):
            raise ValueError(f"crop_to_box: no number in {columns} of {first_few(empty)}; fill the box in")
        boxes = zip(rows, cells.to_numpy().tolist(), strict=True)
        rows = [[*row[:number], [name, {"box": box}], *row[number + 1 :]] for row, box in boxes]
    return rows


def _write_all(comp, parts, shards, folder, settings, per_row):
    from joblib import delayed

    targets, no_label = comp.targets, comp.task.no_label(len(comp.classes))

    def tasks():
        for part, first, stop, number, count in shards:
            numbers = parts[part][first:stop]
            table = comp.test if part == "test" else comp.train
            columns = ["image_id", "id", "source", *settings["metadata"]]
            rows = table.iloc[numbers][columns].to_dict("records")
            for line, row in zip(numbers.tolist(), rows, strict=True):
                row["row"] = line
                row["label"] = no_label if part == "test" else targets[line].tolist()
                if per_row:
                    row["preprocess"] = per_row["test" if part == "test" else "train"][line]
            path = folder / f"{part}-{number:02d}-of-{count:02d}-{len(numbers):05d}.tfrec"
            yield delayed(write_shard)(comp.root, rows, path, settings)

    entries, problems = [], []
    total = sum(map(len, parts.values()))
    with tqdm(total=total, desc="writing records", leave=False) as bar:
        for (_, first, stop, *_), (entry, shard_problems) in zip(shards, side_by_side()(tasks()), strict=True):
            bar.update(stop - first)
            entries.append(entry)
            problems += shard_problems
    return entries, problems


def _remove_old_shards(folder, entries):
    """Remove older shards that the manifest does not list; names with a dot first are files still being written."""
    listed = {Path(entry["file"]).stem for entry in entries}
    for path in [*folder.glob("[!.]*.tfrec"), *folder.glob("[!.]*.npz")]:
        if path.stem not in listed:
            path.unlink()
