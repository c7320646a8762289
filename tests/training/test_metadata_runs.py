"""Columns of the table reach the network: learnt, predicted with gaps, saved, and the same each time."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from tqdm.auto import tqdm

import kagglekit as kk
from kagglekit.deploy.export import check_export
from kagglekit.inference.traced import inference, predict_rows
from kagglekit.models.backbones import build_backbone
from kagglekit.models.keras_graph import seeds_from
from kagglekit.pipeline.metadata import encoded_metadata, fitted_encoder
from kagglekit.records.write import records_of
from kagglekit.training import progress
from kagglekit.training.fold_trainer import train_fold
from kagglekit.training.setup import Setup
from kagglekit.training.stages import plan_stages

ROWS, TEST = 120, 24
COLUMNS = {"numeric": ("age",), "categorical": ("site",)}
LOAD = """
import sys
import keras, numpy as np
network = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
with np.load(sys.argv[2]) as arrays:
    np.save(sys.argv[3], network(dict(arrays), training=False))
assert not [name for name in sys.modules if name.startswith("kagglekit")]
"""


def competition():
    """Four images again and again; `young` are those below 60 but for the scalp. Gaps, and values of test alone."""
    rng = np.random.default_rng(0)
    ages = rng.choice([20, 30, 40, 80], ROWS + TEST) + rng.uniform(-5, 5, ROWS + TEST).astype(np.float32)
    sites = rng.choice(["arm", "leg", "scalp"], ROWS + TEST).astype(object)
    labels = np.where((ages < 60) & (sites != "scalp"), "young", "old")
    pixels = rng.integers(0, 256, (4, 16, 16, 1), np.uint8)[np.arange(ROWS + TEST) % 4]
    table = pd.DataFrame({"age": ages.astype(object), "site": sites})
    table.loc[[0, ROWS], ["age", "site"]] = None
    table.loc[1, "site"] = "toe"
    table.loc[[ROWS + 1, ROWS + 2], "site"] = ["nose", "ear"]
    comp = kk.from_arrays(pixels[:ROWS], labels[:ROWS].tolist(), pixels[ROWS:], name="columns")
    for part, rows in ((comp.train, table[:ROWS]), (comp.test, table[ROWS:])):
        part[["age", "site"]] = rows.to_numpy()
    return comp, labels[ROWS:]


@pytest.fixture(scope="module")
def made():
    return competition()


@pytest.fixture(scope="module")
def comp(made):
    return made[0]


@pytest.fixture(scope="module")
def folds(comp):
    return kk.assign_folds(comp, n_splits=2)


@pytest.fixture(scope="module")
def recipe():
    return kk.Recipe(
        backbone="small_cnn", weights=None, image_size=12, channels=1, record_size=16, batch_size=16, policy="none",
        frozen_epochs=0, epochs=20, learning_rate=1e-2, dropout=0.0, label_smoothing=0.0, **COLUMNS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def frozen(recipe, tmp_path_factory):
    """A recipe whose backbone has weights of a file and is never trained."""
    path = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    with seeds_from(0):
        build_backbone("small_cnn", 12, channels=1, weights=None).save_weights(path)
    return recipe.replace(weights=path, frozen_epochs=30, epochs=0, frozen_learning_rate=1e-2)


@pytest.fixture(scope="module")
def run(comp, folds, recipe):
    return kk.cross_validate(comp, folds, recipe)


@pytest.fixture(scope="module")
def frozen_run(comp, folds, frozen):
    return kk.cross_validate(comp, folds, frozen)


def test_a_run_learns_from_columns_what_the_pixels_do_not_say(made, folds, recipe, run):
    comp, truth = made
    blind = kk.cross_validate(comp, folds, recipe.replace(numeric=(), categorical=()))
    assert blind.score < 0.7  # about half of the rows are of each class
    assert run.score > 0.95
    test = kk.predict(run, tta=["identity", "hflip"]).test
    names = np.array(run.info["class_names"])[test.argmax(axis=1)]
    assert (names[3:] == truth[3:]).mean() > 0.95  # the first three have gaps, and values that training never saw
    assert np.isfinite(test).all()


def test_heads_on_cached_features_take_the_columns_too(comp, frozen, frozen_run):
    assert frozen_run.score > 0.95
    predictions = kk.predict(frozen_run, tta=["identity", "hflip"])
    records = frozen_run.records()
    networks = [inference(frozen_run.model(fold)) for fold in (0, 1)]
    expected = [
        predict_rows(network, kk.eval_dataset(records, frozen, "test", view=view))[0]
        for network in networks
        for view in ("identity", "hflip")
    ]
    np.testing.assert_allclose(predictions.test, np.mean(expected, axis=0), atol=5e-3)


def test_fine_tuning_from_kept_activations_takes_the_columns_too(comp, folds, frozen):
    knobs = {"frozen_epochs": 10, "epochs": 16, "unfrozen_layers": 0.5, "cached_views": 1, "dropout": 0.1}
    assert kk.cross_validate(comp, folds, frozen.replace(**knobs)).score > 0.95


@pytest.mark.parametrize("named", [COLUMNS, {"numeric": ("age",)}, {"categorical": ("site", "age")}])
def test_each_row_of_a_batch_has_its_own_cells(comp, folds, recipe, named):
    recipe = recipe.replace(numeric=(), categorical=()).replace(**named)
    records = records_of(comp, folds, recipe)
    plain = records_of(comp, folds, kk.Recipe(record_size=16))
    expected = encoded_metadata(records, recipe, [0, 1])
    assert set(expected) == {{"numeric": "numbers", "categorical": "categories"}[kind] for kind in named}
    lines = [inputs for inputs, _, _ in kk.eval_dataset(records, recipe, [0, 1])]
    for name, values in expected.items():
        np.testing.assert_array_equal(np.concatenate([line[name] for line in lines]), values)
    pixels = np.concatenate([line["pixels"] for line in lines])
    blind = kk.eval_dataset(plain, recipe.replace(numeric=(), categorical=()), [0, 1])
    np.testing.assert_array_equal(pixels, np.concatenate([images for images, _, _ in blind]))
    labels = np.eye(2)[records.index([0, 1])["label"]]
    whole = np.concatenate([part.reshape(ROWS, -1) for part in (pixels, *expected.values(), labels)], axis=1)
    seen = []
    for inputs, targets in kk.train_dataset(records, recipe, [0, 1], epochs=1):
        parts = [inputs["pixels"], *(inputs[name] for name in expected), targets]
        seen += np.concatenate([part.numpy().reshape(len(targets), -1) for part in parts], axis=1).tolist()
    assert sorted(map(str, seen)) == sorted(map(str, whole.astype(np.float64).tolist()))


def test_categories_that_training_never_saw_say_nothing(run, folds, comp):
    records = run.records()
    vocabulary = fitted_encoder(records, run.recipe).vocabularies_[0]
    assert vocabulary == ["arm", "leg", "scalp", "toe"]
    held_out = folds[comp.train["image_id"][1]]  # of the only toe
    values = run.model(held_out).get_layer("category0_embedding").get_weights()[0]
    assert [bool(row.any()) for row in values[1:]] == [False, True, True, True, False]  # unknown, then the vocabulary
    assert run.model(1 - held_out).get_layer("category0_embedding").get_weights()[0][5].any()
    found = encoded_metadata(records, run.recipe, "test")
    assert np.isnan(found["numbers"][:, 0]).tolist() == [True] + [False] * (TEST - 1)
    assert found["categories"][:3, 0].tolist() == [0, 1, 1]


def test_a_second_run_gives_the_same_bits(comp, frozen, frozen_run, folds, workspace):
    again = kk.cross_validate(competition()[0], folds, frozen)
    assert again.folder != frozen_run.folder
    assert again.name == frozen_run.name
    for name, values in frozen_run.oof_arrays().items():
        np.testing.assert_array_equal(again.oof_arrays()[name], values)


@pytest.mark.slow
def test_an_interrupted_fold_ends_with_the_same_bits(run, tmp_path, monkeypatch):
    class Broken(tqdm):
        def update(self, n=1):
            super().update(n)
            if self.n > 17:
                raise KeyboardInterrupt

    def train():
        setup = Setup.of_run(run.records(), run.recipe, "accuracy", tmp_path)
        train_fold(setup, plan_stages(setup), 0, tmp_path, tmp_path / "state.npz")

    with monkeypatch.context() as patched:
        patched.setattr(progress, "tqdm", Broken)
        with pytest.raises(KeyboardInterrupt), progress.progress_bar(100):
            train()
    assert (tmp_path / "state.npz").is_file()
    train()
    with np.load(tmp_path / "oof.npz") as found, np.load(run.fold_folder(0) / "oof.npz") as expected:
        np.testing.assert_array_equal(found["probabilities"], expected["probabilities"])


def test_a_saved_network_predicts_without_this_library(run, tmp_path):
    records = run.records()
    inputs, _, _ = next(iter(kk.eval_dataset(records, run.recipe, "test")))
    np.savez(tmp_path / "inputs.npz", **{name: values.numpy() for name, values in inputs.items()})
    paths = [run.fold_folder(0) / "model.keras", tmp_path / "inputs.npz", tmp_path / "found.npy"]
    subprocess.run([sys.executable, "-c", LOAD, *map(str, paths)], check=True, cwd=tmp_path)
    expected = inference(run.model(0))(inputs).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-6)


def test_changed_cells_make_another_run(comp, folds, recipe, run):
    other = competition()[0]
    other.train.loc[5, "age"] += 1
    assert records_of(other, folds, recipe).hash != run.records().hash
    blind = recipe.replace(numeric=(), categorical=())
    assert records_of(other, folds, blind).hash == records_of(comp, folds, blind).hash


@pytest.mark.slow
def test_checks_before_a_run_take_columns(comp, folds, recipe):
    table = kk.lr_find(comp, folds, recipe, steps=10)
    assert np.isfinite(table["loss"]).all()
    table = kk.sanity_checks(comp, folds, recipe).set_index("check")
    assert table.loc["accuracy on 32 memorised images", "verdict"] == "good"


def test_what_takes_pixels_alone_says_so(comp, folds, recipe, run):
    with pytest.raises(ValueError, match=r"\['age', 'site'\] cannot be mixed as images are; use mix='none'"):
        recipe.replace(mix="mixup")
    for call in (
        lambda: kk.cross_validate(comp, folds, recipe, build_model=lambda classes, recipe: None),
        lambda: kk.export(run),
        lambda: check_export(run, "model.tflite", fold=0),
        lambda: kk.label_safety(run, policy="light"),
    ):
        with pytest.raises(
            ValueError, match=r"networks that take pixels only, .* columns \['age', 'site'\]; use a recipe without"
        ):
            call()


def test_columns_that_are_not_there_are_named(comp, folds, recipe):
    with pytest.raises(ValueError, match="the train table has no column 'agee'; it has"):
        kk.cross_validate(comp, folds, recipe.replace(numeric=["agee"]))
    with pytest.raises(ValueError, match="'label' cannot be metadata, records use these names themselves"):
        kk.cross_validate(comp, folds, recipe.replace(categorical=["label"]))
    records = records_of(comp, folds, kk.Recipe(record_size=16))
    with pytest.raises(ValueError, match=r"hold no column 'age', 'site', they hold \[\]; call kk.write_records with"):
        kk.eval_dataset(records, recipe, 0)
