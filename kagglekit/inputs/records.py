"""TFRecord shards, one set per fold, and the manifest that proves them whole."""

import dataclasses
import hashlib
import io
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from kagglekit._checks import first_few
from kagglekit._files import content_hash, read_json, write_json, written_whole
from kagglekit.competition.tables import as_series

FORMAT_VERSION = 1
SHARD_ROWS = 2048


@dataclasses.dataclass(frozen=True)
class Records:
    """A folder of shards. Made by `write_records`, found again by `open_records`.

    Args:
        folder: where the shards lie.
        manifest: what `manifest.json` says: `parts` (part name -> shards with `file`, `rows`, `bytes`, `crc32`),
            `class_names`, `record_size`, `source_hash`, `key`.
    """

    folder: Path
    manifest: dict = dataclasses.field(repr=False)

    @property
    def class_names(self):
        return self.manifest["class_names"]

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
                raise ValueError(
                    f"{path} has {size} bytes, the manifest says {shard['bytes']}; delete {self.folder} and write again"
                )
            paths.append(str(path))
        return paths

    def rows(self, parts):
        """Return the number of images in some parts."""
        return sum(shard["rows"] for shard in self._shards(parts))

    def mean_bytes(self, parts):
        """Return the mean size of a record in some parts, bytes."""
        return sum(shard["bytes"] for shard in self._shards(parts)) / max(self.rows(parts), 1)

    def _shards(self, parts):
        parts = [parts] if isinstance(parts, str | int | np.integer) else list(parts)
        names = [part if part == "test" else f"fold{part}" for part in parts]
        missing = [name for name in names if name not in self.manifest["parts"]]
        if missing:
            raise ValueError(
                f"no records of {first_few(missing)} in {self.folder}; there are {list(self.manifest['parts'])}"
            )
        return [shard for name in names for shard in self.manifest["parts"][name]]


def write_records(comp, folds, *, record_size=280, folder=None):
    """Write a competition's images as TFRecord shards, one set per fold and one for the test images.

    A file whose bytes can stay (JPEG or PNG, 8-bit grey or RGB, upright, not larger than `record_size`) is stored as it
    is. Any other is decoded, turned upright, reduced with antialiasing where it is too large, and stored as JPEG of
    quality 95 if it was one, else as lossless PNG. Complete records of the same rows, folds and size are used again.

    Args:
        comp: a `Competition`.
        folds: fold of each training image, as `assign_folds` gives it.
        record_size: short side of the stored images, pixels; nothing is enlarged.
        folder: where to write. Defaults to `records/<key>` in the competition's workspace.

    Returns:
        `Records`.

    Raises:
        ValueError: naming the images that cannot be decoded (nothing half-written stays behind), or if `folder` holds
            files that are no records.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> records = kk.write_records(comp, kk.assign_folds(comp), record_size=16)
    >>> records.rows([0, 1]), records.rows("test")
    (576, 360)
    """
    folds = as_series(folds, comp.train["image_id"], "folds").astype(int)
    if folds.min() < 0:
        raise ValueError(f"images without a fold: {first_few(folds.index[folds < 0])}; expected numbers from 0")
    key = content_hash([FORMAT_VERSION, comp.hash, folds.tolist(), record_size, _sizes(comp)])
    folder = Path(folder) if folder else comp.workspace / "records" / key
    if (folder / "manifest.json").is_file():
        if read_json(folder / "manifest.json")["key"] == key:
            return open_records(folder)
    elif folder.is_dir() and any(folder.iterdir()):  # it would be replaced as a whole
        raise ValueError(f"{folder} holds files but no manifest.json, so no records; choose an empty or a new folder")

    label_numbers = {name: number for number, name in enumerate(comp.class_names)}
    train = comp.train.assign(row=range(len(comp.train)), number=comp.train["label"].map(label_numbers))
    parts = {f"fold{fold}": train[folds.to_numpy() == fold] for fold in sorted(folds.unique())}
    if len(comp.test):
        parts["test"] = comp.test.assign(row=range(len(comp.test)), number=-1)
    source_hash, problems = hashlib.sha256(), []
    with (
        written_whole(folder) as temporary,
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(comp.train) + len(comp.test), desc="writing records", leave=False) as bar,
    ):
        temporary.mkdir(parents=True)
        manifest = {
            "key": key,
            "format_version": FORMAT_VERSION,
            "record_size": record_size,
            "class_names": comp.class_names,
            "parts": {},
        }
        for part, rows in parts.items():
            shards = -(-len(rows) // SHARD_ROWS)
            manifest["parts"][part] = []
            for shard in range(shards):
                chunk = rows.iloc[shard * SHARD_ROWS : (shard + 1) * SHARD_ROWS]
                path = temporary / f"{part}-{shard:02d}-of-{shards:02d}-{len(chunk):05d}.tfrec"
                encoded = pool.map(lambda source: _encode(comp.root / source, record_size), chunk["source"])
                with tf.io.TFRecordWriter(str(path)) as writer:
                    for row, (content, digest, problem) in zip(chunk.itertuples(index=False), encoded, strict=True):
                        bar.update()
                        source_hash.update(digest)
                        problems += [f"{row.source} ({problem})"] if problem else []
                        writer.write(_example(row, content))
                manifest["parts"][part].append(_shard_entry(path, len(chunk)))
        if problems:
            raise ValueError(
                f"{len(problems)} images below {comp.root} cannot be decoded: {first_few(problems)}; see "
                "kk.check_images(comp), then repair the files or remove their rows"
            )
        manifest["source_hash"] = source_hash.hexdigest()
        write_json(temporary / "manifest.json", manifest)
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


def _sizes(comp):
    """Sizes of all files: a changed image file makes a new key without reading every byte first."""
    return [(comp.root / source).stat().st_size for table in (comp.train, comp.test) for source in table["source"]]


def _encode(path, record_size):
    """Return `(bytes to store, digest of the file's bytes, problem)` of one image."""
    try:
        content = path.read_bytes()
        digest = hashlib.sha256(content).digest()
        with Image.open(io.BytesIO(content)) as image:
            kind = image.format
            as_it_is = (
                kind in ("JPEG", "PNG")
                and image.mode in ("L", "RGB")
                and "transparency" not in image.info
                and image.getexif().get(0x0112, 1) == 1
                and min(image.size) <= record_size
            )
            image.load()  # decodes to the end: a truncated file must not enter the records
            return (content if as_it_is else _reencode(image, kind, record_size)), digest, ""
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return b"", b"", str(error) or type(error).__name__


def _reencode(image, kind, record_size):
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel
        image = Image.fromarray((np.asarray(image, np.int64) >> 8).clip(0, 255).astype(np.uint8))
    grey = image.mode in ("1", "L", "LA")
    image = image.convert("L" if grey else "RGB")
    scale = record_size / min(image.size)
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    stored = io.BytesIO()
    if kind in ("JPEG", "MPO"):  # MPO: a phone's JPEG with further pictures behind the first
        image.save(stored, "JPEG", quality=95, subsampling=0)
    else:
        image.save(stored, "PNG")
    return stored.getvalue()


def _example(row, content):
    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    values = {
        "image": content,
        "image_id": row.image_id.encode(),
        "label": int(row.number),
        "row": int(row.row),
    }
    return tf.train.Example(
        features=tf.train.Features(feature={name: feature(value) for name, value in values.items()})
    ).SerializeToString(deterministic=True)


def _shard_entry(path, rows):
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return {"file": path.name, "rows": rows, "bytes": path.stat().st_size, "crc32": f"{crc:08x}"}
