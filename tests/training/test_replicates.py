"""Several seeds of one recipe: each a run, and their average."""

import dataclasses

import keras
import numpy as np
import pytest

import kagglekit as kk
from kagglekit import metrics


@pytest.fixture(scope="module")
def few(digits):
    return dataclasses.replace(digits, name="few", train=digits.train.iloc[:300])


@pytest.fixture(scope="module")
def few_folds(few):
    return kk.assign_folds(few, n_splits=2)


def my_network(num_classes, recipe):
    inputs = keras.Input((recipe.image_size, recipe.image_size, recipe.channels))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(num_classes, activation="softmax")(x))


def averaged(few, few_folds, recipe, seeds):
    return kk.cross_validate_seeds(few, few_folds, recipe, seeds=seeds, tta=["identity"], build_model=my_network)


def test_seeds_are_averaged_by_id_and_their_spread_is_told(few, few_folds, quick_recipe, capsys):
    recipe = quick_recipe.replace(seed=3)
    average = averaged(few, few_folds, recipe, 2)
    runs = [kk.cross_validate(few, few_folds, recipe.replace(seed=s), build_model=my_network) for s in (3, 4)]
    members = [kk.predict(run, tta=["identity"]) for run in runs]
    tables = [run.oof.set_index("image_id").loc[average.oof_ids, few.class_names] for run in runs]
    assert np.allclose(average.oof, np.mean(tables, axis=0))
    assert np.allclose(average.test, (members[0].test + members[1].test) / 2)
    assert average.test_ids.tolist() == few.test["id"].tolist()
    scores = [run.score for run in runs]
    assert scores[0] != scores[1]
    assert average.info["seeds"] == [3, 4]
    assert average.info["scores"] == pytest.approx(scores)
    assert average.info["mean"] == pytest.approx(np.mean(scores))
    assert average.info["spread"] == pytest.approx(abs(scores[0] - scores[1]) / np.sqrt(2))
    labels = few.train.set_index("image_id")["label"][average.oof_ids].to_numpy()
    found = np.array(few.class_names)[average.oof.argmax(axis=1)]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        f"accuracy of seeds 3, 4: {scores[0]:.4f}, {scores[1]:.4f}; mean {np.mean(scores):.4f}, "
        f"spread (standard deviation) {np.std(scores, ddof=1):.4f}; of their average {(labels == found).mean():.4f}"
    )


def test_seeds_that_are_complete_are_not_trained_again(few, few_folds, quick_recipe):
    first = averaged(few, few_folds, quick_recipe, [4])
    before = {path: path.stat().st_mtime_ns for path in few.workspace.glob("runs/*/fold*/*")}
    again = averaged(few, few_folds, quick_recipe, [4])
    assert {path: path.stat().st_mtime_ns for path in few.workspace.glob("runs/*/fold*/*")} == before
    assert np.array_equal(first.test, again.test)
    assert again.info["spread"] == 0


def test_the_average_can_be_stored_and_submitted(few, few_folds, quick_recipe, tmp_path):
    average = averaged(few, few_folds, quick_recipe, [4])
    average.save(tmp_path / "average.npz")
    loaded = kk.Predictions.load(tmp_path / "average.npz")
    assert loaded.info == average.info
    assert loaded.score == metrics.score("accuracy", average.oof_labels, average.oof)


@pytest.mark.parametrize("seeds", [0, -1, [], [1, 1]])
def test_seeds_that_are_none_or_twice_are_refused(few, few_folds, quick_recipe, seeds):
    with pytest.raises(ValueError, match="expected seeds to be a number of 1 or more, or a list of different seeds"):
        kk.cross_validate_seeds(few, few_folds, quick_recipe, seeds=seeds)


def test_a_seed_out_of_range_is_named_before_anything_is_trained(few, few_folds, quick_recipe):
    before = sorted(few.workspace.glob("runs/*"))
    with pytest.raises(ValueError, match="expected seed to be a whole number from 0 .* got -2"):
        kk.cross_validate_seeds(few, few_folds, quick_recipe, seeds=[90, -2])
    assert sorted(few.workspace.glob("runs/*")) == before
