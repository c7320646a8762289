"""Augmented copies as files and rows: for networks that read files, and for heads on cached features."""

import contextlib
import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from kagglekit._files import content_hash, written_whole
from kagglekit._parallel import side_by_side
from kagglekit._random import row_generator
from kagglekit.augment import apply, check_policy, draw
from kagglekit.competition import sources
from kagglekit.records.encoding import is_jpeg, stored_bytes
from kagglekit.records.shards import DamagedImages, describe_problem, raise_problems, shard_key

CHUNK = 256  # training images whose copies are written together, whole or not at all
QUALITY = 95  # of JPEGs


def expand(comp, copies, policy, *, seed=0, folder=None):
    """Write augmented copies of every training image, as rows of a new competition.

    A copy has its original's size, kind of file, labels and metadata. It stays in the fold of its original, because the
    two share `id` and `group`. Networks are trained on the copies of their folds but never scored on them: out-of-fold
    predictions and scores count the originals alone. The folds of `comp` apply to its copies too. Where a network is
    trained through `train_dataset`, a policy in the recipe does the same without files, and differently each epoch.

    Files are written side by side (see `kk.write_records`); an interrupted call resumes. The same seed gives the same
    copies; the copies of an image that has changed are written again.

    Args:
        comp: a `Competition`.
        copies: number of copies of each image, 1 to 999.
        policy: key of `kagglekit.augment.POLICIES`, or a list of `(op, strength)` pairs.
        seed: integer from 0.
        folder: where to write. Defaults to `expanded/<key>` in the competition's workspace.

    Returns:
        A new `Competition` whose `train` has the rows of `comp` first, then the copies, named `<image_id>~1` etc. A
        column `copy_of` names the image that a row is a copy of, and is empty for the originals; an image without a
        `group` gets its own `image_id` as group.

    Raises:
        ValueError: if there is nothing to do or `comp` has copies already, or naming the images that cannot be decoded
            (finished copies are kept for the next call).

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.from_arrays(np.zeros((4, 8, 8), np.uint8), ["a", "b", "a", "b"], name="blank")
    >>> expanded = expand(comp, 2, [("noise", 0.1)])
    >>> expanded.train[["image_id", "label", "copy_of"]][3:6].to_numpy().tolist()
    [['train_3', 'b', ''], ['train_0~1', 'a', 'train_0'], ['train_0~2', 'a', 'train_0']]
    """
    if type(copies) is not int or not 1 <= copies <= 999:
        raise ValueError(f"expected copies to be a whole number from 1 to 999, got {copies!r}")
    if "copy_of" in comp.train:
        raise ValueError("the competition has copies already; expand the original competition, with more copies")
    settings = {"policy": check_policy(policy), "copies": copies, "seed": seed}
    if not settings["policy"]:
        raise ValueError(f"policy {policy!r} changes nothing, so copies would equal their originals; choose another")
    folder = Path(folder) if folder else comp.folders.expanded / content_hash(settings)
    copy_sources = _write_all(comp, folder, settings)
    train = comp.train.assign(copy_of="")
    group = train["group"] if "group" in train else train["copy_of"]
    train["group"] = group.mask(group == "", train["image_id"])
    added = train.loc[train.index.repeat(copies)].assign(source=copy_sources)
    added["copy_of"] = added["image_id"]
    copy_numbers = np.tile(np.arange(1, copies + 1), len(train)).astype(str)
    added["image_id"] = added["image_id"] + "~" + copy_numbers
    return dataclasses.replace(comp, train=pd.concat([train, added], ignore_index=True))


def _write_all(comp, folder, settings):
    """Write all copies, and return their sources: an object array `(rows * copies,)`, row by row."""
    from joblib import delayed

    root, image_sources = Path(comp.root).resolve(), comp.train["source"].tolist()
    starts = range(0, len(image_sources), CHUNK)
    tasks = (
        delayed(_write_chunk)(root, image_sources[start : start + CHUNK], start, folder.resolve(), settings)
        for start in starts
    )
    copy_sources, problems = [], []
    with tqdm(total=len(image_sources), desc="writing augmented copies", leave=False) as bar:
        for start, (chunk_sources, chunk_problems) in zip(starts, side_by_side()(tasks), strict=True):
            bar.update(min(CHUNK, len(image_sources) - start))
            copy_sources += chunk_sources
            problems += chunk_problems
    raise_problems(comp.root, problems)
    result = np.empty(len(copy_sources), object)
    result[:] = copy_sources  # numpy must not split tuples
    return result


def _write_chunk(root, image_sources, start, folder, settings):
    """Write the copies of a chunk of images into a folder of their own, unless they are there already.

    Returns:
        `(sources, problems)`: sources of the copies, relative to the root; and lines that name what cannot be decoded.
    """
    target = folder / f"{start:08d}"
    rows = [{"row": start + number, "source": source} for number, source in enumerate(image_sources)]
    try:
        key = shard_key(root, rows, settings)
    except OSError as error:
        return [], [f"{error.filename} ({error.strerror})"]
    if not (target / "key").is_file() or (target / "key").read_text() != key:
        problems = []
        with contextlib.suppress(DamagedImages), written_whole(target) as temporary:
            temporary.mkdir()
            for row in rows:
                try:
                    _write_copies(root, row, temporary, settings)
                except sources.UNREADABLE as error:
                    problems.append(describe_problem(row["source"], error))
            if problems:
                raise DamagedImages
            (temporary / "key").write_text(key)
        if problems:
            return [], problems
    relative_folder = Path(os.path.relpath(target, root))
    files_of_copies = {}
    for path in sorted(target.glob("*-*.*")):
        files_of_copies.setdefault(path.name[:7], []).append((relative_folder / path.name).as_posix())
    as_tuples = isinstance(image_sources[0], tuple)
    return [tuple(files) if as_tuples else files[0] for files in files_of_copies.values()], []


def _write_copies(root, row, folder, settings):
    """Write `<row>-<copy>-<plane>.<png or jpg>` of each copy of an image; 16 bits stay 16 bits."""
    files = sources.parts(row["source"])
    one_channel = isinstance(row["source"], tuple)
    planes = [sources.read_pixels(root, (file,) if one_channel else file) for file in files]
    is_16_bit = any(plane.dtype == np.uint16 for plane in planes)
    if is_16_bit:
        planes = [plane.astype(np.float32) / (257 if plane.dtype == np.uint16 else 1) for plane in planes]
    image = np.concatenate(planes, axis=-1)
    jpeg = all(is_jpeg(sources.read_bytes(root, file)) for file in files)
    size = image.shape[:2]
    for copy in range(1, settings["copies"] + 1):
        rng = row_generator(settings["seed"], 0, row["row"], copy)
        drawn = draw(settings["policy"], rng, box=(0, 0, *size), size=size)
        augmented = apply(drawn, image, size)
        if is_16_bit:
            augmented = np.rint(augmented * 257).astype(np.uint16)
        is_rgb = not one_channel and image.shape[2] == 3
        for number in range(1 if is_rgb else image.shape[2]):
            pixels = augmented if is_rgb else augmented[..., number]
            content = stored_bytes(Image.fromarray(np.ascontiguousarray(pixels)), jpeg=jpeg, quality=QUALITY)
            name = f"{row['row'] % CHUNK:03d}-{copy:03d}-{number:03d}.{'jpg' if jpeg else 'png'}"
            (folder / name).write_bytes(content)
