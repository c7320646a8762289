"""A refit is the training that no row is held out of; only the test rows' predictions change."""

import dataclasses
import shutil

import keras
import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.pipeline.datasets import eval_dataset


@pytest.fixture(scope="module")
def refitted(quick_run, tmp_path_factory):
    """The quick run with a refit, in a folder of its own."""
    folder = tmp_path_factory.mktemp("refit") / "runs" / quick_run.name
    shutil.copytree(quick_run.folder, folder)
    shutil.rmtree(folder / "predictions", ignore_errors=True)
    return kk.refit(kk.Run(folder))


def my_network(num_classes, recipe):
    """Small, and with all that has a state of its own: dropout, statistics, a part that is frozen first."""
    inputs = keras.Input((recipe.image_size, recipe.image_size, recipe.channels))
    x = keras.layers.Dense(32)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs)))
    backbone = keras.Model(inputs, keras.layers.ReLU()(keras.layers.BatchNormalization()(x)), name="backbone")
    x = keras.layers.Dropout(0.2)(backbone(inputs))
    return keras.Model(inputs, keras.layers.Dense(num_classes, activation="softmax")(x))


def my_other_network(num_classes, recipe):
    return my_network(num_classes, recipe)


def small_classifier(num_classes, recipe):
    """It has a layer `features`, so that its frozen stage trains the head on features that are kept in files."""
    size, channels = recipe.image_size, recipe.channels
    return kk.build_classifier(
        num_classes, backbone="small_cnn", weights=None, image_size=size, channels=channels, dropout=0.0
    )


def images_of(run, parts):
    records = run.records()
    batches = [(images.numpy(), labels.numpy()) for images, labels, _ in eval_dataset(records, run.recipe, parts)]
    return tuple(np.concatenate(part) for part in zip(*batches, strict=True))


def same_weights(one, other, **tolerance):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.allclose(a, b, **tolerance) if tolerance else np.array_equal(a, b) for a, b in pairs)


def with_and_without_a_fold_more(digits, recipe, build_model):
    """Refit a run on 200 rows, and train the fold that holds only other rows on the same; return both networks."""
    fewer, larger = (dataclasses.replace(digits, train=digits.train.iloc[:rows]) for rows in (200, 230))
    folds = [row % 2 for row in range(200)]
    run = kk.cross_validate(fewer, folds, recipe, build_model=build_model, fold_numbers=[0])
    other = kk.cross_validate(larger, folds + [2] * 30, recipe, build_model=build_model, fold_numbers=[2])
    return kk.refit(run, build_model=build_model).model("refit"), other.model(2)


def test_a_refit_is_the_network_of_a_fold_that_holds_only_other_rows(digits, quick_recipe, workspace):
    recipe = quick_recipe.replace(epochs=2, ema=0.9, sampling="balanced", mix="mixup")
    assert same_weights(*with_and_without_a_fold_more(digits, recipe, my_network))


# Heads trained as one; and one by one, with fine-tuning on cached activations after it
@pytest.mark.parametrize("knobs", [{"epochs": 0}, {"clip": 1.0, "epochs": 1, "cached_views": 1}])
def test_so_is_a_refit_of_what_is_trained_on_a_frozen_part(digits, quick_recipe, workspace, knobs):
    recipe = quick_recipe.replace(weights="imagenet", frozen_epochs=2, **knobs)
    refit, fold = with_and_without_a_fold_more(digits, recipe, small_classifier)
    assert same_weights(refit, fold, atol=1e-5)
    assert not np.allclose(refit.get_weights()[-1], 0), "the head was not trained"


def test_a_refit_learns_all_rows_and_keeps_its_network_and_history(refitted, quick_run):
    images, labels = images_of(refitted, [0, 1, 2])
    assert len(labels) == 1437
    assert (refitted.model("refit")([images]).numpy().argmax(axis=1) == labels).mean() > quick_run.score
    files = {path.name for path in refitted.fold_folder("refit").iterdir()}
    assert files == {"model.keras", "history.csv", "events.out.tfevents"}
    history = pd.read_csv(refitted.fold_folder("refit") / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history.filter(like="held_out").isna().all(axis=None)


def test_a_refit_leaves_the_folds_and_the_score_alone(refitted, quick_run):
    assert refitted.finished_folds == [0, 1, 2]
    assert refitted.score == quick_run.score
    assert len(refitted.history) == len(quick_run.history)


def test_a_refit_is_exported_and_compared_as_a_fold_is(refitted):
    path = kk.export(refitted, format="keras", fold="refit")
    assert path.name == f"{refitted.name}-refit.keras"
    assert kk.check_export(refitted, path, fold="refit")["same_class"] == 1


def test_a_complete_refit_is_not_trained_again(refitted):
    paths = sorted(refitted.fold_folder("refit").iterdir())
    before = [path.stat().st_mtime_ns for path in paths]
    kk.refit(refitted)
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_a_refit_ends_after_the_mean_of_the_folds_best_epochs(digits, quick_recipe, workspace):
    fewer = dataclasses.replace(digits, train=digits.train.iloc[:150])
    recipe = quick_recipe.replace(
        weights="imagenet", frozen_epochs=6, epochs=12, patience=2, learning_rate=0.02, frozen_learning_rate=0.1,
        schedule="constant",
    )  # fmt: skip
    run = kk.cross_validate(fewer, [row % 3 for row in range(150)], recipe, build_model=my_network)
    kk.refit(run, build_model=my_network)
    history = pd.read_csv(run.fold_folder("refit") / "history.csv")
    for stage, found in run.history.groupby("stage"):
        best = []
        for _, lines in found.groupby("fold"):
            best.append(lines["epoch"].iloc[int(np.argmax(lines["held_out_accuracy"].to_numpy()))])
        assert history.loc[history["stage"] == stage, "epoch"].max() == round(np.mean(best))
    assert set(history["stage"]) == {"frozen", "fine-tuning"}
    assert len(history) < 18


def test_the_chosen_networks_predict_the_test_rows_and_the_folds_all_others(refitted, quick_run):
    images, _ = images_of(refitted, "test")
    by_hand = {member: refitted.model(member)([images]) for member in (0, 1, 2, "refit")}
    stored = refitted.folder / "predictions"
    for networks, members, name in (
        ("folds", [0, 1, 2], "identity-12.npz"),
        ("refit", ["refit"], "identity-12-refit.npz"),
        ("both", [0, 1, 2, "refit"], "identity-12-both.npz"),
    ):
        predictions = kk.predict(refitted, tta=["identity"], networks=networks)
        assert np.allclose(predictions.test, np.mean([by_hand[member] for member in members], axis=0), atol=1e-5)
        assert predictions.score == quick_run.score
        assert predictions.info["networks"] == networks
        assert np.array_equal(kk.Predictions.load(stored / name).test, predictions.test)
    assert len(list(stored.iterdir())) == 3


def test_predictions_of_a_refit_that_is_not_there_are_refused(quick_run):
    with pytest.raises(FileNotFoundError, match=r"has no model of the refit; call kk.refit\(run\)"):
        kk.predict(quick_run, tta=["identity"], networks="refit")
    with pytest.raises(ValueError, match="expected networks to be one of .* got 'refitted'. Did you mean 'refit'"):
        kk.predict(quick_run, networks="refitted")


def test_a_network_of_ones_own_is_refitted_by_its_function_and_no_other(digits, quick_recipe, quick_run, workspace):
    fewer = dataclasses.replace(digits, train=digits.train.iloc[:100])
    recipe = quick_recipe.replace(epochs=1)
    run = kk.cross_validate(fewer, [row % 2 for row in range(100)], recipe, build_model=my_network, fold_numbers=[0])
    with pytest.raises(ValueError, match=r"has a network of your own, .*; call kk.refit\(run, build_model=...\)"):
        kk.refit(run)
    with pytest.raises(
        ValueError, match="was trained with another function, .*, not with build_model=my_other_network"
    ):
        kk.refit(run, build_model=my_other_network)
    with pytest.raises(ValueError, match="was trained with the backbone 'small_cnn', .*; leave build_model out"):
        kk.refit(quick_run, build_model=my_network)
    network = kk.refit(run, build_model=my_network).model("refit")
    assert network.count_params() == 144 * 32 + 32 + 4 * 32 + 32 * 10 + 10


def test_an_unfinished_run_is_not_refitted(digits, quick_folds, quick_recipe):
    from kagglekit.runs.creation import open_run

    records = kk.write_records(digits, quick_folds, record_size=16)
    run = open_run(digits, quick_folds, quick_recipe.replace(seed=78), records)
    with pytest.raises(ValueError, match="is not complete; call kk.cross_validate"):
        kk.refit(run)
