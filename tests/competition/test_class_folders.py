"""One folder of images per class, with or without test images and a sample submission."""

import pytest
from conftest import write_photo

import kagglekit as kk

TRAIN = ("train/cat/1.jpg", "train/cat/2.PNG", "train/dog/1.jpg", "train/dog/deep/1.jpeg")


@pytest.fixture
def write(tmp_path):
    """Return a function that writes photos and texts below one folder and gives it."""

    def write(*photos, **texts):
        for seed, photo in enumerate(photos):
            write_photo(tmp_path / "pets" / photo, seed)
        for name, text in texts.items():
            (tmp_path / "pets" / f"{name}.csv").write_text(text)
        return tmp_path / "pets"

    return write


@pytest.mark.parametrize("top", ["train/", ""])
@pytest.mark.parametrize("test", [(), ("test/7.jpg", "test/a/8.jpg")], ids=["no test", "test"])
def test_path_below_the_classes_is_the_id(write, top, test):
    comp = kk.load_competition(write(*(photo.replace("train/", top) for photo in TRAIN), *test))
    assert comp.train["image_id"].tolist() == ["cat/1.jpg", "cat/2.PNG", "dog/1.jpg", "dog/deep/1.jpeg"]
    assert comp.train["source"].tolist() == [top + name for name in comp.train["image_id"]]
    assert comp.train["label"].tolist() == ["cat", "cat", "dog", "dog"]
    assert comp.test["id"].tolist() == [name.removeprefix("test/") for name in test]
    assert comp.test["source"].tolist() == list(test)


@pytest.mark.parametrize("sample", ["id,pet\n8,cat\n7,cat\n", "id,cat,dog\n8,1,0\n7,1,0\n", "id\n8\n7\n"])
def test_sample_gives_ids_and_their_order(write, sample):
    comp = kk.load_competition(write(*TRAIN, "test/7.jpg", "test/8.jpg", sample_submission=sample))
    assert comp.test["id"].tolist() == ["8", "7"]
    assert comp.test["source"].tolist() == ["test/8.jpg", "test/7.jpg"]
    assert comp.id_column == "id"
    assert comp.label_column == ("pet" if "pet" in sample else "label")


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        ("id,pet\n7,cat\n9,cat\n", FileNotFoundError, "sample_submission.csv: no image file for 1 of 2 ids: '9'"),
        ("id,pet\n7,cat\n7,cat\n", ValueError, "id in .*sample_submission.csv once, but '7' occur more than once"),
        ("id,pet\n../train/cat/1,cat\n", ValueError, "sample_submission.csv: id '../train/cat/1' does not name a file"),
    ],
)
def test_broken_sample_is_named(write, sample, error, message):
    with pytest.raises(error, match=message):
        kk.load_competition(write(*TRAIN, "test/7.jpg", sample_submission=sample))


def test_class_named_test_inside_train_is_not_lost(write):
    comp = kk.load_competition(write(*TRAIN, "train/test/1.jpg", "test/7.jpg"))
    assert comp.class_names == ["cat", "dog", "test"]
    assert comp.test["id"].tolist() == ["7.jpg"]


def test_hidden_and_foreign_files_are_no_rows(write):
    folder = write(*TRAIN, "train/.cache/1.jpg", "train/cat/.hidden.jpg")
    (folder / "train" / "cat" / "notes.txt").touch()
    (folder / "train" / "empty").mkdir()
    comp = kk.load_competition(folder)
    assert comp.class_names == ["cat", "dog"]
    assert len(comp.train) == len(TRAIN)


def test_columns_cannot_be_chosen(write):
    with pytest.raises(ValueError, match=r"class_folders has no table, so columns cannot be chosen"):
        kk.load_competition(write(*TRAIN), label_column="label")


@pytest.mark.parametrize("linked", ["train", "train/cat", "test"])
def test_folder_that_links_out_is_refused(write, tmp_path, linked):
    folder = write(*TRAIN, "test/7.jpg")
    (folder / linked).rename(tmp_path / "outside")
    (folder / linked).symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match=rf"pets/{linked}/\S+ is a link that leads out of \S+; copy the file"):
        kk.load_competition(folder)
