"""Which file an id means; no id and no link leads out of the competition's folder."""

import re

import pytest
from conftest import write_photo

import kagglekit as kk

PHOTOS = [f"{number:05d}" for number in range(6)]
LABELS = ["cat", "dog"] * 3


@pytest.mark.parametrize(
    ("ids", "suffix", "sources"),
    [
        (["00012", "NA", "1e5", "a.b"], ".png", ["00012.png", "NA.png", "1e5.png", "a.b.png"]),
        (["a.jpg", "b.jpg", "c.jpg", "d.jpg"], "", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]),
        (["p1/a", "p2/a", "p1/b", "p2/b"], ".jpg", ["p1/a.jpg", "p2/a.jpg", "p1/b.jpg", "p2/b.jpg"]),
        (["ä ö", "#1", "x,y", 'q"q'], ".jpg", ["ä ö.jpg", "#1.jpg", "x,y.jpg", 'q"q.jpg']),
    ],
    ids=["like numbers", "with extension", "paths", "odd characters"],
)
def test_ids_are_kept_and_find_their_files(make_competition, ids, suffix, sources):
    comp = kk.load_competition(make_competition(ids=ids, labels=LABELS[:4], test_ids=ids, suffix=suffix))
    assert comp.train["image_id"].tolist() == comp.test["image_id"].tolist() == ids
    assert comp.train["source"].tolist() == [f"train/{source}" for source in sources]
    assert comp.test["source"].tolist() == [f"test/{source}" for source in sources]


def test_bare_names_find_files_in_sub_folders(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    (folder / "train" / "deep").mkdir()
    (folder / "train" / "00003.jpg").rename(folder / "train" / "deep" / "00003.jpg")
    assert kk.load_competition(folder).train["source"][3] == "train/deep/00003.jpg"


@pytest.mark.parametrize(("part", "table"), [("train", "train.csv"), ("test", "sample_submission.csv")])
def test_row_without_file_is_named_and_never_takes_the_other_parts_file(make_competition, part, table):
    folder = make_competition(ids=PHOTOS, labels=LABELS, test_ids=PHOTOS)  # the same names in train/ and test/
    (folder / part / "00003.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=rf"{table}: no image file for 1 of 6 ids: '00003'; .*remove the rows"):
        kk.load_competition(folder)


def test_id_that_means_several_files_is_refused(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    write_photo(folder / "train" / "00001.png", 1)
    with pytest.raises(ValueError, match=r"'00001' means several files: .*00001.jpg.*00001.png.*give ids as paths"):
        kk.load_competition(folder)


@pytest.mark.parametrize("trick", ["../../etc/passwd", "/etc/passwd", "a/../../b", "..\\b", "C:\\b", " "])
@pytest.mark.parametrize("table", ["train.csv", "sample_submission.csv"])
def test_ids_cannot_lead_out_of_the_folder(make_competition, table, trick):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    with open(folder / table, "a") as file:
        file.write(f"{trick},cat\n")
    with pytest.raises(ValueError, match=rf"{table}: id {re.escape(repr(trick))} does not name a file inside"):
        kk.load_competition(folder)


def test_link_that_leads_out_is_refused_and_one_inside_is_not(make_competition, tmp_path):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    link = folder / "train" / "00002.jpg"
    link.unlink()
    link.symlink_to(folder / "train" / "00001.jpg")
    assert kk.load_competition(folder).train["source"][2] == "train/00002.jpg"
    write_photo(tmp_path / "secret.jpg", 1)
    link.unlink()
    link.symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(ValueError, match=r"00002.jpg is a link that leads out of .*copy the file into the folder"):
        kk.load_competition(folder)
