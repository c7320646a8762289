"""Pipelines: evaluation gives every row once and in order, training gives the same batches for the same seed."""

import hashlib
import io
import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

import kagglekit as kk
from kagglekit.augment.views import DIHEDRAL, VIEWS, apply_view, view_box
from kagglekit.pipeline import batches as batches_module
from kagglekit.pipeline import datasets, order
from kagglekit.pipeline.batches import Batches
from kagglekit.pipeline.workers import Workers
from kagglekit.records import write

RECIPE = kk.Recipe(backbone="small_cnn", weights=None, image_size=16, channels=3, record_size=32, batch_size=5)


@pytest.fixture
def comp(workspace, make_competition):
    return kk.load_competition(make_competition())  # 24 training and 3 test images of 40 x 48 pixels


@pytest.fixture
def records(comp):
    return kk.write_records(comp, [number % 3 for number in range(24)], record_size=32)


def epoch(records, recipe, number=0, folds=(0, 1, 2)):
    """`(images, labels)` of one epoch's batches, joined."""
    batches = list(kk.train_dataset(records, recipe, folds, start_epoch=number, epochs=1))
    return tuple(np.concatenate(part) for part in zip(*batches, strict=True))


def digest(batches):
    content = hashlib.sha256()
    for part in itertools.chain.from_iterable(batches):
        content.update(part.numpy().tobytes())
    return content.hexdigest()


def evaluated(records, recipe, parts, **options):
    """`(images, labels, ids)` of all batches, joined."""
    batches = list(kk.eval_dataset(records, recipe, parts, **options))
    return tuple(np.concatenate(part) for part in zip(*batches, strict=True))


@pytest.mark.parametrize("shard_rows", [1, 3])
@pytest.mark.parametrize(("batch_size", "channels"), [(1, 3), (5, 1), (5, 3), (64, 3)])
@pytest.mark.parametrize("parts", [1, [2, 0], "test"])
def test_every_id_comes_out_once_and_in_file_order(comp, monkeypatch, shard_rows, batch_size, channels, parts):
    monkeypatch.setattr(write, "SHARD_ROWS", shard_rows)
    records = kk.write_records(comp, [number % 3 for number in range(24)], record_size=32)
    recipe = RECIPE.replace(batch_size=batch_size, channels=channels)
    tables = [comp.test] if parts == "test" else [comp.train.iloc[fold::3] for fold in np.atleast_1d(parts)]
    expected = [identifier for table in tables for identifier in table["image_id"]]
    batches = list(kk.eval_dataset(records, recipe, parts))
    assert [identifier.decode() for *_, ids in batches for identifier in ids.numpy()] == expected
    assert [len(ids) for *_, ids in batches[:-1]] == [batch_size] * ((len(expected) - 1) // batch_size)
    for images, labels, _ in batches:
        assert images.shape[1:] == (16, 16, channels)
        assert (images.dtype, labels.dtype) == (tf.float32, tf.int64)
        assert 0 <= tf.reduce_min(images) <= tf.reduce_max(images) <= 255


def test_evaluation_carries_class_numbers_and_minus_one_for_test(comp, records):
    names = comp.train.set_index("image_id")["label"]
    for fold in range(3):
        _, labels, ids = evaluated(records, RECIPE, fold)
        assert [comp.class_names[label] for label in labels] == [names[identifier.decode()] for identifier in ids]
    assert set(evaluated(records, RECIPE, "test")[1]) == {-1}


@pytest.mark.parametrize("size", [(40, 48), (20, 24), (40, 24), (20, 48)])
def test_reducing_a_side_by_two_averages_its_pixels_in_pairs(workspace, make_competition, size):
    comp = kk.load_competition(make_competition(suffix=".png"))  # 40 x 48 pixels
    records = kk.write_records(comp, [0] * 24, record_size=40)
    images, *_ = evaluated(records, RECIPE.replace(image_size=size, record_size=30), 0)  # 30: without antialiasing
    for image, source in zip(images, comp.train["source"], strict=True):
        pixels = np.asarray(Image.open(comp.root / source), np.float32)
        # half-way between two pixels bilinear sampling is their mean
        reference = pixels.reshape(size[0], 40 // size[0], size[1], 48 // size[1], 3).mean(axis=(1, 3))
        np.testing.assert_allclose(image, reference, atol=1e-3)


def test_a_strong_reduction_is_the_mean_of_what_each_pixel_covers(workspace, make_competition):
    comp = kk.load_competition(make_competition(suffix=".png"))
    records = kk.write_records(comp, [0] * 24, record_size=40)
    images, *_ = evaluated(records, RECIPE.replace(image_size=(10, 16), record_size=40), 0)
    for image, source in zip(images, comp.train["source"], strict=True):
        reference = Image.open(comp.root / source).resize((16, 10), Image.Resampling.BOX)
        np.testing.assert_allclose(image, np.asarray(reference, np.float32), atol=1)  # PIL rounds


@pytest.mark.parametrize("photo", [0, 1])
@pytest.mark.parametrize(("form", "options", "tolerance"), [("PNG", {}, 0), ("JPEG", {"quality": 90}, 0)])
def test_decoded_pixels_are_pils(workspace, make_competition, photo, form, options, tolerance):
    folder, stored = make_competition(suffix="." + form.lower()), io.BytesIO()
    image = Image.fromarray(load_sample_images().images[photo])  # 427 x 640
    image.save(stored, form, **options)
    (folder / "test" / f"y.{form.lower()}").write_bytes(stored.getvalue())
    records = kk.write_records(kk.load_competition(folder), [0] * 24, record_size=427)
    images, _, ids = evaluated(records, RECIPE.replace(image_size=(427, 640), record_size=427, batch_size=1), "test")
    assert ids[1] == b"y"
    assert np.abs(images[1] - np.asarray(Image.open(stored), np.float32)).mean() <= tolerance


@pytest.mark.parametrize("view", DIHEDRAL)
def test_a_turned_view_is_evaluations_image_turned(records, view):
    plain, labels, ids = evaluated(records, RECIPE, 1)
    seen, seen_labels, seen_ids = evaluated(records, RECIPE, 1, view=view)
    np.testing.assert_array_equal(seen, np.stack([apply_view(image, view) for image in plain]))
    assert (seen_labels.tolist(), seen_ids.tolist()) == (labels.tolist(), ids.tolist())


@pytest.mark.parametrize("resize", ["squash", "letterbox"])
@pytest.mark.parametrize("view", [view for view in VIEWS if view not in DIHEDRAL])
def test_a_view_of_a_part_shows_that_part_of_the_stored_image(records, view, resize):
    recipe = RECIPE.replace(image_size=16, resize=resize)
    seen, *_ = evaluated(records, recipe, 1, view=view)
    large, *_ = evaluated(records, recipe.replace(image_size=640), 1)
    top, left, height, width = (round(edge) for edge in view_box(view, (0, 0, 640, 640)))
    for image, whole in zip(seen, large, strict=True):
        part = whole[top : top + height, left : left + width].astype(np.uint8)
        reference = np.asarray(Image.fromarray(part).resize((16, 16), Image.Resampling.BOX), float)
        assert np.abs(image - reference).mean() < np.abs(image[::-1] - reference).mean() / 2


def test_an_unknown_view_is_refused(records):
    with pytest.raises(ValueError, match=r"expected view to be one of .*, got 'h_flip'\. Did you mean 'hflip'\?"):
        kk.eval_dataset(records, RECIPE, 0, view="h_flip")


def test_a_quarter_turn_of_oblong_images_is_refused_before_any_is_read(records):
    with pytest.raises(ValueError, match="'rot90' swaps the sides and needs a square image, got 32x48"):
        kk.eval_dataset(records, RECIPE.replace(image_size=(32, 48)), 0, view="rot90")


@pytest.mark.parametrize(("batch_size", "local_bytes"), [(1, 2**28), (5, 2**28), (5, 1), (7, 1), (8, 1), (100, 2**28)])
def test_an_epoch_has_every_row_once_with_its_own_label(records, monkeypatch, batch_size, local_bytes):
    monkeypatch.setattr(order, "LOCAL_BYTES", local_bytes)  # 1: windows of a single batch
    recipe = RECIPE.replace(batch_size=batch_size, policy="none")
    images, labels, _ = evaluated(records, recipe, [0, 2])
    label_of = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    batches = list(kk.train_dataset(records, recipe, [0, 2], epochs=2))
    count = -(-16 // batch_size)
    assert len(batches) == 2 * count
    orders = []
    for half in (batches[:count], batches[count:]):
        found = [
            (image.tobytes(), one_hot) for batch in half for image, one_hot in zip(*map(np.array, batch), strict=True)
        ]
        assert {image for image, _ in found} == set(label_of)
        assert len(found) == len(label_of) == 16
        for image, one_hot in found:
            np.testing.assert_array_equal(one_hot, np.eye(3, dtype=np.float32)[label_of[image]])
        orders.append([image for image, _ in found])
    assert orders[0] != orders[1] != list(label_of)


@pytest.mark.parametrize(
    "knobs",
    [
        {"policy": "light"},
        {"policy": "all_flips", "resize": "short_side_crop"},
        {"policy": "light", "sampling": "label_shuffling", "subset": 0.7, "class_weights": "effective_number"},
    ],
)
def test_the_same_seed_gives_the_same_batches_at_any_parallelism(records, monkeypatch, knobs):
    recipe, digests = RECIPE.replace(**knobs), set()
    for cores, calls, global_seed in ((1, 1, 0), (2, 2, 1), (8, 8, 2), (2, None, 3)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        tf.random.set_seed(global_seed)
        digests.add(digest(kk.train_dataset(records, recipe, [0, 1], epochs=2, parallel_calls=calls)))
    assert len(digests) == 1
    assert digest(kk.train_dataset(records, recipe.replace(seed=1), [0, 1], epochs=2)) not in digests


def test_evaluation_is_the_same_at_any_parallelism(records):
    first, *others = (evaluated(records, RECIPE, [0, 1, 2], parallel_calls=calls) for calls in (1, 2, 8, None))
    for other in others:
        for part, same in zip(first, other, strict=True):
            np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize("task", ["multi_label", "regression", "distribution"])
def test_targets_of_every_task_come_out_with_their_rows(workspace, task):
    pixels = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, None, None], (12, 8, 8))
    if task == "multi_label":
        labels = [["b"], [], ["a", "c"], ["a"]] * 3
        targets, preset = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1], [1, 0, 0]] * 3, np.float32), None
    elif task == "regression":
        targets, preset = np.arange(12, dtype=np.float32)[:, None] / 8 - 0.5, None
        labels = targets[:, 0].tolist()
    else:
        targets = np.random.default_rng(0).dirichlet([1, 2, 3], 12).astype(np.float32)
        labels, preset = targets, kk.Preset(task=task, label_column=("one", "two", "three"))
    comp = kk.from_arrays(pixels, labels, pixels[:2], name=task, preset=preset)
    assert comp.task == task
    records = kk.write_records(comp, [row % 2 for row in range(12)], record_size=8)
    recipe = RECIPE.replace(image_size=8, channels=1, record_size=8, policy="none")
    images, found, ids = evaluated(records, recipe, [0, 1])
    rows = images[:, 0, 0, 0].astype(int)
    assert [name.decode() for name in ids] == [f"train_{row}" for row in rows]
    np.testing.assert_allclose(found, targets[rows], rtol=1e-6)
    assert (records.table([0, 1])["label"].tolist() == found).all()
    images, found = epoch(records, recipe, folds=(0, 1))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, targets[images[:, 0, 0, 0].astype(int)], rtol=1e-6)
    assert sorted(images[:, 0, 0, 0]) == list(range(12))
    assert (evaluated(records, recipe, "test")[1] == np.zeros((2, targets.shape[1]))).all()
    with pytest.raises(ValueError, match="needs? one class a row"):
        kk.train_dataset(records, recipe.replace(sampling="balanced"), [0, 1])
    with pytest.raises(ValueError, match="needs? one class a row"):
        kk.train_dataset(records, recipe.replace(class_weights="inverse_frequency"), [0, 1])


def test_an_epoch_is_the_same_whether_started_with_or_reached_and_unlike_the_others(records):
    batches = list(kk.train_dataset(records, RECIPE, [0, 1, 2], epochs=4))  # 5 batches an epoch
    digests = [digest(batches[start : start + 5]) for start in range(0, 20, 5)]
    assert len(set(digests)) == 4
    for number in range(4):
        assert digest(kk.train_dataset(records, RECIPE, [0, 1, 2], start_epoch=number, epochs=1)) == digests[number]


def test_what_augmentation_does_to_a_row_depends_on_the_row_and_the_epoch_alone(comp, records, monkeypatch):
    expected = {image.tobytes() for image in epoch(records, RECIPE, 3)[0]}
    assert len(expected) == 24
    assert {image.tobytes() for image in epoch(records, RECIPE.replace(batch_size=11), 3)[0]} == expected
    assert {image.tobytes() for image in epoch(records, RECIPE, 3, folds=[1])[0]} < expected
    monkeypatch.setattr(write, "SHARD_ROWS", 2)
    resharded = kk.write_records(comp, [number % 2 for number in range(24)], record_size=32)
    assert {image.tobytes() for image in epoch(resharded, RECIPE, 3, folds=[0, 1])[0]} == expected
    assert {image.tobytes() for image in epoch(records, RECIPE, 4)[0]}.isdisjoint(expected)


@pytest.mark.parametrize("size", [(12, 20), 9])
def test_training_images_have_the_size_and_range_of_evaluation(records, size):
    for channels in (1, 3):
        images, _ = epoch(records, RECIPE.replace(image_size=size, channels=channels, augment_strength=3))
        assert images.shape == (24, *(size if isinstance(size, tuple) else (size, size)), channels)
        assert images.dtype == np.float32
        assert 0 <= images.min() < images.max() <= 255


@pytest.mark.parametrize("memory", [10**9, 1])
def test_a_cache_changes_no_batch(records, monkeypatch, memory):
    monkeypatch.setattr(datasets, "_free_memory", lambda: memory)
    plain = evaluated(records, RECIPE, [0, 2])
    dataset = kk.eval_dataset(records, RECIPE, [0, 2], cache=True)
    for _ in range(3):
        batches = [np.concatenate(part) for part in zip(*dataset, strict=True)]
        for part, same in zip(plain, batches, strict=True):
            np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize(("memory", "kept"), [(10**9, True), (1, False)])
def test_batches_are_kept_only_where_the_memory_is_there(records, monkeypatch, memory, kept):
    monkeypatch.setattr(datasets, "_free_memory", lambda: memory)
    dataset = kk.eval_dataset(records, RECIPE.replace(batch_size=4), 0, cache=True)
    before = [images.numpy() for images, *_ in dataset]
    path = Path(records.files(0)[0])
    path.write_bytes(bytes(path.stat().st_size))  # what is kept needs no file
    if kept:
        np.testing.assert_array_equal(before, [images.numpy() for images, *_ in dataset])
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match="its bytes have changed"):
            list(dataset)


def test_training_goes_on_without_end_by_default(records):
    assert kk.train_dataset(records, RECIPE, [0]).cardinality() in (
        tf.data.INFINITE_CARDINALITY,
        tf.data.UNKNOWN_CARDINALITY,
    )
    assert len(list(kk.train_dataset(records, RECIPE, [0]).take(50))) == 50  # 25 epochs of 2 batches


# ---- worker processes


@pytest.fixture
def in_processes(monkeypatch):
    monkeypatch.setattr(batches_module, "WORTH_PROCESSES", 0)


def test_processes_make_the_batches_that_threads_make(records, in_processes):
    recipe = RECIPE.replace(policy="standard", mix="cutmix", resize="letterbox")
    assert Batches(records, recipe, [0])._workers > 0
    for view in ("identity", "rot90", 3):
        for part, same in zip(
            evaluated(records, recipe, [2, 0], view=view),
            evaluated(records, recipe, [2, 0], view=view, parallel_calls=1),
            strict=True,
        ):
            np.testing.assert_array_equal(part, same)
    made, same = (
        digest(kk.train_dataset(records, recipe, [0, 1], epochs=2, parallel_calls=calls)) for calls in (None, 2)
    )
    assert made == same


def test_a_record_that_changed_is_named_by_a_process_as_well(records, in_processes):
    path = Path(records.files(1)[0])
    dataset, damaged = kk.eval_dataset(records, RECIPE, 1), bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{path}, record \d .*its bytes have changed"):
        list(dataset)


def test_a_process_that_was_killed_is_an_error_and_the_next_call_starts_another():
    workers = Workers(1)
    assert workers.call(len, "abc") == 3
    workers._all[0].kill()
    with pytest.raises(RuntimeError, match="ended with exit code -9. -9 means that memory ran out"):
        workers.call(len, "abc")
    assert workers.call(len, "abcd") == 4
    with pytest.raises(TypeError, match="has no len"):
        workers.call(len, 3)
    with pytest.raises(TypeError, match="cannot pickle"):
        workers.call(len, threading.Lock())
    assert workers.call(len, "abcde") == 5
    workers.close()
    assert all(process.poll() is not None for process in workers._all)


def test_a_script_without_a_main_guard_reads_batches_from_processes_and_ends(records, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, kagglekit as kk\n"
        "from kagglekit.pipeline import batches\n"
        "batches.WORTH_PROCESSES = 0\n"
        "records = kk.open_records(sys.argv[1])\n"
        "recipe = kk.Recipe(image_size=16, batch_size=5)\n"
        "print(sum(len(ids) for *_, ids in kk.eval_dataset(records, recipe, [0, 1, 2])))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(kk.__file__).parents[1])}
    command = [sys.executable, str(script), str(records.folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "24\n"
