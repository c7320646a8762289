"""Runs: what they hold, that they learn, that they can be resumed again and come out the same."""

import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import kagglekit as kk

# Trains the quick recipe of conftest.py in a process of its own, in the workspace of the environment.
SCRIPT = """
import kagglekit as kk
comp = kk.load_competition("digits")
recipe = kk.Recipe(name="quick", backbone="small_cnn", weights=None, image_size=12, channels=1, record_size=16,
                   batch_size=64, policy="tiny", frozen_epochs=0, epochs=3, learning_rate=3e-3)
kk.cross_validate(comp, kk.assign_folds(comp, n_splits=3), recipe)
"""


def run_script(workspace, **options):
    environment = os.environ | {"KAGGLEKIT_WORKSPACE": str(workspace)}
    return subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, **options)


def same_predictions(one, other):
    columns = one.info["class_names"]
    return one.oof["image_id"].equals(other.oof["image_id"]) and one.oof[columns].equals(other.oof[columns])


def test_the_digits_are_learnt(quick_run):
    assert quick_run.complete
    assert quick_run.score > 0.93
    assert quick_run.score == pytest.approx((quick_run.oof["label"] == quick_run.oof["predicted"]).mean())


def test_every_training_image_is_predicted_once_in_its_own_fold(quick_run, digits, quick_folds):
    oof = quick_run.oof
    assert sorted(oof["image_id"]) == sorted(digits.train["image_id"])
    assert (quick_folds[oof["image_id"]].to_numpy() == oof["fold"].to_numpy()).all()
    labels = digits.train.set_index("image_id")["label"]
    assert (labels[oof["image_id"]].to_numpy() == oof["label"].to_numpy()).all()


def test_the_same_recipe_under_mixed_precision_is_another_run_and_trains_in_it(digits, tmp_path):
    some = kk.Competition("some", digits.root, digits.train.iloc[:80].reset_index(drop=True), digits.test[:0])
    recipe = kk.Recipe(
        name="precision", backbone="small_cnn", weights=None, image_size=8, channels=1, record_size=16, frozen_epochs=0,
        epochs=1,
    )  # fmt: skip
    folds = [row % 2 for row in range(80)]

    def trained(policy):
        keras.config.set_dtype_policy(policy)
        try:
            run = kk.cross_validate(some, folds, recipe, fold_numbers=[0], parent=tmp_path)
            assert keras.config.dtype_policy().name == policy
        finally:
            keras.config.set_dtype_policy("float32")
        layer = run.model(0).get_layer("backbone").layers[-1]
        assert run.info["precision"] == layer.dtype_policy.name == policy
        return run

    single, mixed = trained("float32"), trained("mixed_bfloat16")
    assert single.folder != mixed.folder
    assert trained("mixed_bfloat16").folder == mixed.folder
    assert not same_predictions(single, mixed)
    # Refitting goes by the run, not by what Keras is set to now
    assert kk.refit(mixed).model("refit").get_layer("backbone").layers[-1].dtype_policy.name == "mixed_bfloat16"


def test_history_has_a_line_per_fold_and_epoch(quick_run):
    history = quick_run.history
    assert history[["fold", "epoch"]].to_numpy().tolist() == [[f, e] for f in range(3) for e in (1, 2, 3)]
    assert history["held_out_accuracy"].between(0, 1).all()
    assert history["learning_rate"].iloc[2] < history["learning_rate"].iloc[0]


def test_the_run_folder_holds_what_the_design_says(quick_run):
    names = {path.name for path in quick_run.folder.iterdir()}
    assert {"recipe.yaml", "environment.json", "run.json", "fold0", "fold1", "fold2"} <= names
    assert {path.name for path in quick_run.fold_folder(0).iterdir()} == {
        "model.keras",
        "oof.npz",
        "history.csv",
        "events.out.tfevents",
    }


def test_the_same_call_trains_nothing_again(quick_run, digits, quick_folds, quick_recipe):
    before = [path.stat().st_mtime_ns for path in sorted(quick_run.folder.glob("fold*/*"))]
    again = kk.cross_validate(digits, quick_folds, quick_recipe.replace(name="quick"))
    assert again.folder == quick_run.folder
    assert [path.stat().st_mtime_ns for path in sorted(quick_run.folder.glob("fold*/*"))] == before


def test_another_recipe_folds_or_network_is_another_run(quick_run, digits, quick_folds, quick_recipe, monkeypatch):
    from kagglekit.runs.creation import open_run

    records = kk.write_records(digits, quick_folds, record_size=16)
    other = kk.write_records(digits, kk.assign_folds(digits, n_splits=3, seed=1), record_size=16)
    parent = quick_run.folder.parent / "tried"
    folders = {
        open_run(digits, quick_folds, quick_recipe, records, parent=parent).folder,
        open_run(digits, quick_folds, quick_recipe.replace(seed=1), records, parent=parent).folder,
        open_run(digits, quick_folds, quick_recipe, other, parent=parent).folder,
        open_run(digits, quick_folds, quick_recipe, records, model_hash="mine", parent=parent).folder,
    }
    assert len(folders) == 4


def test_a_second_process_gives_the_same_bits(quick_run, tmp_path, monkeypatch):
    assert run_script(tmp_path).wait() == 0
    other = kk.Run(next((tmp_path / "digits" / "runs").glob("quick-*")))
    assert same_predictions(quick_run, other)


def test_a_killed_run_keeps_its_folds_and_ends_the_same(quick_run, tmp_path):
    process = run_script(tmp_path)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("digits/runs/quick-*/.fold1.*")) and time.monotonic() < deadline:
        os.sched_yield()  # killed as soon as the second fold's folder is begun
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = kk.Run(next((tmp_path / "digits" / "runs").glob("quick-*")))
    assert run.finished_folds == [0]
    assert not run.complete
    finished = (run.fold_folder(0) / "oof.npz").stat().st_mtime_ns
    assert run_script(tmp_path).wait() == 0
    assert run.complete
    assert (run.fold_folder(0) / "oof.npz").stat().st_mtime_ns == finished
    assert same_predictions(quick_run, run)


def test_a_fold_does_not_depend_on_the_folds_before_it(quick_run, digits, quick_folds, quick_recipe, workspace):
    alone = kk.cross_validate(digits, quick_folds, quick_recipe, fold_numbers=[2])
    columns = digits.class_names
    together = quick_run.oof[quick_run.oof["fold"] == 2]
    assert alone.folder.is_relative_to(workspace), "no folds of the shared workspace to take over"
    assert np.array_equal(alone.oof[columns].to_numpy(), together[columns].to_numpy())


def my_network(num_classes, recipe):
    inputs = keras.Input((recipe.image_size, recipe.image_size, recipe.channels))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(64, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes, activation="softmax")(x))


def test_a_network_of_ones_own_is_trained_and_saved(digits, quick_folds, quick_recipe, tmp_path):
    run = kk.cross_validate(
        digits, quick_folds, quick_recipe, build_model=my_network, fold_numbers=[0], parent=tmp_path
    )
    assert run.score > 0.6
    assert run.model(0).count_params() == 144 * 64 + 64 + 64 * 10 + 10


def test_a_loss_that_explodes_stops_with_fold_epoch_and_batch(digits, quick_folds, quick_recipe, tmp_path):
    def broken(num_classes, recipe):
        network = my_network(num_classes, recipe)
        network.layers[-1].bias.assign([np.nan] * num_classes)
        return network

    with pytest.raises(FloatingPointError, match="fold 1 of 1, training: the loss became nan in epoch 1, batch 1"):
        kk.cross_validate(digits, quick_folds, quick_recipe, build_model=broken, fold_numbers=[0], parent=tmp_path)
    assert not list(tmp_path.glob("*/fold*"))
    assert not list(tmp_path.glob("*/.fold*"))


def test_the_saved_network_predicts_where_the_kit_cannot_be_imported(quick_run, digits):
    from PIL import Image

    row = quick_run.oof.iloc[0]
    source = digits.train.set_index("image_id").loc[row["image_id"], "source"]
    with Image.open(digits.root / source) as image:
        pixels = np.asarray(image.resize((12, 12), Image.Resampling.BILINEAR))
    code = f"""
import sys
sys.modules["kagglekit"] = None
import keras, numpy as np
model = keras.saving.load_model({str(quick_run.fold_folder(0) / "model.keras")!r})
print(model(np.array({pixels.tolist()}, "float32")[None, :, :, None]).numpy().argmax())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert digits.class_names[int(done.stdout)] == row["predicted"]


def test_the_frozen_stage_leaves_the_backbone_as_it_was(make_competition, workspace):
    comp = kk.load_competition(make_competition(size=(64, 64)))
    recipe = kk.Recipe(image_size=64, record_size=64, batch_size=8, frozen_epochs=2, epochs=0)
    run = kk.cross_validate(comp, kk.assign_folds(comp, n_splits=2), recipe)
    trained = run.model(0).get_layer("backbone").get_weights()
    loaded = kk.build_classifier(3, image_size=64).get_layer("backbone").get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(trained, loaded, strict=True))


def test_fine_tuning_trains_the_last_layers_alone(make_competition, workspace):
    comp = kk.load_competition(make_competition(size=(64, 64)))
    recipe = kk.Recipe(image_size=64, record_size=64, batch_size=8, frozen_epochs=1, epochs=1, unfrozen_layers=0.2)
    run = kk.cross_validate(comp, kk.assign_folds(comp, n_splits=2), recipe)
    assert run.history["stage"].tolist() == ["frozen", "fine-tuning"] * 2
    trained, loaded = run.model(0).get_layer("backbone"), kk.build_classifier(3, image_size=64).get_layer("backbone")
    same = {
        layer.name: all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), other.get_weights(), strict=True))
        for layer, other in zip(trained.layers, loaded.layers, strict=True)
    }
    assert same["stem_conv"]
    assert not same["head_conv"]
    assert all(same[name] for name in same if "bn" in name), "frozen statistics moved"


def test_training_begins_with_small_images_and_ends_with_the_recipes(digits, quick_folds, quick_recipe, tmp_path):
    recipe = quick_recipe.replace(first_sizes=(8, 10), epochs=6)
    run = kk.cross_validate(digits, quick_folds, recipe, fold_numbers=[0], parent=tmp_path)
    assert run.history["stage"].tolist() == ["training at 8"] * 2 + ["training at 10"] * 2 + ["training"] * 2
    assert run.history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert run.model(0).input_shape == (None, 12, 12, 1)
    assert run.score > 0.8
    large = run.history["held_out_loss"]
    assert large.iloc[2] < large.iloc[0], "what small images taught was lost"


def test_a_fold_that_becomes_no_better_ends_early_with_its_best_epoch(digits, quick_folds, quick_recipe, tmp_path):
    recipe = quick_recipe.replace(epochs=30, patience=2, learning_rate=0.02, schedule="constant")
    run = kk.cross_validate(digits, quick_folds, recipe, fold_numbers=[1], parent=tmp_path)
    scores = run.history["held_out_accuracy"]
    assert len(scores) < 30
    assert scores.idxmax() == len(scores) - 3
    assert run.score == pytest.approx(scores.max())


@pytest.mark.slow
def test_frozen_lite0_reaches_097_on_photographs(flowers, workspace):
    folds = kk.assign_folds(flowers, groups=kk.duplicate_groups(flowers))
    run = kk.cross_validate(flowers, folds, kk.suggest_recipe(flowers, "fast"))
    assert run.score >= 0.965
