"""The frozen stage: features are computed once, and the heads trained as one are those that each fold would train."""

import keras
import numpy as np
import pytest

import kagglekit as kk
from kagglekit.inference.features import FeatureStore, make_room
from kagglekit.inference.traced import inference, predict_rows
from kagglekit.training.stages.head_stack import HeadStack

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(50, 6)).astype(np.float32)
LABELS = RNG.integers(0, 3, 50)
TARGETS = np.eye(3, dtype=np.float32)[LABELS]
FOLDS = np.arange(50) % 3


def head():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Dropout(0.0)(inputs)))


def descended(kernel, bias, batches):
    """Plain gradient descent of the mean cross-entropy, one fold, in float64."""
    for rows, weights in batches:
        sums = FEATURES[rows] @ kernel + bias
        shares = np.exp(sums - sums.max(axis=1, keepdims=True))
        error = (shares / shares.sum(axis=1, keepdims=True) - TARGETS[rows]) * weights[:, None] / len(rows)
        kernel, bias = kernel - 0.5 * FEATURES[rows].T @ error, bias - 0.5 * error.sum(axis=0)
    return kernel, bias


@pytest.mark.parametrize("weights", [None, RNG.uniform(0.5, 2, (3, 50)).astype(np.float32)])
def test_heads_trained_as_one_are_what_gradient_descent_gives_each_fold(weights):
    heads = HeadStack(head(), FOLDS, [FEATURES], TARGETS, LABELS, weights)
    seen = []
    heads.train(
        keras.optimizers.SGD(0.5),
        keras.losses.CategoricalCrossentropy(),
        epochs=3,
        expected=np.ones(50),
        batch_size=8,
        seed=0,
        on_epoch=lambda epoch, averages, predictions: seen.append((averages, predictions)),
    )
    for number, fold in enumerate((0, 1, 2)):
        kernel, bias, batches = *(value.astype(np.float64) for value in head().get_weights()), []
        counts = np.ones(50) if weights is None else weights[number]
        for epoch in range(3):
            rows, counted = (part.numpy()[:, number] for part in heads._batches(epoch, np.ones(50), 8, 0))
            chosen = [part[used > 0] for part, used in zip(rows, counted, strict=True)]
            assert sorted(np.concatenate(chosen)) == np.flatnonzero(fold != FOLDS).tolist()
            batches += [(part, counts[part]) for part in chosen if len(part)]
        kernel, bias = descended(kernel, bias, batches)
        for found, expected in zip(heads.values(fold), (kernel, bias), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)
        own = fold == FOLDS
        sums = FEATURES[own] @ kernel + bias
        expected = np.exp(sums) / np.exp(sums).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(seen[-1][1][own], expected, atol=1e-4)


def test_a_row_is_seen_in_every_view(workspace):
    heads = HeadStack(head(), FOLDS, [FEATURES, 2 * FEATURES], TARGETS, LABELS)
    rows = np.concatenate([heads._batches(epoch, np.ones(50), 32, 0)[0].numpy().ravel() for epoch in range(20)])
    assert set(rows) == set(range(100))


@pytest.fixture
def store(workspace, make_competition, tmp_path):
    comp = kk.load_competition(make_competition())
    records = kk.write_records(comp, [row % 3 for row in range(24)], record_size=32)

    def make(scale=1.0, **knobs):
        inputs = keras.Input((16, 16, 3))
        means = keras.layers.Rescaling(scale)(keras.layers.GlobalAveragePooling2D()(inputs))
        recipe = kk.Recipe(image_size=16, record_size=32, **knobs)
        return FeatureStore(keras.Model(inputs, means), records, recipe, tmp_path / "features")

    return make


def test_features_are_computed_once_for_each_view_size_and_network(store, tmp_path):
    first = store()
    features = first.read([0, 1, 2])
    assert (features.shape, features.dtype) == ((24, 3), np.float16)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
    np.testing.assert_array_equal(store().read([0, 1, 2]), features)
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
    store().read([0, 1, 2], "hflip")
    store().read([0, 1, 2], 0)
    store(policy="strong").read([0, 1, 2], 0)
    store(resize="letterbox").read([0, 1, 2])
    assert len(list((tmp_path / "features").iterdir())) == 5


def test_what_was_read_longest_ago_makes_room(store, tmp_path):
    reader, folder = store(), tmp_path / "features"
    files = []
    for view in ("identity", "hflip", "vflip"):
        reader.read([0, 1, 2], view)
        files += [path for path in folder.iterdir() if path not in files]
    held = reader.read([0, 1, 2])  # again: now the second is the oldest
    size = files[0].stat().st_size
    make_room(folder, size, free=5 * size)
    assert sorted(folder.iterdir()) == sorted(files)
    make_room(folder, size, free=4 * size)
    assert sorted(folder.iterdir()) == sorted([files[0], files[2]])
    expected = np.array(held)
    make_room(folder, size, free=0)
    assert list(folder.iterdir()) == []
    np.testing.assert_array_equal(held, expected)
    np.testing.assert_array_equal(reader.read([0, 1, 2]), expected)


def test_features_of_another_operation_without_weights_are_others(store, workspace, tmp_path):
    like = store()

    def identity(change):
        inputs = keras.Input((16, 16, 3))
        means = keras.layers.GlobalAveragePooling2D()(change(inputs))
        return FeatureStore(keras.Model(inputs, means), like._records, like._recipe, tmp_path).hash

    changes = [
        lambda pixels: pixels,
        lambda pixels: pixels / 255,
        lambda pixels: pixels / 127,
        lambda pixels: keras.ops.divide(pixels, x2=255.0),
        lambda pixels: keras.ops.divide(pixels, x2=127.0),
        lambda pixels: pixels - np.array([1.0, 2.0, 3.0]),
        lambda pixels: pixels - np.array([1.0, 2.0, 4.0]),
        lambda pixels: keras.ops.flip(pixels, axis=1),
        lambda pixels: keras.ops.flip(pixels, axis=2),
        lambda pixels: pixels[..., ::-1],
        lambda pixels: pixels[..., :1],
        keras.ops.relu,
    ]
    identities = [identity(change) for change in changes]
    assert len(set(identities)) == len(changes)
    assert identities == [identity(change) for change in changes]


def test_features_that_half_precision_cannot_hold_are_kept_in_single(store):
    large = store(scale=1e4).read("test")
    assert large.dtype == np.float32
    np.testing.assert_allclose(large, 1e4 * store().read("test").astype(np.float32), rtol=1e-3)


def test_a_backbone_that_gives_no_number_names_the_image(store):
    with pytest.raises(FloatingPointError, match=r"NaN or infinity for image '.*'; check its weights"):
        store(scale=float("nan")).read(0)


def test_views_through_shared_features_are_the_networks_own(make_competition, workspace):
    comp = kk.load_competition(make_competition(size=(64, 64)))
    recipe = kk.Recipe(image_size=64, record_size=64, batch_size=8, frozen_epochs=3, frozen_views=1, epochs=0)
    run = kk.cross_validate(comp, kk.assign_folds(comp, n_splits=2), recipe)
    predictions = kk.predict(run, tta=["identity", "hflip"])
    records = run.records()
    networks = [inference(run.model(fold)) for fold in (0, 1)]
    expected = [
        predict_rows(network, kk.eval_dataset(records, recipe, "test", view=view))[0]
        for network in networks
        for view in ("identity", "hflip")
    ]
    np.testing.assert_allclose(predictions.test, np.mean(expected, axis=0), atol=5e-3)
