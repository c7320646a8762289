"""Several files of a row: channels are stacked, images are rows of their own that come together again."""

import numpy as np
import pytest
from PIL import Image

import kagglekit as kk
from kagglekit.competition.sources import read_pixels


@pytest.fixture
def write(tmp_path):
    """Return a function that writes train.csv and `<id><ending>` files, each filled with its own grey level."""

    def write(endings, suffix=".png", ids=("a_1", "b_2", "c_3", "d_4"), tests=("e_5", "f_6")):
        for part, names in (("train", ids), ("test", tests)):
            (tmp_path / "comp" / part).mkdir(parents=True)
            for row, name in enumerate(names):
                for number, ending in enumerate(endings):
                    level = np.full((9, 11), 10 * row + number, np.uint8)
                    Image.fromarray(level).save(tmp_path / "comp" / part / f"{name}{ending}{suffix}")
        lines = [f"{name},{'xy'[row % 2]}" for row, name in enumerate(ids)]
        (tmp_path / "comp" / "train.csv").write_text("\n".join(["id,label", *lines]) + "\n")
        lines = [f"{name},x" for name in tests]
        (tmp_path / "comp" / "sample_submission.csv").write_text("\n".join(["id,label", *lines]) + "\n")
        return tmp_path / "comp"

    return write


def test_colours_and_numbered_channels_are_stacked_in_their_order(write):
    comp = kk.load_competition(write(["_blue", "_yellow", "_red", "_green"]))
    assert comp.train["source"][1] == tuple(f"train/b_2_{c}.png" for c in ("red", "green", "blue", "yellow"))
    pixels = read_pixels(comp.root, comp.train["source"][1])
    assert pixels.shape == (9, 11, 4)
    assert pixels[0, 0].tolist() == [12, 13, 10, 11]
    assert comp.test["image_id"].tolist() == ["e_5", "f_6"]


def test_other_endings_are_images_of_one_row(write, tmp_path, workspace):
    comp = kk.load_competition(write(["-left", "-right"]))
    assert comp.train["image_id"].tolist()[:3] == ["a_1_left", "a_1_right", "b_2_left"]
    assert comp.train["id"].tolist()[:3] == ["a_1", "a_1", "b_2"]
    predictions = kk.Predictions(
        name="two sides", class_names=["x", "y"],
        oof_ids=comp.train["image_id"], oof=np.eye(2)[[0, 0, 1, 0, 0, 0, 1, 1]], oof_labels=comp.targets,
        oof_folds=np.zeros(8, int),
        test_ids=comp.test["image_id"], test=[[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.4, 0.6]],
    )  # fmt: skip
    fitted = predictions.fitted_to(comp)
    assert fitted.test_ids.tolist() == ["e_5", "f_6"]
    np.testing.assert_allclose(fitted.test, [[0.6, 0.4], [0.3, 0.7]])
    np.testing.assert_allclose(fitted.oof, [[1, 0], [0.5, 0.5], [1, 0], [0, 1]])
    assert fitted.oof_labels.tolist() == [0, 1, 0, 1]
    assert kk.make_submission(comp, predictions).read_text() == "id,label\ne_5,x\nf_6,y\n"


def test_a_template_names_files_from_columns(tmp_path):
    folder = tmp_path / "comp"
    for plate, well in (("1", "A1"), ("2", "B1"), ("1", "C1")):
        for channel in "12":
            path = folder / "cells" / f"P{plate}" / f"{well}-w{channel}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), int(plate + channel), np.uint8)).save(path)
    (folder / "train.csv").write_text("code,plate,well,label\nk1,1,A1,x\nk2,2,B1,y\nk3,1,C1,x\n")
    preset = kk.Preset(train_images="cells/P{plate}/{well}-w{channel}.png", channels=("2", "1"))
    comp = kk.load_competition(folder, preset, label_column="label")
    assert comp.train["source"][1] == ("cells/P2/B1-w2.png", "cells/P2/B1-w1.png")
    assert read_pixels(comp.root, comp.train["source"][1])[0, 0].tolist() == [22, 21]
    for wrong, error, message in (
        ({"train_images": "cells/P{plates}/x.png"}, ValueError, r"asks for 'plates'.* Did you mean 'plate'"),
        ({"train_images": "cells/{image}.png"}, ValueError, r"has {image}: name its values with images="),
        ({"train_images": "cells/P{plate}/{well}.png"}, FileNotFoundError, r"for 3 of 3 ids: 'cells/P1/A1.png'"),
    ):
        with pytest.raises(error, match=message):
            kk.load_competition(folder, kk.Preset(**wrong), label_column="label")
    (folder / "train.csv").write_text("code,plate,well,label\nk1,1,../../A1,x\nk2,2,B1,y\n")
    with pytest.raises(ValueError, match=r"'../../A1' does not name a file inside"):
        kk.load_competition(folder, preset, label_column="label")


def test_a_missing_channel_is_named(write):
    folder = write(["_red", "_green", "_blue"])
    (folder / "train" / "b_2_green.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"no image file for 4 of 4 ids: .*preset=kk.Preset\(train_images="):
        kk.load_competition(folder)
