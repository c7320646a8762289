"""The image files below a folder, and which of them an id means."""

import functools
import itertools
import os
import re
from pathlib import Path, PurePosixPath

from kagglekit._checks import first_few
from kagglekit.competition import sources

_COLOURS = ("red", "green", "blue", "yellow")  # in the order of an RGB image
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CHANNEL = re.compile(r"(?:c|ch|channel|w)_?\d+", re.IGNORECASE)
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def list_images(folder, *, below=""):
    """Return the image files below `folder/below` as sorted text paths relative to `folder`, hidden ones left out."""
    paths = []
    for current, folders, files in os.walk(Path(folder) / below):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = PurePosixPath(Path(current).relative_to(folder).as_posix())
        paths += [str(relative / name) for name in files if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return sorted(paths)


def find_images(names, images, folders, *, csv, root, taken=()):
    """Return, for every name, its images: a dict of image name (`""` for the only one) -> source.

    A name may carry its extension or not, may be a path below one of `folders` or below the root, or may be the
    beginning of several files' names: of channels (`cell_red.png`, `cell_w1.png`), else of images (`shoe-1.jpg`).

    Args:
        names: the images' names of a table, text.
        images: the files below the root, as `list_images` gives them.
        folders: folders to look in first, in this order; `""` is the root.
        csv: path of the table, for errors.
        root: folder of the competition; no file may be outside it.
        taken: files of the other part (train or test), which are never found by name alone.

    Raises:
        ValueError: if a name leads out of the folder or means several files.
        FileNotFoundError: if there is no file for a name.
    """
    existing, taken = set(images), set(taken)
    by_stem, by_name = {}, {}
    for path in images:
        pure = PurePosixPath(path)
        by_stem.setdefault(str(pure.with_suffix("")), []).append(path)
        if path not in taken:
            by_name.setdefault(pure.name, []).append(path)
            by_name.setdefault(pure.stem, []).append(path)
    # Where one of the folders exists no other is searched: a file of that name there is another image.
    has_folder = any((Path(root) / folder).is_dir() for folder in folders if folder)
    row_images, missing = [], []
    for name in names:
        check_plain(name, csv, root)
        places = [str(PurePosixPath(folder) / name) for folder in folders]
        matches = next(([place] for place in places if place in existing), None)
        matches = matches or next((by_stem[place] for place in places if place in by_stem), [])
        if not matches:  # a file in a sub-folder whose name alone is the id, e.g. images/part1/00012.png
            beginnings = tuple(f"{folder}/" for folder in folders)
            inside = [path for path in by_name.get(name, []) if path.startswith(beginnings)]
            matches = inside or ([] if has_folder else by_name.get(name, []))
        if len(matches) > 1:
            raise ValueError(f"{csv}: id {name!r} means several files: {first_few(matches)}; give ids as paths")
        row_images += [{"": matches[0]}] if matches else []
        missing += [] if matches else [name]
    if missing and not row_images:
        row_images = _find_by_prefix(missing, [path for path in images if path not in taken], folders)
        missing = [] if row_images else missing
    if missing:
        raise missing_images(csv, len(missing), len(row_images) + len(missing), first_few(missing), root)
    check_inside([source for row in row_images for source in row.values()], root)
    return row_images


def _find_by_prefix(names, images, folders):
    """Return the images of files that begin with each name, if all names have the same endings; else an empty list."""
    wanted, files = set(names), {}
    for path in images:
        pure = PurePosixPath(path)
        if not path.startswith(tuple(f"{folder}/" for folder in folders if folder)) and "" not in folders:
            continue
        for position, character in enumerate(pure.stem):
            if character in "_-" and (name := pure.stem[:position]) in wanted:
                files.setdefault(name, {}).setdefault(pure.stem[position + 1 :], []).append(path)
    endings = set(files.get(names[0], {}))
    alike = all(set(files.get(name, {})) == endings for name in names)
    if len(endings) < 2 or not alike or any(len(paths) > 1 for name in names for paths in files[name].values()):
        return []
    order = sorted(endings, key=_ending_order)
    if endings <= set(_COLOURS) or all(_CHANNEL.fullmatch(ending) for ending in endings):
        return [{"": tuple(files[name][ending][0] for ending in order)} for name in names]
    return [{ending: files[name][ending][0] for ending in order} for name in names]


def _ending_order(ending):
    """Sort colours in the order of an RGB image, numbers by their value, other endings by name."""
    number = re.search(r"\d+$", ending)
    return (_COLOURS.index(ending) if ending in _COLOURS else 99, int(number[0]) if number else 0, ending)


def check_plain(name, csv, root):
    """Raise `ValueError` for a cell that cannot be a part of a path inside the folder."""
    pure = PurePosixPath(name)
    if not name.strip() or pure.is_absolute() or ".." in pure.parts or "\\" in name or _CONTROL.search(name):
        raise ValueError(f"{csv}: id {name!r} does not name a file inside {root}; expected a file name")


def missing_images(csv, missing, rows, examples, root):
    """Return the error for rows without an image."""
    return FileNotFoundError(
        f"{csv}: no image file for {missing} of {rows} ids: {examples}; "
        f"looked below {root}, not following links to folders, for the id with and without one of "
        f"{' '.join(SUFFIXES)}. "
        "Add the files or remove the rows; if the names are made of several columns, say how with "
        "preset=kk.Preset(train_images='train/{id}_{channel}.png', ...)."
    )


def check_inside(image_sources, root):
    """Raise `ValueError` for a link that leads out of the competition's folder (Kaggle's mounts resolve as a whole)."""
    real_root = Path(root).resolve()
    real_folder = functools.cache(Path.resolve)  # far fewer folders than files
    for part in itertools.chain.from_iterable(map(sources.parts, image_sources)):
        path = Path(root) / sources.file_of(part)
        real = path.resolve() if path.is_symlink() else real_folder(path.parent)
        if not real.is_relative_to(real_root):
            raise ValueError(f"{path} is a link that leads out of {root}; copy the file into the folder")
