"""Execute the notebooks in order, as `make run` and `python -m kagglekit run` do."""

import sys
import time
from pathlib import Path

from kagglekit import _paths
from kagglekit._files import read_json

_BASELINE = "02_baseline"


class NotebookFailed(RuntimeError):
    """A cell of a notebook raised; the message names notebook, cell and error."""


def notebooks_folder():
    """Return the folder of the notebooks: the checkout's, or the copy inside an installed package."""
    packaged = Path(__file__).parent / "notebooks"
    return _paths.checkout() / "notebooks" if _paths.checkout() else packaged


def run_notebooks(competition, *, effort=None, only=None, setup_seconds=None):
    """Execute the notebooks on a competition and print where the results are.

    Args:
        competition: as in `kk.load_competition`.
        effort: `"fast"`, `"standard"` or `"full"` for the baseline. Defaults to the notebook's own value.
        only: numbers of the notebooks to execute, such as `[1, 2]`; they run in ascending order. Defaults to all.
        setup_seconds: seconds that setting up took beforehand, printed at the end.

    Returns:
        Path of the submission, or None if no notebook wrote one.

    Raises:
        ValueError: if a number in `only` has no notebook, or `effort` is given without the baseline notebook; nothing
            is executed then.
        NotebookFailed: if a cell raises. The executed notebook is kept, with the error in it.
    """
    import papermill

    from kagglekit import load_competition

    notebooks = _select_notebooks(only)
    if effort and not any(path.stem == _BASELINE for path in notebooks):
        raise ValueError(
            f"effort {effort!r} applies to {_BASELINE}, which is not selected; "
            "add its number to only, or leave effort out"
        )
    run_started, run_started_at = time.monotonic(), time.time()
    comp = load_competition(competition)
    location = str(competition) if str(competition) == "digits" else str(comp.root)
    executed_folder = comp.folders.notebooks
    executed_folder.mkdir(parents=True, exist_ok=True)
    _print(f"{comp!r}\nworkspace {comp.workspace}")
    for source in notebooks:
        _print(f"\n== {source.stem} ({notebooks.index(source) + 1} of {len(notebooks)})")
        notebook_started = time.monotonic()
        parameters = {"COMPETITION": location} | ({"EFFORT": effort} if effort and source.stem == _BASELINE else {})
        try:
            papermill.execute_notebook(
                source,
                executed_folder / source.name,
                parameters,
                kernel_name="python3",
                progress_bar=False,
                stdout_file=sys.stdout,
                cwd=str(executed_folder),
                extra_arguments=["--log-level=ERROR"],  # the kernel would warn about its loopback socket
            )
        except papermill.PapermillExecutionError as error:
            raise NotebookFailed(
                f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue}\n"
                f"The executed notebook with the full traceback: {executed_folder / source.name}"
            ) from None
        _print(f"== {source.stem} done in {time.monotonic() - notebook_started:.0f} s")
    submission = _newest_submission(comp, run_started_at)
    _print("")
    if submission:
        summary = read_json(submission.with_suffix(".json"))
        _print(f"submission: {submission}")
        _print(
            f"CV {summary['metric']}: " + ("unknown" if summary["cv_score"] is None else f"{summary['cv_score']:.4f}")
        )
    if setup_seconds is not None:
        _print(f"set-up: {setup_seconds:.0f} s")
    _print(f"work: {time.monotonic() - run_started:.0f} s")
    _print(f"executed notebooks: {executed_folder}")
    return submission


def _select_notebooks(only):
    """The notebooks with these numbers, in ascending order."""
    notebooks = {int(path.name[:2]): path for path in sorted(notebooks_folder().glob("[0-9][0-9]_*.ipynb"))}
    unknown = sorted(set(only or ()) - set(notebooks))
    if unknown or (only is not None and not only):
        available = ", ".join(f"{number} ({path.stem})" for number, path in notebooks.items())
        raise ValueError(f"no notebook {', '.join(map(str, unknown)) or 'is selected'}; available: {available}")
    return [path for number, path in notebooks.items() if only is None or number in only]


def _newest_submission(comp, since):
    """The newest CSV that was written since then and has its json, or None; notebook 04 writes one each time."""
    folder = _paths.submissions_folder(comp.name)
    paths = [path for path in folder.glob("*.csv") if path.with_suffix(".json").is_file()]
    paths = [path for path in paths if path.stat().st_mtime >= since - 1]
    return max(paths, key=lambda path: path.stat().st_mtime, default=None)


def _print(text):
    print(text, flush=True)
