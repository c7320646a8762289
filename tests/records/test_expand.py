"""Augmented copies as rows: they stay beside their image, are trained on, and are never judged by."""

import dataclasses
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kagglekit as kk
from kagglekit._random import row_generator
from kagglekit.augment import apply, draw
from kagglekit.competition.sources import read_pixels
from kagglekit.models.backbones import build_backbone
from kagglekit.training.setup import Setup
from kagglekit.training.stages import plan_stages

POLICY = [("flip_horizontal", 0.5), ("rotation", 20), ("contrast", 0.3)]
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (12, 14, 18, 3), dtype=np.uint8)
LABELS = [str(number % 2) for number in range(12)]


@pytest.fixture
def comp(workspace):
    return kk.from_arrays(PICTURES, LABELS, PICTURES[:2], name="plain")


@pytest.fixture
def photos(workspace, make_competition):
    return kk.load_competition(make_competition())


def files(expanded):
    """`{image_id: bytes}` of the copies."""
    copies = expanded.train[expanded.train["copy_of"] != ""]
    return {row.image_id: (expanded.root / row.source).read_bytes() for row in copies.itertuples()}


def test_the_images_come_first_and_each_copy_has_their_labels_and_metadata(comp):
    comp = dataclasses.replace(comp, train=comp.train.assign(site=list("abcdefghijkl")))
    expanded = kk.expand(comp, 3, POLICY)
    columns = list(comp.train)
    pd.testing.assert_frame_equal(expanded.train[columns][:12], comp.train)
    copies = expanded.train[12:]
    assert len(copies) == 36
    assert expanded.train["image_id"].is_unique
    source = comp.train.set_index("image_id").loc[copies["copy_of"]]
    for column in ("id", "label", "site"):
        assert copies[column].tolist() == source[column].tolist()
    assert copies["image_id"][:4].tolist() == ["train_0~1", "train_0~2", "train_0~3", "train_1~1"]
    pd.testing.assert_frame_equal(expanded.test, comp.test)


def test_a_copy_is_the_policy_applied_at_the_images_own_size(comp):
    expanded = kk.expand(comp, 2, POLICY, seed=5)
    for position in (0, 1, 22, 23):
        row, copy = position // 2, position % 2 + 1
        drawn = draw(POLICY, row_generator(5, 0, row, copy), box=(0, 0, 14, 18), size=(14, 18))
        stored = read_pixels(expanded.root, expanded.train["source"][12 + position])
        np.testing.assert_array_equal(stored, apply(drawn, PICTURES[row], (14, 18)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_copies_have_the_channels_and_bits_of_their_image(workspace, dtype, channels):
    images = RNG.integers(0, np.iinfo(dtype).max + 1, (4, 9, 7, channels), dtype=dtype)
    comp = kk.from_arrays(images, ["a", "b", "a", "b"], name="kinds")
    expanded = kk.expand(comp, 1, [("flip_vertical", 1)])
    for row in range(4):
        copy = read_pixels(expanded.root, expanded.train["source"][4 + row])
        np.testing.assert_array_equal(copy, images[row, ::-1])


def test_a_jpeg_gives_jpegs_and_a_photo_that_its_camera_turned_is_upright(photos):
    path = photos.root / photos.train["source"][0]
    with Image.open(path) as image:
        image.getexif()[0x0112] = 6
        image.save(path, exif=image.getexif())
        size = image.size
    expanded = kk.expand(photos, 1, POLICY)
    with Image.open(expanded.root / expanded.train["source"][24]) as copy:
        assert copy.format == "JPEG"
        assert copy.size == size[::-1]


def test_the_same_seed_gives_the_same_files_whatever_the_number_of_threads(photos, tmp_path, monkeypatch):
    from joblib import parallel_config

    from kagglekit.records import expand as module

    monkeypatch.setattr(module, "CHUNK", 5)
    with parallel_config("threading", n_jobs=1):
        first = files(kk.expand(photos, 2, POLICY, folder=tmp_path / "one"))
    assert files(kk.expand(photos, 2, POLICY, folder=tmp_path / "two")) == first
    assert files(kk.expand(photos, 2, POLICY, seed=1)) != first
    assert len(set(first.values())) == 48


def test_a_call_that_was_interrupted_goes_on_and_a_changed_image_is_copied_again(photos, monkeypatch):
    from kagglekit.records import expand as module

    monkeypatch.setattr(module, "CHUNK", 6)
    damaged = photos.root / photos.train["source"][20]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:200])
    with pytest.raises(ValueError, match=rf"1 images .*{damaged.name}"):
        kk.expand(photos, 1, POLICY)
    folders = sorted((photos.workspace / "expanded").glob("*/*"))
    assert [folder.name for folder in folders] == ["00000000", "00000006", "00000012"]
    before = {path: path.stat().st_mtime_ns for folder in folders for path in folder.iterdir()}
    damaged.write_bytes(whole)
    expanded = kk.expand(photos, 1, POLICY)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(files(expanded)) == 24

    changed = photos.root / photos.train["source"][0]
    changed.write_bytes((photos.root / photos.train["source"][1]).read_bytes())
    os.utime(changed, ns=(1, 1))
    again = kk.expand(photos, 1, POLICY)
    assert again.hash == expanded.hash
    assert {path for path, time in before.items() if path.stat().st_mtime_ns != time} == set(folders[0].iterdir())


@pytest.mark.parametrize("groups", [None, [f"patient{number // 3}" if number < 6 else "" for number in range(24)]])
def test_no_fold_separates_a_copy_from_its_image(photos, groups):
    if groups:
        photos = dataclasses.replace(photos, train=photos.train.assign(group=groups))
    expanded = kk.expand(photos, 3, POLICY)
    folds = kk.assign_folds(expanded, 3)
    copies = expanded.train[expanded.train["copy_of"] != ""]
    assert folds[copies["image_id"]].tolist() == folds[copies["copy_of"]].tolist()
    by_group = folds.groupby(expanded.train.set_index("image_id")["group"])
    assert by_group.nunique().max() == 1
    assert by_group.ngroups == (24 if groups is None else 2 + 18)
    report = kk.fold_report(expanded, folds, kk.duplicate_groups(expanded)).set_index("check")["verdict"]
    assert report["groups in several folds"] == "good"
    assert report["near-duplicates in several folds"] == "good"


def test_records_refuse_folds_that_separate_them(comp):
    expanded = kk.expand(comp, 1, POLICY)
    with pytest.raises(ValueError, match=r"copies in another fold than their image: 'train_1~1'"):
        kk.write_records(expanded, [number % 3 for number in range(12)] + [0, 2, *[n % 3 for n in range(2, 12)]])


def test_folds_of_the_images_serve_their_copies(comp):
    expanded, folds = kk.expand(comp, 2, POLICY), kk.assign_folds(comp, 3)
    everything = folds.to_dict() | dict(zip(expanded.train["image_id"][12:], np.repeat(folds, 2), strict=True))
    records = kk.write_records(expanded, folds, record_size=14)
    assert records.folder == kk.write_records(expanded, everything, record_size=14).folder
    kk.save_folds(comp, folds)
    assert kk.load_folds(expanded).to_dict() == folds.to_dict()
    report = kk.fold_report(expanded, folds).set_index("check")["verdict"]
    assert report["groups in several folds"] == "good"
    with pytest.raises(ValueError, match="folds lack 3 images"):
        kk.write_records(expanded, folds[1:], record_size=14)


def test_copies_are_trained_on_and_not_evaluated(comp):
    expanded = kk.expand(comp, 2, POLICY)
    folds = kk.assign_folds(expanded, 3)
    records = kk.write_records(expanded, folds, record_size=14)
    recipe = kk.Recipe(backbone="small_cnn", weights=None, image_size=(14, 18), policy="none", batch_size=4)
    fed = np.concatenate([images for images, _ in kk.train_dataset(records, recipe, [1, 2], epochs=1)])
    trained = expanded.train[folds.loc[expanded.train["image_id"]].isin([1, 2]).to_numpy()]
    expected = [read_pixels(expanded.root, source) for source in trained["source"]]
    assert sorted(image.astype(np.uint8).tobytes() for image in fed) == sorted(image.tobytes() for image in expected)
    evaluated = [name.decode() for *_, ids in kk.eval_dataset(records, recipe, records.folds) for name in ids.numpy()]
    assert sorted(evaluated) == sorted(comp.train["image_id"])


def test_a_head_on_frozen_features_is_trained_on_copies_too_but_not_scored_on_them(comp, tmp_path):
    expanded = kk.expand(comp, 2, POLICY)
    records = kk.write_records(expanded, kk.assign_folds(expanded, 3), record_size=14)
    build_backbone("small_cnn", (14, 18), weights=None).save_weights(tmp_path / "own.weights.h5")
    weights = str(tmp_path / "own.weights.h5")
    recipe = kk.Recipe(
        backbone="small_cnn", weights=weights, image_size=(14, 18), batch_size=5, frozen_epochs=2, epochs=0
    )
    setup = Setup.of_run(records, recipe, "accuracy", tmp_path)
    (stage,) = plan_stages(setup)
    assert np.bincount(stage.rows.folds).tolist() == [12, 12, 12]
    for fold in records.folds:
        history, predictions = stage.fit(fold, None)
        assert len(predictions) == records.rows(fold) == 4
        assert [row["epoch"] for row in history] == [1, 2]


def test_a_run_scores_each_image_once(digits, quick_recipe, workspace):
    few = digits.train.groupby("label").head(6).reset_index(drop=True)
    expanded = kk.expand(dataclasses.replace(digits, name="few", train=few, test=digits.test[:5]), 2, "tiny")
    folds = kk.assign_folds(dataclasses.replace(digits, train=few), 2)  # of the images alone
    run = kk.cross_validate(expanded, folds, quick_recipe.replace(epochs=1))
    assert sorted(run.oof["image_id"]) == sorted(few["image_id"])
    predictions = kk.predict(run)
    assert sorted(predictions.fitted_to(expanded).oof_ids) == sorted(few["id"])
    reference = kk.reference_predictions(expanded, folds)
    assert sorted(reference.oof_ids) == sorted(few["id"])


def test_what_cannot_be_expanded_says_why(comp):
    with pytest.raises(ValueError, match="expected copies to be a whole number from 1 to 999, got 0"):
        kk.expand(comp, 0, POLICY)
    with pytest.raises(ValueError, match="changes nothing"):
        kk.expand(comp, 1, "none")
    with pytest.raises(ValueError, match="has copies already"):
        kk.expand(kk.expand(comp, 1, POLICY), 1, POLICY)
