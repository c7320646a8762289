"""Preprocessing when records are written: once, in order, on the upright image, and part of what names them."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

import kagglekit as kk
from kagglekit.records.preprocess import PREPROCESS, check_preprocess
from kagglekit.records.rows import RowReader

PHOTO = np.asarray(Image.fromarray(load_sample_images().images[0]).resize((96, 64)))


def competition(root, named, **columns):
    """`{file name: PIL image or list of them}`, all but the last of training; metadata as columns of all rows."""
    root.mkdir(exist_ok=True)
    sources = []
    for name, images in named.items():
        several = isinstance(images, list)
        files = [f"{number}-{name}" for number in range(len(images))] if several else [name]
        for file, image in zip(files, images if several else [images], strict=True):
            image.save(root / file, exif=image.getexif())
        sources.append(tuple(files) if several else name)
    names = list(named)
    table = pd.DataFrame({"image_id": names, "id": names, "source": sources} | columns, dtype=object)
    train = table[:-1].assign(label=[str(number % 2) for number in range(len(names) - 1)])
    return kk.Competition("pre", root, train, table[-1:].reset_index(drop=True))


def written(comp, **options):
    return kk.write_records(comp, [0] * len(comp.train), **{"record_size": 4096} | options)


def pixels(records, part=0):
    """The stored images of a part, by PIL, planes stacked."""
    reader = RowReader(records, part)
    rows = [list(row) for row in reader.read(np.arange(len(reader)))]
    return [np.dstack([np.asarray(Image.open(io.BytesIO(plane))) for plane in row]) for row in rows]


def pngs(count=3, image=PHOTO):
    return {f"{number}.png": Image.fromarray(np.roll(image, number, axis=0)) for number in range(count)}


STEPS = ["crop_grey_border", "circle_crop", ("ben_graham", {"radius": 20}), "standardise_per_image", "hsv_mask"]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step if isinstance(step, str) else step[0])
def test_stored_images_of_train_and_test_are_what_the_function_gives(workspace, tmp_path, step):
    name, options = (step, {}) if isinstance(step, str) else step
    records = written(competition(tmp_path / "raw", pngs()), preprocess=[step])
    for number, stored in enumerate(pixels(records) + pixels(records, "test")):
        np.testing.assert_array_equal(stored, PREPROCESS[name](np.roll(PHOTO, number, axis=0), **options))


def test_steps_follow_each_other_and_the_reduction_comes_last(workspace, tmp_path):
    comp = competition(tmp_path / "raw", pngs())
    stored = pixels(written(comp, preprocess=["circle_crop", "standardise_per_image"], record_size=16))[0]
    other_order = pixels(written(comp, preprocess=["standardise_per_image", "circle_crop"], record_size=16))[0]
    whole = PREPROCESS["standardise_per_image"](PREPROCESS["circle_crop"](PHOTO))
    reduced = np.asarray(Image.fromarray(whole).resize((16, 16), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(stored, reduced)
    assert (stored != other_order).any()


def test_a_jpeg_stays_a_jpeg_and_a_png_loses_nothing(workspace, tmp_path):
    named = {"a.jpg": Image.fromarray(PHOTO), "b.png": Image.fromarray(PHOTO), "c.png": Image.fromarray(PHOTO)}
    records = written(competition(tmp_path / "raw", named), preprocess=["circle_crop"])
    jpeg, png = (bytes(next(iter(row))[:3]) for row in RowReader(records, 0).read(np.arange(2)))
    assert (jpeg, png) == (b"\xff\xd8\xff", b"\x89PN")


def test_grey_images_become_rgb(workspace, tmp_path):
    records = written(competition(tmp_path / "raw", pngs(image=PHOTO[..., 0])), preprocess=["grey_to_rgb"])
    np.testing.assert_array_equal(pixels(records)[0], np.dstack([PHOTO[..., 0]] * 3))
    assert records.manifest["grey"] is False


def test_a_image_that_its_camera_turned_is_upright_before_it_is_cropped(workspace, tmp_path):
    turned = Image.fromarray(PHOTO)
    turned.getexif()[0x0112] = 6  # the upright image is this one turned clockwise
    box = {"y": "0", "x": "10", "h": "90", "w": "20"}
    comp = competition(tmp_path / "raw", dict.fromkeys(["a.png", "b.png", "c.png"], turned), **box)
    records = written(comp, preprocess=[("crop_to_box", {"box": list(box)})])
    np.testing.assert_array_equal(pixels(records)[0], np.rot90(PHOTO, -1)[0:90, 10:30])


def test_each_image_is_cropped_to_its_own_box_with_fractions(workspace, tmp_path):
    boxes = {"top": ["0", "5", "8.5"], "left": ["0", "6", "1"], "height": ["64", "7", "2"], "width": ["96", "8", "3"]}
    records = written(competition(tmp_path / "raw", pngs(), **boxes), preprocess=["crop_to_box"])
    first, second = pixels(records)
    np.testing.assert_array_equal(first, PHOTO)
    np.testing.assert_array_equal(second, np.roll(PHOTO, 1, axis=0)[5:12, 6:14])
    np.testing.assert_array_equal(pixels(records, "test")[0], np.roll(PHOTO, 2, axis=0)[8:11, 1:4])


def test_other_boxes_are_other_records(workspace, tmp_path):
    cells = {"top": ["0"] * 3, "left": ["0"] * 3, "height": ["9"] * 3, "width": ["9"] * 3}
    first = written(competition(tmp_path / "raw", pngs(), **cells), preprocess=["crop_to_box"])
    second = written(
        competition(tmp_path / "raw", pngs(), **cells | {"top": ["0", "1", "0"]}), preprocess=["crop_to_box"]
    )
    assert first.folder != second.folder
    assert first.hash != second.hash


def test_files_of_one_image_are_preprocessed_together(workspace, tmp_path):
    planes = [Image.fromarray(np.ascontiguousarray(np.roll(PHOTO, shift, axis=1)[..., 0])) for shift in range(6)]
    named = {f"{number}.png": planes for number in range(3)}
    stored = pixels(written(competition(tmp_path / "raw", named), preprocess=["standardise_per_image"]))[0]
    np.testing.assert_array_equal(stored, PREPROCESS["standardise_per_image"](np.dstack(planes)))
    with pytest.raises(ValueError, match=r"0-0\.png \+ .* \(expected an RGB image, got 6 channels"):
        written(competition(tmp_path / "raw", named), preprocess=["hsv_mask"])


def test_images_of_16_bits_are_refused_by_name(workspace, tmp_path):
    deep = PHOTO[..., 0].astype(np.uint16) * np.uint16(257)
    with pytest.raises(ValueError, match=r"and preprocessed: '0\.png \(circle_crop: preprocessing is for 8-bit images"):
        written(competition(tmp_path / "raw", pngs(image=deep)), preprocess=["circle_crop"])


def test_a_box_outside_its_image_or_without_a_number_names_the_image(workspace, tmp_path):
    cells = {"top": ["0"] * 3, "left": ["0"] * 3, "height": ["9", "65", "9"], "width": ["9"] * 3}
    with pytest.raises(ValueError, match=r"1 images .*'1\.png \(expected a box .* within the image of 64x96"):
        written(competition(tmp_path / "raw", pngs(), **cells), preprocess=["crop_to_box"])
    cells["height"][1] = ""
    with pytest.raises(ValueError, match=r"no number in \['top', 'left', 'height', 'width'\] of '1\.png'"):
        written(competition(tmp_path / "raw", pngs(), **cells), preprocess=["crop_to_box"])
    with pytest.raises(ValueError, match="needs the names of four columns"):
        written(competition(tmp_path / "raw", pngs()), preprocess=["crop_to_box"])


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        ("circle_crop", "expected preprocess to be a list of names"),
        (["circle"], "each step of preprocess .* Did you mean 'circle_crop'"),
        ([("ben_graham", {"radios": 3})], "an argument of ben_graham .* Did you mean 'radius'"),
        ([("ben_graham", 3)], "each step of preprocess"),
    ],
)
def test_what_is_no_preprocessing_is_refused(preprocess, message):
    with pytest.raises(ValueError, match=message):
        check_preprocess(preprocess)


def test_preprocessing_names_the_records_and_none_leaves_the_name(workspace, tmp_path):
    comp = competition(tmp_path / "raw", pngs())
    plain, none, circle = (
        written(comp, **options) for options in ({}, {"preprocess": ()}, {"preprocess": ["circle_crop"]})
    )
    assert plain.folder == none.folder
    assert "preprocess" not in plain.manifest
    assert circle.folder != plain.folder
    assert circle.manifest["preprocess"] == [["circle_crop", {}]]
    again = (circle.folder / "manifest.json").stat().st_mtime_ns
    written(comp, preprocess=("circle_crop",))
    assert (circle.folder / "manifest.json").stat().st_mtime_ns == again


def test_a_run_trains_on_preprocessed_records_and_says_so(workspace, digits, quick_folds, quick_recipe):
    recipe = quick_recipe.replace(preprocess=["standardise_per_image"], epochs=1)
    run = kk.cross_validate(digits, quick_folds, recipe, fold_numbers=[0])
    assert run.recipe.preprocess == ("standardise_per_image",)
    manifest = json.loads((run.records().folder / "manifest.json").read_text())
    assert manifest["preprocess"] == [["standardise_per_image", {}]]
    assert recipe.hash != quick_recipe.replace(epochs=1).hash
