"""Fine-tuning from cached activations, and layers that are unfrozen step by step."""

import keras
import numpy as np
import pytest

import kagglekit as kk
from kagglekit.models.backbones import build_backbone
from kagglekit.pipeline.datasets import steps_per_epoch
from kagglekit.records.write import records_of
from kagglekit.training import fold_trainer
from kagglekit.training.stages.cached_rows import CachedRows


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "own.weights.h5"
    build_backbone("small_cnn", 12, channels=1, weights=None).save_weights(path)
    return path


@pytest.fixture
def recipe(weights, quick_recipe):
    return quick_recipe.replace(
        weights=str(weights), frozen_epochs=1, epochs=3, unfrozen_layers=0.5, policy="none", dropout=0.0
    )


@pytest.fixture
def few(digits):
    return kk.Competition("few", digits.root, digits.train.iloc[:240].reset_index(drop=True), digits.test[:0])


@pytest.mark.parametrize("class_weights", ["none", "inverse_frequency"])
def test_fine_tuning_from_kept_activations_is_that_from_images(few, workspace, recipe, class_weights):
    # The second fold has most of the nines, so that a class weighs otherwise in each
    folds = [int(row % 2 or (label == "9" and row % 10 > 0)) for row, label in enumerate(few.train["label"])]
    whole = recipe.replace(batch_size=240, class_weights=class_weights)  # one batch an epoch: its order plays no part
    kept, seen = (kk.cross_validate(few, folds, whole.replace(cached_views=count)) for count in (1, 0))
    np.testing.assert_allclose(kept.oof_arrays()["probabilities"], seen.oof_arrays()["probabilities"], atol=5e-3)
    frozen = kk.cross_validate(few, folds, whole.replace(epochs=0))
    assert np.abs(frozen.oof_arrays()["probabilities"] - seen.oof_arrays()["probabilities"]).max() > 0.02


def test_activations_are_computed_once_for_all_folds_and_epochs(few, workspace, recipe):
    recipe = recipe.replace(policy="tiny", cached_views=2)
    kk.cross_validate(few, [row % 3 for row in range(240)], recipe)
    sizes = sorted(path.stat().st_size for path in (few.workspace / "features").iterdir())
    assert len(sizes) == 1 + 3  # the head's, and the images as they are with two augmented passes
    planned = kk.plan(few, recipe).set_index("part").loc["feature cache on disk", "value"]
    assert planned == pytest.approx(sum(sizes[1:]) / 2**20, abs=0.1)


def test_layers_are_unfrozen_step_by_step(few, workspace, recipe, weights):
    folds = [row % 2 for row in range(240)]
    run = kk.cross_validate(few, folds, recipe.replace(unfrozen_layers=(0.2, 0.5), epochs=2, cached_views=1))
    assert run.history["stage"].tolist() == ["frozen", "fine-tuning, the last 0.2", "fine-tuning"] * 2
    origin = build_backbone("small_cnn", 12, channels=1, weights=weights)
    trained = run.model(0).get_layer("backbone")
    layers = [layer.name for layer in origin.layers if layer.weights]
    same = [
        all(map(np.array_equal, origin.get_layer(name).get_weights(), trained.get_layer(name).get_weights()))
        for name in layers
    ]
    assert same[: len(layers) // 2] == [True] * (len(layers) // 2)
    assert not all(same[len(layers) // 2 :])


def test_a_fold_interrupted_before_it_was_saved_leaves_the_layers_of_the_next_one_alone(
    few, workspace, recipe, monkeypatch, tmp_path
):
    folds, short = [row % 2 for row in range(240)], recipe.replace(epochs=1, learning_rate=1e-2)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fold_trainer, "save_network", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kk.cross_validate(few, folds, short, parent=tmp_path / "broken")
    resumed = kk.cross_validate(few, folds, short, parent=tmp_path / "broken")
    whole = kk.cross_validate(few, folds, short)
    for name, values in whole.oof_arrays().items():
        np.testing.assert_array_equal(resumed.oof_arrays()[name], values)


@pytest.mark.parametrize("sampling", ["none", "balanced", "label_shuffling"])
def test_an_epoch_of_kept_rows_has_the_steps_of_one_of_images(few, workspace, recipe, sampling):
    uneven = np.random.default_rng(0).integers(3, size=240).tolist()  # classes in other shares in each fold
    recipe = recipe.replace(sampling=sampling, batch_size=1)  # a step is a row
    records = records_of(few, kk.competition.tables.row_folds(few, uneven), recipe)
    pixels = keras.Input((12, 12, 1))
    mean = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels))
    rows = CachedRows(mean, records, recipe, few.workspace / "features", 0)
    for fold in records.folds:
        steps = steps_per_epoch(records, recipe, [other for other in records.folds if other != fold])
        reached, begun = rows.batches(fold), rows.batches(fold, 1)
        for _ in range(steps):
            next(reached)
        for _ in range(3):
            for one, other in zip(next(reached), next(begun), strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_network_that_cannot_be_split_is_refused(few, workspace, recipe):
    def plain(classes, recipe):
        import keras

        pixels = keras.Input((12, 12, 1))
        return keras.Model(pixels, keras.layers.Dense(classes, "softmax")(keras.layers.Flatten()(pixels)))

    with pytest.raises(ValueError, match="expected a functional Keras network with a layer named 'backbone'"):
        kk.cross_validate(few, [row % 2 for row in range(240)], recipe.replace(cached_views=1), build_model=plain)


@pytest.mark.parametrize(
    "knobs", [{"unfrozen_layers": 1.0}, {"mix": "mixup"}, {"first_sizes": (8,)}, {"unfrozen_layers": (0.5, 1)}]
)
def test_what_cannot_be_kept_is_refused(recipe, knobs):
    with pytest.raises(ValueError, match="expected cached_views=0 where all layers are trained"):
        recipe.replace(cached_views=1, **knobs)


@pytest.mark.parametrize("shares", [(), (0.5, 0.2), ("half",)])
def test_shares_that_fall_are_refused(recipe, shares):
    with pytest.raises(ValueError, match="several unfrozen_layers to be numbers from 0 to 1 in ascending order"):
        recipe.replace(unfrozen_layers=shares)
