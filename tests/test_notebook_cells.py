"""Every code cell of the notebooks runs for every task and every kind of recipe."""

import ast
import os
import shutil
from pathlib import Path

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import write_photo

import kagglekit as kk
from kagglekit.models.backbones import build_backbone

mpl.use("Agg")
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
TASKS = ("single_label", "multi_label", "ordinal", "regression", "distribution")
PARAMETERS = {"N_SPLITS": 2, "MAX_TRIALS": 2, "TUNING_FOLDS": 1, "METADATA": 2}
ROWS = 24
pytestmark = pytest.mark.filterwarnings("ignore")


def labels_of(task):
    """The label columns of a small competition: a dict of lists of text."""
    number = np.arange(ROWS) % 3
    if task == "multi_label":
        return {"red": (number > 0).astype(int), "blue": (number < 2).astype(int)}
    if task == "distribution":
        return {f"score{n}": np.where(number == n, 0.5, 0.25) for n in range(3)}
    if task == "regression":
        return {"price": number + 0.5}
    if task == "ordinal":
        return {"diagnosis": number}
    return {"label": np.array(list("abc"))[number]}


def write_competition(folder, task):
    """Write 24 training and 4 test images, as an organiser of the task would; those of the grades as APTOS does."""
    names = ("train_images", "test_images", "id_code") if task == "ordinal" else ("train", "test", "id")
    ids = {names[0]: [f"{row:03d}" for row in range(ROWS)], names[1]: [f"t{row}" for row in range(4)]}
    suffix = ".png" if task == "ordinal" else ".jpg"
    for part, rows in ids.items():
        for number, name in enumerate(rows):
            write_photo(folder / part / f"{name}{suffix}", seed=100 * len(part) + number, size=(20, 16))
    train = pd.DataFrame({names[2]: ids[names[0]]} | labels_of(task))
    if task == "single_label":
        train["site"] = np.array(["north", "south"])[np.arange(ROWS) % 2]
    train.to_csv(folder / "train.csv", index=False)
    sample = {names[2]: ids[names[1]]} | {name: values[:4] for name, values in labels_of(task).items()}
    pd.DataFrame(sample).to_csv(folder / "sample_submission.csv", index=False)
    if task == "ordinal":
        pd.DataFrame({names[2]: ids[names[1]]}).to_csv(folder / "test.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights, so that a small backbone counts as pretrained."""
    path = tmp_path_factory.mktemp("weights") / "own.weights.h5"
    build_backbone("small_cnn", 16, weights=None).save_weights(path)
    return str(path)


@pytest.fixture(scope="module", params=TASKS)
def competition(request, tmp_path_factory):
    """A small competition of each task, after notebook 1."""
    folder = tmp_path_factory.mktemp(request.param)
    name = "aptos2019-blindness-detection" if request.param == "ordinal" else request.param
    before = os.environ["KAGGLEKIT_WORKSPACE"]
    os.environ["KAGGLEKIT_WORKSPACE"] = str(folder / "work")
    comp = write_competition(folder / name, request.param)
    assert kk.load_competition(comp).task == request.param
    run_cells(NOTEBOOKS[0], comp)
    yield comp
    os.environ["KAGGLEKIT_WORKSPACE"] = before


def run_cells(path, folder, recipe=None):
    """Run the code cells of a notebook; what a cell ends with is shown as Jupyter does. Returns the names it made."""
    names = {"__name__": "__main__"}
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type != "code":
            continue
        body = ast.parse(cell.source).body
        shown = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        where = f"{path.name}, cell {number}"
        exec(compile(ast.Module(body, []), where, "exec"), names)
        if "suggest_recipe" in cell.source and recipe is not None:
            names["recipe"] = recipe
        if shown is not None:
            value = eval(compile(ast.Expression(shown.value), where, "eval"), names)
            assert str(getattr(value, "_repr_html_", value.__repr__)()) if value is not None else True
        if "parameters" in cell.metadata.get("tags", []):
            names |= {name: value for name, value in PARAMETERS.items() if name in names} | {"COMPETITION": str(folder)}
        mpl.pyplot.close("all")
    return names


@pytest.mark.parametrize("kind", ["frozen", "scratch", "fine-tuned"])
def test_every_cell_runs_for_every_task_and_kind_of_recipe(competition, kind, weights, tmp_path, monkeypatch):
    frozen, epochs = {"frozen": (2, 0), "scratch": (0, 1), "fine-tuned": (1, 1)}[kind]
    recipe = kk.Recipe(
        backbone="small_cnn", weights=None if kind == "scratch" else weights, image_size=16, record_size=16,
        batch_size=8, frozen_epochs=frozen, epochs=epochs,
    )  # fmt: skip
    shutil.copytree(os.environ["KAGGLEKIT_WORKSPACE"], tmp_path / "work")  # what notebook 1 wrote
    monkeypatch.setenv("KAGGLEKIT_WORKSPACE", str(tmp_path / "work"))
    for path in NOTEBOOKS[1:]:
        names = run_cells(path, competition, recipe)
    assert names["result"]["largest_difference"] < 0.01 * max(1, abs(names["run"].oof_arrays()["probabilities"]).max())
