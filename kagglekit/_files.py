"""Files that are written whole or not at all, and names made from their content."""

import contextlib
import functools
import glob
import hashlib
import inspect
import json
import os
import shutil
import sys
from pathlib import Path


@contextlib.contextmanager
def written_whole(path):
    """Give a temporary path beside `path`, renamed to `path` when the block succeeds and removed when it fails.

    Works for a file or a folder, whichever the block makes. A reader sees the old content or the new, never a part.

    Example:

    >>> import pathlib, tempfile
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> with written_whole(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in path.parent.glob(f".{glob.escape(path.stem)}.*.partial{path.suffix}"):
        if not _is_running(left_over.name.split(".")[-2 if not path.suffix else -3]):
            _remove(left_over)  # left by a process that was killed
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        if path.is_dir() and temporary.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _is_running(process):
    if process == str(os.getpid()) or sys.platform == "win32":  # where signal 0 would end the process
        return False
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path, content):
    """Write `content` as JSON, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def content_hash(content, length=8):
    """Return the first hexadecimal digits of the SHA-256 of a JSON-like object: equal content, equal name."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:length]


def source_hash(function):
    """Return a hash of a function's name and source, with the arguments that a `functools.partial` holds.

    Raises:
        OSError, TypeError: if the source cannot be read, as inspect.getsource does.
    """
    if isinstance(function, functools.partial):
        return content_hash([source_hash(function.func), function.args, function.keywords])
    return content_hash([getattr(function, "__qualname__", None), inspect.getsource(function)])
