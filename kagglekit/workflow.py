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
    """Execute the notebooks on a competition and say what came of it.

    Args:
        competition: as in `kk.load_competition`.
        effort: `"fast"`, `"standard"` or `"full"` for the baseline. Defaults to what the notebook says.
        only: numbers of the notebooks to execute, such as `[1, 2]`; they run in their order. Defaults to all.
        setup_seconds: seconds that setting up took before, for the last lines.

    Returns:
        Path of the submission, or None where no notebook wrote one.

    Raises:
        ValueError: if there is no notebook of a number in `only`, or `effort` is given without the notebook that it
            is for; nothing is executed then.
        NotebookFailed: if a cell raises. The executed notebook is kept, with the error in it.
    """
    import papermill

    from kagglekit import load_competition

    chosen = _chosen(only)
    if effort and not any(path.stem == _BASELINE for path in chosen):
        raise ValueError(
            f"effort {effort!r} is for {_BASELINE}, which is not chosen; add its number, or leave effort out"
        )
    began, began_at = time.monotonic(), time.time()
    comp = load_competition(competition)
    given = str(competition) if str(competition) == "digits" else str(comp.root)
    executed = comp.folders.notebooks
    executed.mkdir(parents=True, exist_ok=True)
    _say(f"{comp!r}\nworkspace {comp.workspace}")
    for source in chosen:
        _say(f"\n== {source.stem} ({chosen.index(source) + 1} of {len(chosen)})")
        started = time.monotonic()
        parameters = {"COMPETITION": given} | ({"EFFORT": effort} if effort and source.stem == _BASELINE else {})
        try:
            papermill.execute_notebook(
                source,
                executed / source.name,
                parameters,
                kernel_name="python3",
                progress_bar=False,
                stdout_file=sys.stdout,
                cwd=str(executed),
                extra_arguments=["--log-level=ERROR"],  # of the kernel, which else warns of its loopback socket
            )
        except papermill.PapermillExecutionError as error:
            raise NotebookFailed(
                f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue}\n"
                f"The executed notebook with the whole trace: {executed / source.name}"
            ) from None
        _say(f"== {source.stem} done in {time.monotonic() - started:.0f} s")
    submission = _newest_submission(comp, began_at)
    _say("")
    if submission:
        about = read_json(submission.with_suffix(".json"))
        _say(f"submission: {submission}")
        _say(f"CV {about['metric']}: " + ("unknown" if about["cv_score"] is None else f"{about['cv_score']:.4f}"))
    if setup_seconds is not None:
        _say(f"set-up: {setup_seconds:.0f} s")
    _say(f"work: {time.monotonic() - began:.0f} s")
    _say(f"executed notebooks: {executed}")
    return submission


def _chosen(only):
    """The notebooks of these numbers, in their order."""
    notebooks = {int(path.name[:2]): path for path in sorted(notebooks_folder().glob("[0-9][0-9]_*.ipynb"))}
    unknown = sorted(set(only or ()) - set(notebooks))
    if unknown or (only is not None and not only):
        named = ", ".join(f"{number} ({path.stem})" for number, path in notebooks.items())
        raise ValueError(f"no notebook {', '.join(map(str, unknown)) or 'is chosen'}; there are {named}")
    return [path for number, path in notebooks.items() if only is None or number in only]


def _newest_submission(comp, since):
    """The last CSV that was written since then and has its json; notebook 04 writes one each time."""
    folder = _paths.submissions_folder(comp.name)
    found = [path for path in folder.glob("*.csv") if path.with_suffix(".json").is_file()]
    found = [path for path in found if path.stat().st_mtime >= since - 1]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _say(text):
    print(text, flush=True)
