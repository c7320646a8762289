"""A zip from the Kaggle client, unpacked without leaving its folder."""

import shutil
import stat
import zipfile
from pathlib import PurePosixPath

from tqdm.auto import tqdm

from kagglekit._checks import check_unique
from kagglekit._files import read_json, write_json, written_whole

MOST_EXPANSION = 1000  # a member that grows by more is refused as a zip bomb; deflate itself reaches 1032
_ORIGIN_FILE = ".unpacked.json"


def unpack(path, target):
    """Unpack a zip into `target/<its name without .zip>` and return that folder; one unpacked before is used again.

    Zips inside it (`train.zip`) are unpacked beside themselves, into a folder of their name.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a damaged or encrypted zip, and for members that would leave the folder, are links, occur
            twice, or need more room than there is. Nothing is left behind then.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; expected the zip that `kaggle competitions download` wrote")
    folder = target / path.stem
    origin = {"zip": str(path.resolve()), "bytes": path.stat().st_size, "modified": path.stat().st_mtime_ns}
    if folder.is_dir():
        if (folder / _ORIGIN_FILE).is_file() and read_json(folder / _ORIGIN_FILE) == origin:
            return _content_folder(folder)
        raise ValueError(f"{folder} is there already and does not come from {path}; move it away or load it by name")
    with written_whole(folder) as temporary:
        _unpack(path, temporary)
        while inner := next(iter(sorted(temporary.rglob("*.zip"))), None):
            _unpack(inner, inner.parent) if _has_own_folder(inner) else _unpack(inner, inner.with_suffix(""))
            inner.unlink()
        write_json(temporary / _ORIGIN_FILE, origin)
    return _content_folder(folder)


def _content_folder(folder):
    """Return the folder, or its only sub-folder where that holds everything."""
    entries = [path for path in folder.iterdir() if path.name[0] != "."]
    deeper = len(entries) == 1 and entries[0].is_dir() and entries[0].name.lower() not in ("train", "images")
    return entries[0] if deeper else folder


def _unpack(path, folder):
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                member for member in archive.infolist() if not member.is_dir() and not _is_macos_file(member.filename)
            ]
            _check(path, members, folder)
            folder.mkdir(parents=True, exist_ok=True)
            for member in tqdm(members, desc=f"unpacking {path.name}", leave=False):
                member.filename = member.filename.replace("\\", "/")  # of a zip made on Windows
                archive.extract(member, folder)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise ValueError(f"{path} is not a whole zip ({error}); download it again") from error


def _is_macos_file(name):
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith("._")


def _check(path, members, folder):
    for member in members:
        pure = PurePosixPath(member.filename.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or ":" in pure.parts[0]:
            raise ValueError(f"{path}: the member {member.filename!r} would be written outside its folder; refused")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"{path}: the member {member.filename!r} is a link; refused")
        if member.flag_bits & 1:
            raise ValueError(f"{path} is encrypted; unpack it by hand and load the folder")
        if member.file_size > MOST_EXPANSION * max(member.compress_size, 1000):
            raise ValueError(f"{path}: {member.filename!r} would grow to {member.file_size} bytes: a zip bomb; refused")
    check_unique(f"member of {path}", [member.filename for member in members])
    needed = sum(member.file_size for member in members)
    existing = next(parent for parent in folder.parents if parent.is_dir())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise ValueError(f"{path} needs {needed / 1e9:.1f} GB, and {existing} has {free / 1e9:.1f} GB free")


def _has_own_folder(path):
    """Return whether all of a zip is in a folder of the zip's name: `train.zip` with `train/...`."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not _is_macos_file(name)]
            return all(PurePosixPath(name).parts[:1] == (path.stem,) for name in names)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path.name}, inside the zip, is not a zip itself ({error})") from error
