"""Where things lie: in a checkout, on Kaggle, or anywhere else."""

import contextlib
import os
from importlib import metadata
from pathlib import Path

KAGGLE_ROOT = Path("/kaggle")


def on_kaggle():
    """Tell whether this process runs in a Kaggle notebook."""
    return "KAGGLE_KERNEL_RUN_TYPE" in os.environ


def checkout():
    """Return the folder of the checkout that this package is run from, or None when it is installed elsewhere."""
    folder = Path(__file__).resolve().parents[1]
    return folder if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir() else None


def workspace():
    """Return the folder for everything that can be made again: `KAGGLEKIT_WORKSPACE`, else by place."""
    if "KAGGLEKIT_WORKSPACE" in os.environ:
        return Path(os.environ["KAGGLEKIT_WORKSPACE"]).expanduser().resolve()
    if on_kaggle():
        return KAGGLE_ROOT / "working"
    return checkout() / "data" / "work" if checkout() else Path.cwd() / "kagglekit_work"


def raw_folder():
    """Return the folder that raw competitions stand in by name; built-in ones are written there."""
    if checkout() and not on_kaggle():
        return checkout() / "data" / "raw"
    return workspace() / "raw"


def submissions_folder():
    """Return the folder for checked submissions: `KAGGLEKIT_SUBMISSIONS`, else by place."""
    if "KAGGLEKIT_SUBMISSIONS" in os.environ:
        return Path(os.environ["KAGGLEKIT_SUBMISSIONS"]).expanduser().resolve()
    if on_kaggle():
        return KAGGLE_ROOT / "working" / "submissions"
    return (checkout() or Path.cwd()) / "submissions"


def input_mounts():
    """Return the folders that are mounted under /kaggle/input, in the old and the new form, without descending further.

    Old: `/kaggle/input/<slug>`. New: `/kaggle/input/competitions/<slug>` and `/kaggle/input/datasets/<owner>/<slug>`.
    """
    mounts = []
    for pattern in ("input/competitions/*", "input/datasets/*/*", "input/*"):
        found = sorted(path for path in KAGGLE_ROOT.glob(pattern) if path.is_dir())
        mounts += [path for path in found if path.name not in ("competitions", "datasets")]
    return mounts


def installed_versions(*names):
    """Return the versions of the packages that are installed: `{name: version}`."""
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def find_folder(name):
    """Return the folder of a competition from a path, a name below `raw_folder()` or a Kaggle slug.

    Raises:
        FileNotFoundError: naming every place that was looked in.
    """
    candidates = [Path(name).expanduser(), raw_folder() / name]
    candidates += [mount for mount in input_mounts() if mount.name == str(name)]
    for folder in candidates:
        if folder.is_dir():
            return folder.resolve()
    looked = "\n".join(f"  {folder}" for folder in [*candidates, KAGGLE_ROOT / "input" / "..." / str(name)])
    raise FileNotFoundError(
        f"no competition {str(name)!r}: expected the built-in name 'digits' or a folder with train.csv and images; "
        f"looked for\n{looked}\nUnpack the competition's files there, or give the path of their folder."
    )
