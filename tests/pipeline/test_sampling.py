"""Sampling: the counts are those of the definitions, and train_dataset yields them."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.pipeline.datasets import steps_per_epoch
from kagglekit.pipeline.sampling import class_weights, epoch_counts, epoch_rows, expected_counts

LABELS = np.repeat([0, 1, 2, 3], [50, 20, 7, 1])
SIZES = np.array([50, 20, 7, 1])
LABELS = np.random.default_rng(0).permutation(LABELS)
SCHEMES = ["none", "label_shuffling", "balanced", "square_root", {0: 0.3, 2: 4.0, 3: 2.5}]


def per_class(counts):
    return np.bincount(LABELS, counts, minlength=4)


def test_expected_counts_are_those_of_the_definitions():
    def of(sampling, subset=1.0):
        return per_class(expected_counts(LABELS, 4, sampling, subset))

    np.testing.assert_allclose(of("none"), SIZES)
    np.testing.assert_allclose(of("label_shuffling"), [50] * 4)  # as often as the largest class
    np.testing.assert_allclose(of("balanced"), [78 / 4] * 4)
    np.testing.assert_allclose(of("square_root"), 78 * SIZES**0.5 / (SIZES**0.5).sum())
    np.testing.assert_allclose(of({0: 0.3, 2: 4.0}), SIZES * [0.3, 1, 4, 1])
    np.testing.assert_allclose(of("none", 0.5), SIZES / 2)
    np.testing.assert_allclose(of("label_shuffling", 0.1), [5] * 4)


@pytest.mark.parametrize("sampling", SCHEMES)
def test_all_rows_of_a_class_are_expected_equally_often(sampling):
    expected = expected_counts(LABELS, 4, sampling)
    assert all(len(set(expected[np.equal(LABELS, number)].round(12))) == 1 for number in range(4))


def test_a_class_without_rows_is_not_drawn():
    labels = LABELS[LABELS != 1]
    for sampling in ("label_shuffling", "balanced", "square_root"):
        expected = expected_counts(labels, 4, sampling)
        assert np.isfinite(expected).all()
        assert len(expected) == len(labels)
    np.testing.assert_allclose(expected_counts(labels, 4, "balanced").sum(), len(labels))


@pytest.mark.parametrize("sampling", SCHEMES)
@pytest.mark.parametrize("subset", [1.0, 0.5, 0.37])
def test_an_epoch_has_the_same_sum_always_and_each_class_its_own_within_one(sampling, subset):
    expected = expected_counts(LABELS, 4, sampling, subset)
    scale = epoch_rows(expected) / expected.sum()  # a sum that is not a whole number is rounded
    for epoch in range(50):
        counts = epoch_counts(expected, LABELS, 7, epoch)
        assert counts.sum() == epoch_rows(expected) == round(expected.sum())
        assert (np.abs(per_class(counts) - per_class(expected * scale)) <= 1).all()
        assert (np.abs(counts - expected * scale) < 1).all()


@pytest.mark.parametrize("sampling", SCHEMES)
@pytest.mark.parametrize("subset", [1.0, 0.5])
def test_the_mean_of_many_epochs_is_the_expectation(sampling, subset):
    expected, epochs = expected_counts(LABELS, 4, sampling, subset), 4000
    mean = np.mean([epoch_counts(expected, LABELS, 3, epoch) for epoch in range(epochs)], axis=0)
    expected = expected * epoch_rows(expected) / expected.sum()
    share = expected % 1  # a count is its expectation rounded up with this probability: Bernoulli's deviation
    assert (np.abs(mean - expected) <= 5 * np.sqrt(share * (1 - share) / epochs) + 1e-9).all()


def test_label_shuffling_repeats_each_row_as_often_as_its_definition_does():
    """A permutation as long as the largest class, modulo the class: rows of a class differ by one at most."""
    expected = expected_counts(LABELS, 4, "label_shuffling")
    for epoch in range(20):
        counts = epoch_counts(expected, LABELS, 0, epoch)
        for number, size in enumerate(SIZES):
            assert Counter(counts[np.equal(LABELS, number)]) == Counter(np.bincount(np.arange(50) % size))


def test_epochs_differ_and_depend_on_the_seed_alone():
    expected = expected_counts(LABELS, 4, "none", 0.5)
    first = epoch_counts(expected, LABELS, 0, 0)
    np.testing.assert_array_equal(first, epoch_counts(expected, LABELS, 0, 0))
    assert (first != epoch_counts(expected, LABELS, 0, 1)).any()
    assert (first != epoch_counts(expected, LABELS, 1, 0)).any()


def test_class_weights_follow_their_formulas():
    np.testing.assert_array_equal(class_weights(LABELS, 4, "none"), [1] * 4)
    for method, raw in (("inverse_frequency", 1 / SIZES), ("effective_number", (1 - 0.999) / (1 - 0.999**SIZES))):
        weights = class_weights(LABELS, 4, method)
        np.testing.assert_allclose(weights / weights[0], raw / raw[0], rtol=1e-5)
        assert weights[LABELS].mean() == pytest.approx(1)
    assert class_weights(LABELS, 5, "inverse_frequency")[4] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": "blanced"}, r"expected sampling to be one of .*Did you mean 'balanced'"),
        ({"sampling": {9: 2.0}}, "expected factors of 0 or more for classes 0 to 3"),
        ({"sampling": {0: -1.0}}, "expected factors of 0 or more"),
        ({"sampling": dict.fromkeys(range(4), 0.0)}, "expected a factor above 0"),
        ({"subset": 0}, "expected subset of more than 0 and at most 1, got 0"),
        ({"subset": 1.1}, "got 1.1"),
    ],
)
def test_strange_schemes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        expected_counts(LABELS, 4, **options)


def test_schemes_of_classes_are_refused_where_a_row_has_several_labels():
    with pytest.raises(ValueError, match="sampling 'balanced' needs one class a row"):
        expected_counts(np.zeros((4, 3), np.float32), 3, "balanced")
    with pytest.raises(ValueError, match="class weights 'inverse_frequency' need one class a row"):
        class_weights(np.zeros((4, 3), np.float32), 3, "inverse_frequency")


# ---- through train_dataset: each image's grey level is the number of its row

ROWS = 60
CLASSES = ["a"] * 40 + ["b"] * 15 + ["c"] * 5


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    pixels = np.broadcast_to(np.arange(ROWS, dtype=np.uint8)[:, None, None], (ROWS, 8, 8))
    comp = kk.from_arrays(pixels, CLASSES, name="levels")
    folder = tmp_path_factory.mktemp("levels") / "records"
    return kk.write_records(comp, [row % 2 for row in range(ROWS)], record_size=8, folder=folder)


RECIPE = kk.Recipe(
    backbone="small_cnn", weights=None, image_size=8, channels=1, record_size=8, batch_size=7, policy="none"
)


def epoch(records, recipe, number=0, **options):
    """The rows of an epoch's batches, as `(row, class, weight)`."""
    rows = []
    for images, labels, *weights in kk.train_dataset(records, recipe, [0, 1], start_epoch=number, epochs=1, **options):
        weights = weights[0].numpy() if weights else np.ones(len(images))
        levels = images.numpy()[:, 0, 0, 0].round().astype(int)
        rows += zip(levels.tolist(), labels.numpy().argmax(1).tolist(), weights.tolist(), strict=True)
    return rows


@pytest.mark.parametrize(
    "knobs",
    [
        {"sampling": "label_shuffling"},
        {"sampling": "balanced"},
        {"sampling": "square_root", "subset": 0.5},
        {"sampling": {"c": 3.4, "a": 0.5}},
        {"subset": 0.25},
    ],
)
def test_training_sees_each_row_as_often_as_the_sampling_says(records, knobs):
    recipe, table = RECIPE.replace(**knobs), records.table([0, 1])
    labels = table["label"].to_numpy()
    sampling = knobs.get("sampling", "none")
    if isinstance(sampling, dict):
        sampling = {"abc".index(name): factor for name, factor in sampling.items()}
    expected = expected_counts(labels, 3, sampling, recipe.subset)
    for number in (0, 1):
        seen = epoch(records, recipe, number)
        counts = Counter(row for row, *_ in seen)
        wanted = epoch_counts(expected, labels, recipe.seed, number)
        assert counts == Counter(dict(zip(table["row"].tolist(), wanted.tolist(), strict=True)))
        assert all("abc"[label] == CLASSES[row] for row, label, _ in seen)
        assert -(-len(seen) // 7) == steps_per_epoch(records, recipe, [0, 1])


def test_the_copies_of_a_row_are_augmented_each_in_its_own_way(records):
    recipe = RECIPE.replace(sampling="label_shuffling", policy=[["noise", 8]])
    images = [image.numpy().tobytes() for batch, _ in kk.train_dataset(records, recipe, [0, 1], epochs=1)
              for image in batch]  # fmt: skip
    assert len(set(images)) > 0.9 * len(images) > ROWS


@pytest.mark.parametrize("sampling", ["none", "label_shuffling"])
def test_weights_travel_with_their_rows(records, sampling):
    weights = pd.Series({f"train_{row}": 1 + row / 10 for row in range(ROWS)})
    for given in (weights, dict(weights)):
        seen = epoch(records, RECIPE.replace(sampling=sampling), 1, weights=given)
        assert len(seen) >= ROWS
        assert all(weight == pytest.approx(1 + row / 10) for row, _, weight in seen)


@pytest.mark.parametrize("method", ["inverse_frequency", "effective_number"])
def test_class_weights_of_the_recipe_arrive_with_the_rows(records, method):
    of_class = class_weights(np.array(["abc".index(name) for name in CLASSES]), 3, method)
    seen = epoch(records, RECIPE.replace(class_weights=method))
    assert all(weight == pytest.approx(of_class[label]) for _, label, weight in seen)
    assert np.mean([weight for *_, weight in seen]) == pytest.approx(1)


def test_weights_that_lack_a_row_and_factors_of_unknown_classes_are_refused(records):
    with pytest.raises(ValueError, match=r"weights lack 59 images, among them \['train_"):
        kk.train_dataset(records, RECIPE, [0, 1], weights={"train_0": 1})
    with pytest.raises(ValueError, match="sampling names classes that are not there: 'd'"):
        kk.train_dataset(records, RECIPE.replace(sampling={"d": 2}), [0, 1])
