"""Every preset's replica goes from raw files to a validated submission."""

import numpy as np
import pandas as pd
import pytest
from replicas import WRITERS

import kagglekit as kk
from kagglekit.competition.sources import read_pixels

# name -> train images, test images, submission rows, classes, task, channels of an image
EXPECTED = {
    "intel-image-classification": (18, 5, 5, 3, "single_label", 3),
    "recursion-cellular-image-classification": (36, 12, 6, 3, "single_label", 6),
    "siim-isic-melanoma-classification": (24, 6, 6, 2, "single_label", 3),
    "aptos2019-blindness-detection": (15, 5, 5, 5, "ordinal", 3),
    "diabetic-retinopathy-detection": (18, 6, 6, 3, "ordinal", 3),
    "fashionmnist": (20, 6, 6, 4, "single_label", 1),
    "cdiscount-image-classification-challenge": (36, 12, 6, 3, "single_label", 3),
    "plant-seedlings-classification": (18, 5, 5, 3, "single_label", 3),
    "ava-aesthetic-visual-assessment": (20, 0, 0, 10, "distribution", 3),
    "human-protein-atlas-image-classification": (20, 6, 6, 5, "multi_label", 4),
    "lemon-quality": (20, 5, 5, 4, "ordinal", 3),
}


@pytest.fixture(params=WRITERS)
def replica(request, tmp_path):
    """The name of a preset and the folder of its replica, which is called like the preset."""
    folder = tmp_path / request.param
    WRITERS[request.param](folder)
    return request.param, folder


def test_every_preset_has_a_replica_and_says_what_it_is():
    assert kk.PRESETS.keys() == WRITERS.keys() == EXPECTED.keys()
    for preset in kk.PRESETS.values():
        assert all((preset.title, preset.metric, preset.preprocessing, preset.loss, preset.source))


@pytest.mark.filterwarnings("ignore:.*fewer images")
def test_replica_goes_from_raw_files_to_a_validated_submission(replica, workspace):
    name, folder = replica
    comp = kk.load_competition(folder)
    train, test, rows, classes, task, channels = EXPECTED[name]
    assert (len(comp.train), len(comp.test), len(comp.classes), comp.task) == (train, test, classes, task)
    assert comp.metric == kk.PRESETS[name].metric

    report = kk.check_images(comp)
    assert len(report) == train + test
    assert not report["problem"].str.startswith("unreadable").any()
    assert {read_pixels(comp.root, source).shape[2] for source in comp.train["source"]} == {channels}

    folds = kk.assign_folds(comp, n_splits=3, groups=kk.duplicate_groups(comp))
    predictions = kk.reference_predictions(comp, folds)
    assert len(predictions.test) == rows
    assert predictions.oof_ids.tolist() == comp.train["id"].drop_duplicates().tolist()
    if not rows:
        with pytest.raises(ValueError, match="no test images, so there is nothing to submit"):
            kk.make_submission(comp, predictions)
        return
    path = kk.make_submission(comp, predictions)
    sample = comp.sample_submission
    header = "infer" if kk.PRESETS[name].header else None
    written = pd.read_csv(path, dtype=str, header=header)
    ids = comp.test["id"].drop_duplicates().tolist() if sample is None else sample.iloc[:, 0].tolist()
    assert written.iloc[:, 0].tolist() == ids
    if header and sample is not None:
        assert written.columns.tolist() == sample.columns.tolist()
    if comp.submission_form == "one probability":
        assert written.iloc[:, 1].astype(float).between(0, 1).all()
    else:
        assert set(" ".join(written.iloc[:, 1]).split()) <= set(" ".join(comp.class_names).split())


@pytest.mark.parametrize("replica", [name for name in WRITERS if EXPECTED[name][4] != "multi_label"], indirect=True)
def test_every_row_has_the_image_of_its_label(replica, workspace):
    """A replica's image is as bright as its label says, all files of a row alike."""
    comp = kk.load_competition(replica[1])
    labels = comp.train["label"].map(lambda label: label if comp.task.one_label else np.argmax(label))
    brightness = np.array([read_pixels(comp.root, source).mean() for source in comp.train["source"]])
    levels = pd.Series(brightness).groupby(labels.to_numpy()).agg(["min", "max"])
    assert (levels["max"] - levels["min"]).max() < np.ptp(levels.to_numpy()) / 3


def test_groups_of_the_presets_stay_in_one_fold(tmp_path, workspace):
    for name, group in (
        ("siim-isic-melanoma-classification", lambda comp: comp.train["group"]),
        ("diabetic-retinopathy-detection", lambda comp: comp.train["id"].str.split("_").str[0]),
        ("recursion-cellular-image-classification", lambda comp: comp.train["id"].str.split("_").str[0]),
        ("cdiscount-image-classification-challenge", lambda comp: comp.train["id"]),
    ):
        WRITERS[name](tmp_path / name)
        comp = kk.load_competition(tmp_path / name)
        folds = kk.assign_folds(comp, n_splits=3)
        assert folds.groupby(group(comp).to_numpy()).nunique().max() == 1, name


def test_unknown_preset_is_answered_with_the_nearest(make_competition):
    with pytest.raises(ValueError, match=r"no preset 'aptos'.* There are \['aptos2019-blindness-detection'"):
        kk.load_competition(make_competition(), "aptos")


def test_choices_go_before_the_preset(tmp_path):
    folder = tmp_path / "aptos2019-blindness-detection"
    WRITERS[folder.name](folder)
    comp = kk.load_competition(folder, metric="rmse", task="regression")
    assert (comp.metric, comp.task, comp.train["label"].tolist()[:3]) == ("rmse", "regression", [0.0, 1.0, 2.0])
