"""Augmented copies as files and rows: for networks that read files, and for heads on frozen features."""

import contextlib
import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from kagglekit._checks import first_few
from kagglekit._files import content_hash, written_whole
from kagglekit._parallel import side_by_side
from kagglekit._random import row_generator
from kagglekit.augment import apply, check_policy, draw
from kagglekit.competition import sources
from kagglekit.records.encoding import JPEG_START, stored_bytes
from kagglekit.records.shards import shard_key

CHUNK = 256  # training images whose copies are written together, whole or not at all
QUALITY = 95  # of JPEGs


def expand(comp, copies, policy, *, seed=0, folder=None):
    """Write augmented copies of every training image, as rows of a new competition.

    A copy has its original's size, kind of file, labels and metadata. It stays in the fold of its original, because the
    two share `id` and `group`. Networks are trained on the copies of their folds and never judged by them: out-of-fold
    predictions and scores count the originals alone. Folds of `comp` serve as they are, also for the copies. Where
    a network is trained through `train_dataset`, a policy in the recipe does the same without files, and differently
    each epoch.

    Files are written side by side (see `kk.write_records`); an interrupted call goes on. The same seed gives the same
    copies; an image that changes has its copies written again.

    Args:
        comp: a `Competition`.
        copies: number of copies of each image, 1 to 999.
        policy: key of `kagglekit.augment.POLICIES`, or a list of `(op, strength)` pairs.
        seed: integer from 0.
        folder: where to write. Defaults to `expanded/<key>` in the competition's workspace.

    Returns:
        A new `Competition` whose `train` has the rows of `comp` first, then the copies, named `<image_id>~1` and on. A
        column `copy_of` names the image that a row is a copy of, and is empty for the originals; an image without a
        `group` has its own `image_id` there.

    Raises:
        ValueError: if there is nothing to do or `comp` has copies already, or naming the images that cannot be decoded
            (finished copies stay, for the next call).

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
        raise ValueError("the competition has copies already; expand the one that was loaded, with more copies")
    settings = {"policy": check_policy(policy), "copies": copies, "seed": seed}
    if not settings["policy"]:
        raise ValueError(f"policy {policy!r} changes nothing, so copies would be repetitions; choose another")
    folder = Path(folder) if folder else comp.folders.expanded / content_hash(settings)
    found = _write_all(comp, folder, settings)
    train = comp.train.assign(copy_of="")
    group = train["group"] if "group" in train else train["copy_of"]
    train["group"] = group.mask(group == "", train["image_id"])
    added = train.loc[train.index.repeat(copies)].assign(source=found)
    added["copy_of"] = added["image_id"]
    numbers = np.tile(np.arange(1, copies + 1), len(train)).astype(str)
    added["image_id"] = added["image_id"] + "~" + numbers
    return dataclasses.replace(comp, train=pd.concat([train, added], ignore_index=True))


def _write_all(comp, folder, settings):
    """Write all copies, and return their sources: an object array `(rows * copies,)`, an image's copies in order."""
    from joblib import delayed

    root, images = Path(comp.root).resolve(), comp.train["source"].tolist()
    starts = range(0, len(images), CHUNK)
    tasks = (
        delayed(_write_chunk)(root, images[start : start + CHUNK], start, folder.resolve(), settings)
        for start in starts
    )
    found, problems = [], []
    with tqdm(total=len(images), desc="writing augmented copies", leave=False) as bar:
        for start, (written, bad) in zip(starts, side_by_side()(tasks), strict=True):
            bar.update(min(CHUNK, len(images) - start))
            found += written
            problems += bad
    if problems:
        raise ValueError(
            f"{len(problems)} images below {comp.root} cannot be decoded: {first_few(problems)}; see "
            "kk.check_images(comp), then repair the files or take their rows out with kk.quarantine"
        )
    result = np.empty(len(found), object)
    result[:] = found  # tuples stay what they are
    return result


def _write_chunk(root, images, start, folder, settings):
    """Write the copies of some images into a folder of their own, unless they are there.

    Returns:
        `(sources, problems)`: of the copies, relative to the root; and texts that name what cannot be decoded.
    """
    target = folder / f"{start:08d}"
    rows = [{"row": start + number, "source": source} for number, source in enumerate(images)]
    try:
        key = shard_key(root, rows, settings)
    except OSError as error:
        return [], [f"{error.filename} ({error.strerror})"]
    if not (target / "key").is_file() or (target / "key").read_text() != key:
        problems = []
        with contextlib.suppress(_Unwritten), written_whole(target) as temporary:
            temporary.mkdir()
            for row in rows:
                try:
                    _write_copies(root, row, temporary, settings)
                except sources.UNREADABLE as error:
                    problems.append(f"{sources.name_of(row['source'])} ({str(error) or type(error).__name__})")
            if problems:
                raise _Unwritten
            (temporary / "key").write_text(key)
        if problems:
            return [], problems
    below = Path(os.path.relpath(target, root))
    parts = {}
    for path in sorted(target.glob("*-*.*")):
        parts.setdefault(path.name[:7], []).append((below / path.name).as_posix())
    several = isinstance(images[0], tuple)
    return [tuple(files) if several else files[0] for files in parts.values()], []


class _Unwritten(Exception):
    """Copies of images of which one is damaged: their folder is not to appear."""


def _write_copies(root, row, folder, settings):
    """Write `<row>-<copy>-<plane>.<png or jpg>` of each copy of an image; 16 bits stay 16 bits."""
    parts = sources.parts(row["source"])
    single = isinstance(row["source"], tuple)
    planes = [sources.read_pixels(root, (part,) if single else part) for part in parts]
    deep = any(plane.dtype == np.uint16 for plane in planes)
    if deep:
        planes = [plane.astype(np.float32) / (257 if plane.dtype == np.uint16 else 1) for plane in planes]
    image = np.concatenate(planes, axis=-1)
    jpeg = all(sources.read_bytes(root, part).startswith(JPEG_START) for part in parts)
    size = image.shape[:2]
    for copy in range(1, settings["copies"] + 1):
        rng = row_generator(settings["seed"], 0, row["row"], copy)
        drawn = draw(settings["policy"], rng, box=(0, 0, *size), size=size)
        changed = apply(drawn, image, size)
        if deep:
            changed = np.rint(changed * 257).astype(np.uint16)
        colour = not single and image.shape[2] == 3
        for number in range(1 if colour else image.shape[2]):
            pixels = changed if colour else changed[..., number]
            stored = stored_bytes(Image.fromarray(np.ascontiguousarray(pixels)), jpeg=jpeg, quality=QUALITY)
            name = f"{row['row'] % CHUNK:03d}-{copy:03d}-{number:03d}.{'jpg' if jpeg else 'png'}"
            (folder / name).write_bytes(stored)
