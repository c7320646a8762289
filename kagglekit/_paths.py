"""Where files are: in a checkout, on Kaggle, or anywhere else."""

import contextlib
import dataclasses
import os
import re
from importlib import metadata
from pathlib import Path

KAGGLE_ROOT = Path("/kaggle")


def on_kaggle():
    """Return whether this process runs in a Kaggle notebook."""
    return "KAGGLE_KERNEL_RUN_TYPE" in os.environ


def checkout():
    """Return the folder of the checkout that this package is run from, or None when it is installed elsewhere."""
    folder = Path(__file__).resolve().parents[1]
    return folder if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir() else None


def workspace():
    """Return the folder that everything is written below: `KAGGLEKIT_WORKSPACE`, else one for the machine."""
    if chosen := _chosen_workspace():
        return chosen
    if on_kaggle():
        return KAGGLE_ROOT / "working"
    return checkout() / "data" / "work" if checkout() else Path.cwd() / "kagglekit_work"


def raw_folder():
    """Return the folder that raw competitions are written to: built-in ones, and zips that are unpacked."""
    return checkout() / "data" / "raw" if _in_checkout() else workspace() / "raw"


def submissions_folder(competition):
    """Return the folder for a competition's checked submissions."""
    return (checkout() if _in_checkout() else workspace()) / "submissions" / folder_name(competition)


def _chosen_workspace():
    chosen = os.environ.get("KAGGLEKIT_WORKSPACE")
    return Path(chosen).expanduser().resolve() if chosen else None


def _in_checkout():
    """Return whether files are written to the checkout's own folders."""
    return checkout() is not None and not on_kaggle() and _chosen_workspace() is None


@dataclasses.dataclass(frozen=True)
class Folders:
    """The folders and files of one competition in the workspace; folders are made with their files, not here.

    Args:
        root: the competition's own folder in the workspace.

    Example:

    >>> Folders(Path("work/digits")).features.as_posix()
    'work/digits/features'
    """

    root: Path

    @property
    def records(self):
        """TFRecord shards, a folder for each choice of rows, folds and settings."""
        return self.root / "records"

    @property
    def runs(self):
        """A folder for each run."""
        return self.root / "runs"

    @property
    def features(self):
        """The feature cache, shared by all runs and trials."""
        return self.root / "features"

    @property
    def tuning(self):
        """A folder for each study."""
        return self.root / "tuning"

    @property
    def expanded(self):
        """Augmented copies that `kk.expand` wrote."""
        return self.root / "expanded"

    @property
    def index(self):
        """Where each image is in the organiser's containers."""
        return self.root / "index"

    @property
    def arrays(self):
        """Images that `kk.from_arrays` was given."""
        return self.root / "arrays"

    @property
    def scan_file(self):
        """The facts of each raw image, from one decode."""
        return self.root / "scan.npz"

    @property
    def notebooks(self):
        """Executed notebooks."""
        return self.root / "notebooks"

    @property
    def folds_file(self):
        """The folds that `kk.save_folds` wrote."""
        return self.root / "folds.csv"

    @property
    def quarantine_file(self):
        """The images that `kk.quarantine` took out."""
        return self.root / "quarantine.csv"


def folders_of(competition):
    """Return the `Folders` of a competition, by its name."""
    return Folders(workspace() / folder_name(competition))


def folder_name(competition):
    """Return the name of a competition's folders, without slashes and spaces."""
    return re.sub(r"[^\w.-]+", "_", competition)


def input_mounts():
    """Return the folders that are mounted under /kaggle/input, in the old and the new form, without descending further.

    Old: `/kaggle/input/<slug>`. New: `/kaggle/input/competitions/<slug>` and `/kaggle/input/datasets/<owner>/<slug>`.
    """
    mounts = []
    for pattern in ("input/competitions/*", "input/datasets/*/*", "input/*"):
        folders = sorted(path for path in KAGGLE_ROOT.glob(pattern) if path.is_dir())
        mounts += [path for path in folders if path.name not in ("competitions", "datasets")]
    return mounts


def installed_versions(*names):
    """Return the versions of the packages that are installed: `{name: version}`."""
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def find_folder(name):
    """Return the folder of a competition from a path, a name in `raw_folder()` or the checkout's, or a Kaggle slug.

    Raises:
        FileNotFoundError: naming every place that was looked in.
    """
    candidates = [Path(name).expanduser(), raw_folder() / name]
    if checkout() and not _in_checkout():
        candidates.append(checkout() / "data" / "raw" / name)
    candidates += [mount for mount in input_mounts() if mount.name == str(name)]
    for folder in candidates:
        if folder.is_dir():
            return folder.resolve()
    looked = "\n".join(f"  {folder}" for folder in [*candidates, KAGGLE_ROOT / "input" / "..." / str(name)])
    raise FileNotFoundError(
        f"no competition {str(name)!r}: expected the built-in name 'digits' or a folder with train.csv and images; "
        f"looked for\n{looked}\nUnpack the competition's files there, or give the path of their folder."
    )
