"""The datasets in the hands of Keras: `fit`, `evaluate` and Keras Tuner take them as they are."""

import itertools

import keras
import numpy as np
import pytest

import kagglekit as kk
from kagglekit.pipeline.datasets import steps_per_epoch

RECIPE = kk.Recipe(image_size=16, channels=1, record_size=16, batch_size=16, policy="tiny", seed=4)


@pytest.fixture(scope="module")
def records(digits):
    some = kk.Competition("some", digits.root, digits.train.iloc[:90].reset_index(drop=True), digits.test[:5])
    return kk.write_records(some, [row % 3 for row in range(90)], record_size=16)


def network(rate=0.01):
    inputs = keras.Input((16, 16, 1))
    scaled = keras.layers.Rescaling(1 / 255)(inputs)
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(scaled))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
    return model


def batches(dataset):
    return [[part.numpy() for part in batch] for batch in dataset]


def same(one, other):
    pairs = zip(itertools.chain(*one), itertools.chain(*other), strict=True)
    return len(one) == len(other) and all(np.array_equal(*pair) for pair in pairs)


def test_a_pass_more_is_the_epoch_that_follows(records):
    for epochs in (1, 2):
        dataset = kk.train_dataset(records, RECIPE, [0, 1], start_epoch=3, epochs=epochs)
        assert dataset.cardinality() == len(dataset) == epochs * steps_per_epoch(records, RECIPE, [0, 1]) == 4 * epochs
        passes = [batches(dataset) for _ in range(3)]
        for number, found in enumerate(passes):
            start = 3 + epochs * number
            assert same(found, batches(kk.train_dataset(records, RECIPE, [0, 1], start_epoch=start, epochs=epochs)))
        assert not same(passes[0], passes[1])
        assert sum(len(images) for images, _ in passes[2]) == epochs * records.rows([0, 1])


def test_a_pass_that_is_left_early_counts_as_one(records):
    dataset = kk.train_dataset(records, RECIPE, [0, 1], epochs=1)
    assert len(batches(dataset.take(1))) == 1
    assert same(batches(dataset), batches(kk.train_dataset(records, RECIPE, [0, 1], start_epoch=1, epochs=1)))
    assert len(batches(dataset.repeat(2))) == 2 * len(dataset)


def test_validation_is_evaluation_with_targets_in_place_of_labels_and_ids(records):
    for parts in (2, [0, 2]):
        dataset = kk.validation_dataset(records, RECIPE, parts)
        plain = kk.eval_dataset(records, RECIPE, parts)
        assert dataset.cardinality() == plain.cardinality() == -(-records.rows(parts) // 16)
        assert dataset.element_spec == kk.train_dataset(records, RECIPE, parts).element_spec
        for _ in range(2):  # a second pass comes from memory
            for (images, targets), (expected, labels, _) in zip(dataset, plain, strict=True):
                assert np.array_equal(images, expected)
                assert np.array_equal(targets, keras.utils.to_categorical(labels, 10))


@pytest.mark.parametrize("task", ["multi_label", "regression", "distribution"])
def test_targets_of_other_tasks_are_the_labels(workspace, task):
    images, shares = np.zeros((9, 8, 8), np.uint8), np.tile([0.25, 0.75], (9, 1))
    labels = {"multi_label": (shares > 0.5).astype(int), "regression": np.arange(9.0), "distribution": shares}[task]
    comp = kk.from_arrays(images, labels, name=task, preset=kk.Preset(task=task))
    records = kk.write_records(comp, [0, 1, 1] * 3)
    (_, targets), *_ = batches(kk.validation_dataset(records, RECIPE.replace(image_size=8), 1))
    assert targets.dtype == np.float32
    assert np.array_equal(targets, comp.targets[np.arange(9) % 3 > 0])


def test_test_images_are_nothing_to_validate_on(records):
    for parts in ("test", [0, "test"]):
        with pytest.raises(ValueError, match="the test images have no labels to validate on; use eval_dataset"):
            kk.validation_dataset(records, RECIPE, parts)


def test_fit_knows_the_steps_and_sees_another_epoch_each_time(records, capsys):
    seen, model = [], network()

    def targets(y_true, y_pred):
        seen.append(y_true.numpy().argmax(axis=1).tolist())
        return 0.0

    model.compile("adam", "categorical_crossentropy", metrics=[targets], run_eagerly=True)
    training, validation = (
        kk.train_dataset(records, RECIPE, [0, 1], epochs=1),
        kk.validation_dataset(records, RECIPE, 2),
    )
    history = model.fit(training, validation_data=validation, epochs=2, verbose=2).history
    assert len(history["val_loss"]) == 2
    assert "Unknown" not in capsys.readouterr().out
    epochs = [np.concatenate(part).tolist() for part in (seen[:4], seen[6:10])]  # 2 batches of validation follow each
    assert sorted(epochs[0]) == sorted(epochs[1])
    for number, found in enumerate(epochs):
        plain = kk.train_dataset(records, RECIPE, [0, 1], start_epoch=number, epochs=1)
        assert found == [label for _, labels in batches(plain) for label in labels.argmax(axis=1)], number
    assert model.evaluate(validation, verbose=0)[0] == pytest.approx(history["val_loss"][-1], rel=1e-5)


def test_keras_tuner_searches_over_them(records, tmp_path):
    keras_tuner = pytest.importorskip("keras_tuner")
    pytest.importorskip("tensorboard")

    def build(knobs):
        return network(knobs.Float("rate", 1e-3, 1e-1, sampling="log"))

    tuner = keras_tuner.RandomSearch(
        build, objective="val_accuracy", max_trials=2, seed=1, directory=tmp_path, project_name="digits"
    )
    training, validation = (
        kk.train_dataset(records, RECIPE, [0, 1], epochs=1),
        kk.validation_dataset(records, RECIPE, 2),
    )
    tuner.search(training, validation_data=validation, epochs=2, verbose=0)
    assert len(tuner.oracle.trials) == 2
    assert all(0 <= trial.score <= 1 for trial in tuner.oracle.trials.values())
