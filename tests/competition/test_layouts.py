"""Whatever lies on disk becomes the same tables, or an error that names file, row and way out."""

import pandas as pd
import pytest

import kagglekit as kk

PHOTOS = [f"{number:05d}" for number in range(6)]
LABELS = ["cat", "dog"] * 3


def test_every_line_of_train_and_sample_is_one_row_with_its_own_file(make_competition):
    comp = kk.load_competition(make_competition())
    assert comp.train["image_id"].tolist() == [f"{number:05d}" for number in range(24)]
    assert comp.train["source"].tolist() == [f"train/{number:05d}.jpg" for number in range(24)]
    assert comp.train["id"].tolist() == comp.train["image_id"].tolist()
    assert comp.test["image_id"].tolist() == ["x", "y", "z"]
    assert comp.class_names == ["cat", "dog", "owl"]
    assert (comp.id_column, comp.label_column, comp.name) == ("image_id", "label", "competition")


def test_order_of_rows_changes_neither_classes_nor_sources(make_competition):
    folder = make_competition(ids=PHOTOS, labels=["1", "01", "10", "2", "9", "1"])
    first = kk.load_competition(folder)
    table = pd.read_csv(folder / "train.csv", dtype=str)
    table.sample(frac=1, random_state=1).to_csv(folder / "train.csv", index=False)
    second = kk.load_competition(folder)
    assert first.class_names == second.class_names == ["01", "1", "2", "9", "10"]
    assert second.train.sort_values("image_id", ignore_index=True).equals(first.train)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id_column": "imageid"}, r"train.csv has no column 'imageid'. Did you mean 'image_id'\?.*with id_column="),
        ({"label_column": "labels"}, r"train.csv has no column 'labels'. Did you mean 'label'\?.*with label_column="),
        ({"group_column": "xyz"}, r"train.csv has no column 'xyz'. Its columns are \[.*with group_column="),
        ({"label_column": "image_id", "id_column": "label"}, r"label in .*train.csv once, but 'cat', 'dog' occur more"),
    ],
)
def test_wrong_column_is_answered_with_the_nearest(make_competition, arguments, message):
    with pytest.raises(ValueError, match=message):
        kk.load_competition(make_competition(ids=PHOTOS, labels=LABELS), **arguments)


ROWS = [f"{name},{label}" for name, label in zip(PHOTOS, LABELS, strict=True)]


@pytest.mark.parametrize(
    ("table", "lines", "message"),
    [
        ("train.csv", ["image_id,label", *ROWS, "00001,dog"], "image_id in .*train.csv once, but '00001' occur more"),
        (
            "sample_submission.csv",
            ["image_id,label", "x,cat", "x,cat"],
            "in .*sample_submission.csv once, but 'x' occur",
        ),
        ("sample_submission.csv", ["id,label", "x,cat"], r"train.csv has no column 'id'. Its columns are .*id_column="),
        ("train.csv", ["photo,label", *ROWS], r"train.csv has no column 'image_id'.*\['photo', 'label'\].*id_column="),
        (
            "train.csv",
            ["image_id,a,b", *(f"{row},1" for row in ROWS)],
            "the label column of .*train.csv.*label_column=",
        ),
        ("train.csv", ["image_id,label", *ROWS[1:], "00000,"], "rows without a label: '00000'; fill the label in or"),
        ("train.csv", ["image_id,label", "00000,cat"], "at least 2 classes in column 'label', got 1; choose another"),
        (
            "train.csv",
            ["image_id,label", *(f"{row},1" for row in ROWS)],
            "train.csv is not .*: rows have more cells than",
        ),
        ("train.csv", [], "train.csv is not a readable CSV: No columns to parse"),
    ],
)
def test_broken_table_is_named(make_competition, table, lines, message):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    (folder / table).write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message):
        kk.load_competition(folder)


def test_the_samples_id_column_may_be_called_otherwise(make_competition, tmp_path):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    (folder / "sample_submission.csv").write_text("id,label\nx,cat\n")
    comp = kk.load_competition(folder, id_column="image_id")
    assert comp.test["id"].tolist() == ["x"]
    assert kk.make_submission(comp, comp.sample_submission, tmp_path / "a.csv").read_text() == "id,label\nx,cat\n"


def test_byte_order_mark_and_other_columns_do_no_harm(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    plain = kk.load_competition(folder)
    for table in ("train.csv", "sample_submission.csv"):
        (folder / table).write_text((folder / table).read_text(), encoding="utf-8-sig")
    assert kk.load_competition(folder).hash == plain.hash
    lines = ["image_id,label,id,patient", *(f"{row},{number},p{number // 2}" for number, row in enumerate(ROWS))]
    (folder / "train.csv").write_text("\n".join(lines))
    comp = kk.load_competition(folder, group_column="patient")
    assert comp.train["id"].tolist() == PHOTOS  # the submission's row; the file's own column `id` is kept beside it
    assert comp.train["id_in_csv"].tolist() == list("012345")
    assert comp.train["group"].tolist() == ["p0", "p0", "p1", "p1", "p2", "p2"]


@pytest.mark.parametrize(
    ("train_columns", "sample", "label_column"),
    [
        (("image_id", "target"), "image_id,cat,dog\nx,0.5,0.5\n", "target"),
        (("image_id", "breed"), "image_id,target\nx,0.5\n", "breed"),
        (("image_id", "breed"), "image_id,breed\nx,\n", "breed"),
    ],
    ids=["one column per class", "one column of another name", "empty placeholder"],
)
def test_label_column_is_found_from_the_sample(make_competition, train_columns, sample, label_column):
    folder = make_competition(ids=PHOTOS, labels=LABELS, columns=train_columns)
    (folder / "sample_submission.csv").write_text(sample)
    comp = kk.load_competition(folder)
    assert (comp.label_column, comp.class_names, comp.test["id"].tolist()) == (label_column, ["cat", "dog"], ["x"])


def test_several_samples_are_refused_by_name(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    (folder / "sampleSubmission_v2.csv").write_text("image_id,label\nx,cat\n")
    with pytest.raises(ValueError, match=r"\['sampleSubmission_v2.csv', 'sample_submission.csv'\]; keep the right one"):
        kk.load_competition(folder)


def test_missing_and_foreign_folders_say_what_was_expected(tmp_path):
    missing = tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError, match=rf"expected the built-in name 'digits' or a folder.*(?s:.*){missing}"):
        kk.load_competition(missing)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(
        ValueError,
        match=r"no layout that is known; found \['notes.txt'\]. Expected one of: train.bson; .*; train.csv with an id",
    ):
        kk.load_competition(tmp_path)


def test_loading_writes_nothing_into_the_folder(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    kk.load_competition(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_real_photographs_load(flowers):
    assert (len(flowers.train), len(flowers.test), len(flowers.class_names)) == (720, 240, 12)
    assert all((flowers.root / source).is_file() for source in flowers.train["source"])
