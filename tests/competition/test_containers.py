"""Pixels inside CSVs, TFRecords, BSON and arrays are read in place, exactly, and damage is named."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from replicas import cdiscount, fashion, make_image

import kagglekit as kk
from kagglekit._tfrecord import frame
from kagglekit.competition.sources import read_bytes, read_pixels, size_of


def encoded(label, number):
    stored = io.BytesIO()
    make_image(label, number).save(stored, "JPEG", quality=90)
    return stored.getvalue()


def write_tfrecords(path, rows):
    """Write records with TensorFlow itself, as organisers do."""
    import tensorflow as tf

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for values in rows:
            feature = {}
            for key, value in values.items():
                if isinstance(value, bytes):
                    feature[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                else:
                    feature[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


@pytest.fixture
def flower_records(tmp_path):
    """TFRecords in two sizes, as the flowers on Kaggle's TPUs; returns the folder and the JPEGs by id."""
    folder, images = tmp_path / "flowers", {}
    for size in ("192x192", "512x512"):
        for part, first, rows in (("train", 0, 7), ("val", 20, 3), ("test", 40, 4)):
            records = []
            for number in range(first, first + rows):
                images[f"{number:09x}"] = content = encoded(number % 3, number)
                record = {"id": f"{number:09x}".encode(), "image": content, "class": number % 3}
                if part == "test":
                    del record["class"]
                records.append(record)
            write_tfrecords(folder / f"tfrecords-jpeg-{size}" / part / f"00-{size}-{rows}.tfrec", records)
    lines = "".join(f"{number:09x},0\n" for number in range(40, 44))
    (folder / "sample_submission.csv").write_text("id,label\n" + lines)
    return folder, images


def test_tfrecords_are_read_in_place_the_largest_size_alone(flower_records, workspace):
    folder, images = flower_records
    comp = kk.load_competition(folder)
    assert (len(comp.train), len(comp.test), comp.class_names) == (10, 4, ["0", "1", "2"])
    for table in (comp.train, comp.test):
        for identifier, source in zip(table["id"], table["source"], strict=True):
            assert source.startswith("tfrecords-jpeg-512x512/")
            assert read_bytes(comp.root, source) == images[identifier]
            assert size_of(comp.root, source) == len(images[identifier])
    assert comp.train["label"].tolist() == [str(int(name, 16) % 3) for name in comp.train["id"]]
    again = kk.load_competition(folder)
    assert again.train.equals(comp.train)
    assert again.hash == comp.hash


@pytest.mark.parametrize("damage", ["flipped bit", "cut", "fewer than the name says"])
def test_damaged_tfrecord_is_named(flower_records, workspace, damage):
    folder, _ = flower_records
    path = folder / "tfrecords-jpeg-512x512" / "train" / "00-512x512-7.tfrec"
    content = bytearray(path.read_bytes())
    if damage == "flipped bit":
        content[500] ^= 4
        message = r"00-512x512-7.tfrec: record 0 at byte 0 is damaged"
    elif damage == "cut":
        content = content[:-5]
        message = r"00-512x512-7.tfrec: record 6 at byte \d+ is damaged"
    else:
        content = content[: 16 + struct.unpack("<Q", content[:8])[0]]
        message = "has 1 records, its name says 7"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        kk.load_competition(folder)


def test_record_without_an_image_is_named_with_its_keys(tmp_path, workspace):
    write_tfrecords(tmp_path / "odd" / "train.tfrec", [{"photo": b"x", "id": b"1"}])
    with pytest.raises(ValueError, match=r"record 0 has the keys \['id', 'photo'\]; expected one of \('image'"):
        kk.load_competition(tmp_path / "odd")


def test_the_checksum_is_tfrecords_own(tmp_path):
    write_tfrecords(tmp_path / "a.tfrec", [{"id": b"1"}])
    content = (tmp_path / "a.tfrec").read_bytes()
    assert frame(content[12:-4]) == content


def test_products_are_read_in_place_and_the_index_once(tmp_path, workspace):
    cdiscount(tmp_path / "shop")
    preset = kk.PRESETS["cdiscount-image-classification-challenge"]
    comp = kk.load_competition(tmp_path / "shop", preset)
    assert comp.train["image_id"].tolist()[:4] == ["0_0", "1_0", "1_1", "2_0"]
    assert {Image.open(io.BytesIO(read_bytes(comp.root, source))).format for source in comp.train["source"]} == {"JPEG"}
    indexes = list((workspace / "shop" / "index").iterdir())
    before = [path.stat().st_mtime_ns for path in indexes]
    kk.load_competition(tmp_path / "shop", preset)
    assert [path.stat().st_mtime_ns for path in indexes] == before
    assert len(indexes) == 2


@pytest.mark.parametrize("cut", [3, 50, 700])
def test_cut_bson_is_named(tmp_path, workspace, cut):
    cdiscount(tmp_path / "shop")
    path = tmp_path / "shop" / "train.bson"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ValueError, match=r"train.bson: the document at byte \d+ is damaged"):
        kk.load_competition(tmp_path / "shop", kk.PRESETS["cdiscount-image-classification-challenge"])


def test_pixels_of_a_csv_are_those_of_its_lines(tmp_path, workspace):
    fashion(tmp_path / "fashionmnist")
    comp = kk.load_competition(tmp_path / "fashionmnist")
    for number, source in enumerate(comp.train["source"]):
        expected = np.asarray(make_image(number % 4, number, (28, 28), "L"))
        np.testing.assert_array_equal(read_pixels(comp.root, source)[..., 0], expected)
    assert comp.train["label"].tolist()[:5] == ["0", "1", "2", "3", "0"]


@pytest.mark.parametrize(
    ("line", "message"),
    [("1,2,3\n", "line 4: expected 785 numbers between commas"), ('"1",' + "0," * 783 + "0\n", "line 4: expected 785")],
)
def test_broken_line_of_pixels_is_named(tmp_path, workspace, line, message):
    fashion(tmp_path / "fashionmnist")
    path = tmp_path / "fashionmnist" / "fashion-mnist_train.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], line, *lines[3:]]))
    with pytest.raises(ValueError, match=message):
        kk.load_competition(tmp_path / "fashionmnist")


def test_pixels_that_make_no_square_are_refused(tmp_path):
    header = ",".join(["label", *(f"pixel{n}" for n in range(70))])
    (tmp_path / "train.csv").write_text(header + "\n" + ",".join(["1"] * 71) + "\n")
    with pytest.raises(ValueError, match="has 70 pixels a line, which is no square image"):
        kk.load_competition(tmp_path)


@pytest.mark.parametrize(("shape", "dtype"), [((9, 7), "uint8"), ((9, 7, 3), "uint8"), ((9, 7, 5), "uint16")])
def test_arrays_come_back_exactly(workspace, shape, dtype):
    rng = np.random.default_rng(0)
    images = rng.integers(0, np.iinfo(dtype).max, (6, *shape), endpoint=True).astype(dtype)
    comp = kk.from_arrays(images, list("abcabc"), images[:2] // 2, name="arrays", ids=[f"r{n}" for n in range(6)])
    for image, source in zip(images, comp.train["source"], strict=True):
        np.testing.assert_array_equal(read_pixels(comp.root, source), image.reshape(9, 7, -1))
    np.testing.assert_array_equal(read_pixels(comp.root, comp.test["source"][1]), (images[1] // 2).reshape(9, 7, -1))
    assert comp.train["image_id"].tolist() == ["r0", "r1", "r2", "r3", "r4", "r5"]
    files = sorted(comp.root.iterdir())
    assert kk.from_arrays(images, list("abcabc"), images[:2] // 2, name="arrays").train["source"].tolist()
    assert sorted(comp.root.iterdir()) == files


def test_floats_and_differing_lengths_are_refused(workspace):
    with pytest.raises(ValueError, match=r"of uint8 from 0 to 255 or uint16, got float64 \(8, 8\) in row 0; multiply"):
        kk.from_arrays(np.zeros((2, 8, 8)), ["a", "b"], name="floats")
    with pytest.raises(ValueError, match="a label for each of 2 images, got 3"):
        kk.from_arrays(np.zeros((2, 8, 8), np.uint8), ["a", "b", "c"], name="short")
