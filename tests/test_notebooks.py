"""The notebooks: their form, and the whole way from raw files to a submission."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.__main__ import main
from kagglekit.workflow import run_notebooks

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.filterwarnings("ignore")


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_five_notebooks_in_order():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestForm:
    def test_it_is_committed_without_outputs(self, path):
        assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(path))

    def test_cells_and_notebook_are_short(self, path):
        lengths = [len(cell.source.splitlines()) for cell in code_cells(path)]
        assert max(lengths) <= 15
        assert sum(lengths) <= 100

    def test_it_defines_no_class_and_no_helper(self, path):
        source = "\n".join(cell.source for cell in code_cells(path))
        kinds = {type(node) for node in ast.walk(ast.parse(source))}
        assert not kinds & {ast.ClassDef, ast.FunctionDef}

    def test_it_has_one_cell_of_flat_parameters(self, path):
        cells = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
        assert len(cells) == 1
        assert all(isinstance(node, ast.Assign) for node in ast.parse(cells[0].source).body)
        assert cells[0].source.startswith('COMPETITION = "digits"')


def run_command(*arguments, environment):
    command = [sys.executable, "-m", "kagglekit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800)


@pytest.fixture
def own_environment(workspace):
    import os

    return dict(os.environ)


def test_an_unknown_competition_ends_with_a_clear_error_and_no_trace(own_environment):
    done = run_command("run", "--competition", "no-such-thing", environment=own_environment)
    assert done.returncode == 1
    assert "no competition 'no-such-thing'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("only", "unknown"), [(["9"], "9"), (["0"], "0"), (["1", "-1"], "-1"), (["7", "2", "6", "7"], "6, 7")]
)
def test_a_notebook_that_is_not_there_is_an_error_that_names_those_there_are(workspace, capsys, only, unknown):
    assert main(["run", "--competition", "digits", "--only", *only]) == 1
    told = capsys.readouterr()
    assert f"ValueError: no notebook {unknown}; available: 1 (01_eda), 2 (02_baseline), 3 (03_tuning)" in told.err
    assert told.out == ""
    assert not workspace.exists()


def test_choices_that_make_no_sense_are_refused(workspace, capsys):
    for arguments in (["--only", "one"], ["--only"]):
        with pytest.raises(SystemExit, match="2"):
            main(["run", *arguments])
    with pytest.raises(ValueError, match="effort 'fast' applies to 02_baseline, which is not selected"):
        run_notebooks("digits", effort="fast", only=[1, 3])
    with pytest.raises(ValueError, match="no notebook is selected; available: 1"):
        run_notebooks("digits", only=[])
    assert "--only" in capsys.readouterr().err
    assert not workspace.exists()


def test_a_failing_cell_is_named_and_the_notebook_kept(own_environment, workspace, make_competition):
    folder = make_competition()
    (folder / "test" / "y.jpg").write_bytes(b"no image")
    done = run_command("run", "--competition", str(folder), "--only", "1", environment=own_environment)
    assert done.returncode == 1
    assert "01_eda.ipynb, cell" in done.stderr
    assert "y.jpg cannot be read" in done.stderr
    assert (workspace / "competition" / "notebooks" / "01_eda.ipynb").is_file()


def test_doctor_says_what_the_machine_has(own_environment):
    done = run_command("doctor", environment=own_environment)
    assert done.returncode == 0
    for topic in ("Python", "tensorflow", "keras", "GPU", "workspace", "weights", "network"):
        assert f"] {topic} " in done.stdout


def test_a_small_competition_goes_from_raw_files_to_a_checked_submission(own_environment, workspace, make_competition):
    """Tiny grey images whose ids are like `00012`, whose classes are `NA`, `01` and `2`."""
    labels = [("NA", "01", "2")[number % 3] for number in range(30)]
    folder = make_competition(ids=[f"{n:05d}" for n in range(30)], labels=labels, test_ids=("NA", "007"), size=(12, 12))
    (folder / "train" / "00003.jpg").write_bytes(b"no image")  # taken out, by name
    done = run_command("run", "--competition", str(folder), "--effort", "fast", environment=own_environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()[-4:]
    assert [line.split(":")[0] for line in lines] == ["submission", "CV accuracy", "work", "executed notebooks"]
    path = Path(lines[0].removeprefix("submission: "))
    written = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert written["image_id"].tolist() == ["NA", "007"]
    assert set(written["label"]) <= {"NA", "01", "2"}
    assert pd.read_csv(workspace / "competition" / "quarantine.csv", dtype=str)["image_id"].tolist() == ["00003"]
    assert json.loads(path.with_suffix(".json").read_text())["rows"] == 2
    executed = sorted((workspace / "competition" / "notebooks").glob("*.ipynb"))
    assert [notebook.name for notebook in executed] == [notebook.name for notebook in NOTEBOOKS]
    figures = sum("image/png" in output.get("data", {}) for notebook in executed
                   for cell in code_cells(notebook) for output in cell.outputs)  # fmt: skip
    assert figures >= 9


@pytest.mark.slow
def test_digits_end_to_end_scores_at_least_0985_and_twice_the_same(tmp_path, own_environment, digits):
    files = []
    for place in ("one", "two"):
        environment = own_environment | {"KAGGLEKIT_WORKSPACE": str(tmp_path / place)}
        done = run_command("run", "--competition", "digits", environment=environment)
        assert done.returncode == 0, done.stderr
        files += (tmp_path / place / "submissions" / "digits").glob("*.csv")
    assert len(files) == 2
    assert files[0].read_bytes() == files[1].read_bytes()
    assert kk.score_submission(digits, files[0]) >= 0.985
