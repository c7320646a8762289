"""PaddleClas's list files: paths with spaces, named classes, vectors of several labels."""

import pytest
from replicas import save

import kagglekit as kk


@pytest.fixture
def write(tmp_path):
    """Return a function that writes the lists and every image they name."""

    def write(images=(), **lists):
        folder = tmp_path / "lists"
        folder.mkdir()
        for name, text in lists.items():
            (folder / f"{name}.txt").write_text(text)
        for number, name in enumerate(images):
            save(folder / name, number % 2, number)
        return folder

    return write


def test_paths_may_hold_spaces_and_classes_have_names(write):
    images = ["jpg/my rose 1.jpg", "jpg/b.jpg", "jpg/c.jpg", "jpg/d.jpg", "jpg/e f.jpg"]
    folder = write(
        images,
        train_list="jpg/my rose 1.jpg 0\njpg/b.jpg 1\n",
        val_list="jpg/c.jpg 1\n\n",
        test_list="jpg/d.jpg 0\njpg/e f.jpg\n",
        label_list="0 red rose\n1 tulip\n",
    )
    comp = kk.load_competition(folder)
    assert comp.train["image_id"].tolist() == images[:3]
    assert comp.train["label"].tolist() == ["red rose", "tulip", "tulip"]
    assert comp.train["list"].tolist() == ["train", "train", "val"]
    assert comp.test["id"].tolist() == images[3:]
    assert "label" not in comp.test


def test_vectors_after_a_tab_are_several_labels(write):
    folder = write(["a b.jpg", "c.jpg"], train_list="a b.jpg\t1,0,1\nc.jpg\t0,0,0\n", label_list="sky\nsea\nsand\n")
    comp = kk.load_competition(folder)
    assert (comp.task, comp.class_names) == ("multi_label", ["sand", "sea", "sky"])
    assert comp.train["label"].tolist() == [("sky", "sand"), ()]


@pytest.mark.parametrize(
    ("lists", "error", "message"),
    [
        ({"train_list": "a.jpg 0\nb.jpg\n"}, ValueError, "train_list.txt, line 2: expected `path label`, got 'b.jpg'"),
        ({"train_list": "a.jpg 0\n../b.jpg 1\n"}, ValueError, "'../b.jpg' does not name a file inside"),
        ({"train_list": "a.jpg 0\nz.jpg 1\n"}, FileNotFoundError, "no image file for 1 of 2 ids: 'z.jpg'"),
        ({"train_list": "a.jpg 0\nb.jpg 1\n", "val_list": "a.jpg 0\n"}, ValueError, "'a.jpg' occur more than once"),
        ({"train_list": "a.jpg\t0,1\nb.jpg\t1\n"}, ValueError, r"vectors differ in length: \[1, 2\]"),
        ({"train_list": "a.jpg 0\nb.jpg 7\n", "labels": "x\ny\n"}, ValueError, "without a name in the list .*: '7'"),
    ],
)
def test_broken_lists_are_named(write, lists, error, message):
    with pytest.raises(error, match=message):
        kk.load_competition(write(["a.jpg", "b.jpg"], **lists))
