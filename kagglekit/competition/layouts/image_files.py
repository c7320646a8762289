"""Which image files lie below a folder, and which of them an id means."""

import functools
import os
from pathlib import Path, PurePosixPath

from kagglekit._checks import first_few

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def list_images(folder, *, below=""):
    """Return the image files below `folder/below` as sorted text paths relative to `folder`, hidden ones left out."""
    found = []
    for current, folders, files in os.walk(Path(folder) / below):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = PurePosixPath(Path(current).relative_to(folder).as_posix())
        found += [str(relative / name) for name in files if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return sorted(found)


def find_sources(ids, images, folders, *, csv, root, taken=()):
    """Return, for every id, the image file that it names.

    An id may carry its extension or not, and may be a path below one of `folders` or below the root.

    Args:
        ids: the ids of a table, text.
        images: the files below the root, as `list_images` gives them.
        folders: folders to look in first, in this order; `""` is the root.
        csv: path of the table, for errors.
        root: folder of the competition; no file may lie outside it.
        taken: files of the other part (train or test), which a name alone never means.

    Raises:
        ValueError: if an id leads out of the folder or means several files.
        FileNotFoundError: if there is no file for an id.
    """
    exact, taken = set(images), set(taken)
    by_stem, by_name = {}, {}
    for path in images:
        pure = PurePosixPath(path)
        by_stem.setdefault(str(pure.with_suffix("")), []).append(path)
        if path not in taken:
            by_name.setdefault(pure.name, []).append(path)
            by_name.setdefault(pure.stem, []).append(path)
    sources, missing = [], []
    for identifier in ids:
        pure = PurePosixPath(identifier)
        if not identifier.strip() or pure.is_absolute() or ".." in pure.parts or "\\" in identifier:
            raise ValueError(f"{csv}: id {identifier!r} does not name a file inside {root}; expected a file name")
        places = [str(PurePosixPath(folder) / identifier) for folder in folders]
        found = next(([place] for place in places if place in exact), None)
        found = found or next((by_stem[place] for place in places if place in by_stem), [])
        if not found:  # a file in a sub-folder whose name alone is the id, e.g. images/part1/00012.png
            inside = [path for path in by_name.get(identifier, []) if path.startswith(tuple(f"{f}/" for f in folders))]
            found = inside or by_name.get(identifier, [])
        if len(found) > 1:
            raise ValueError(f"{csv}: id {identifier!r} means several files: {first_few(found)}; give ids as paths")
        sources += found
        missing += [] if found else [identifier]
    if missing:
        raise FileNotFoundError(
            f"{csv}: no image file for {len(missing)} of {len(sources) + len(missing)} ids: {first_few(missing)}; "
            f"looked below {root}, not following links to folders, for the id with and without one of "
            f"{' '.join(SUFFIXES)}. "
            "Add the files or remove the rows."
        )
    check_inside(sources, root)
    return sources


def check_inside(sources, root):
    """Raise `ValueError` for a link that leads out of the competition's folder (Kaggle's mounts resolve as a whole)."""
    real_root = Path(root).resolve()
    real_folder = functools.cache(Path.resolve)  # far fewer folders than files
    for source in sources:
        path = Path(root) / source
        real = path.resolve() if path.is_symlink() else real_folder(path.parent)
        if not real.is_relative_to(real_root):
            raise ValueError(f"{path} is a link that leads out of {root}; copy the file into the folder")
