"""Decoding: any number of channels and bits, the three ways to the network's size, and no more decoded than needed."""

import io

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

import kagglekit as kk
from kagglekit.pipeline import decoding
from kagglekit.pipeline.decoding import Decoder
from kagglekit.records import write

PHOTO = Image.fromarray(load_sample_images().images[0])  # china.jpg, 427 x 640
RECIPE = kk.Recipe(backbone="small_cnn", weights=None, image_size=16, record_size=32, batch_size=4, policy="none")


def make_images(rows, channels, dtype, size=(16, 16), seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (rows, *size, channels), dtype)


def evaluated(records, recipe, parts, **options):
    """`(images, labels, ids)` of all batches, joined."""
    batches = list(kk.eval_dataset(records, recipe, parts, **options))
    return tuple(np.concatenate(part) for part in zip(*batches, strict=True))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4, 6])
@pytest.mark.parametrize(("shard_rows", "batch_size"), [(1, 4), (4, 100)])
def test_every_row_of_every_kind_comes_out_once_in_order_with_its_pixels(
    workspace, monkeypatch, dtype, channels, shard_rows, batch_size
):
    monkeypatch.setattr(write, "SHARD_ROWS", shard_rows)
    pixels, labels = make_images(11, channels, dtype), list("abcabcabcab")
    comp = kk.from_arrays(pixels, labels, pixels[:5], name="kinds")
    records = kk.write_records(comp, [row % 2 for row in range(11)])
    recipe = RECIPE.replace(channels=channels, batch_size=batch_size)
    images, numbers, ids = evaluated(records, recipe, [1, 0])
    rows = [*range(1, 11, 2), *range(0, 11, 2)]
    assert [name.decode() for name in ids] == [f"train_{row}" for row in rows]
    assert numbers.tolist() == ["abc".index(labels[row]) for row in rows]
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, pixels[rows] / (257 if dtype == np.uint16 else 1), rtol=1e-6)
    images, numbers, ids = evaluated(records, recipe, "test")
    assert ([name.decode() for name in ids], numbers.tolist()) == (["0", "1", "2", "3", "4"], [-1] * 5)


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (6, np.uint16)])
def test_training_sees_the_same_pixels(workspace, channels, dtype):
    pixels = make_images(11, channels, dtype)
    records = kk.write_records(
        kk.from_arrays(pixels, list("abcabcabcab"), name="kinds"), [row % 2 for row in range(11)]
    )
    recipe = RECIPE.replace(channels=channels)
    images = np.concatenate([images for images, _ in kk.train_dataset(records, recipe, [0, 1], epochs=1)])
    expected = pixels / (257 if dtype == np.uint16 else 1)
    images, expected = (sorted(array.tolist()) for array in (images, expected))
    np.testing.assert_allclose(images, expected, rtol=1e-6)


def test_sixteen_bits_beside_eight_bits_keep_their_range(workspace, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    deep = make_images(1, 1, np.uint16)[0, ..., 0]
    shallow = make_images(1, 1, np.uint8)[0, ..., 0]
    Image.fromarray(deep).save(folder / "deep.png")
    Image.fromarray(shallow).save(folder / "shallow.png")
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save(folder / "white.jpg")
    names = ["deep.png", "shallow.png", "white.jpg"]
    table = pd.DataFrame({"image_id": names, "id": names, "source": names, "label": ["a", "b", "a"]})
    records = kk.write_records(kk.Competition("mixed", folder, table, table[:0]), [0, 0, 0])
    images, *_ = evaluated(records, RECIPE.replace(channels=1), 0)
    np.testing.assert_allclose(images[0, ..., 0], deep / 257, rtol=1e-6)
    np.testing.assert_allclose(images[1, ..., 0], shallow, rtol=1e-6)
    np.testing.assert_allclose(images[2], 255, rtol=1e-6)


def test_channels_that_the_records_do_not_hold_are_refused(workspace):
    four = kk.write_records(kk.from_arrays(make_images(4, 4, np.uint8), list("abab"), name="four"), [0] * 4)
    with pytest.raises(ValueError, match=r"images of 4 files a row; use recipe.replace\(channels=4\)"):
        kk.eval_dataset(four, RECIPE.replace(channels=3), 0)
    one = kk.write_records(kk.from_arrays(make_images(4, 1, np.uint8), list("abab"), name="one"), [0] * 4)
    with pytest.raises(ValueError, match="one file a row, so channels must be 1 or 3, got 4"):
        kk.train_dataset(one, RECIPE.replace(channels=4), [0])


# ---- resize modes against numpy


def bilinear(pixels, size):
    """Half-pixel bilinear sampling, edge pixels repeated; below half the size by way of twice the size; float64."""
    for axis, length in enumerate(size):
        steps = [length]
        while pixels.shape[axis] > 2 * steps[0]:
            steps.insert(0, 2 * steps[0])
        for step in steps:
            old = pixels.shape[axis]
            place = np.clip((np.arange(step) + 0.5) * old / step - 0.5, 0, old - 1)
            low = np.floor(place).astype(int)
            high = np.minimum(low + 1, old - 1)
            share = (place - low).reshape([-1 if axis == other else 1 for other in range(3)])
            pixels = np.take(pixels, low, axis) * (1 - share) + np.take(pixels, high, axis) * share
    return pixels


def reference(pixels, size, resize):
    height, width = pixels.shape[:2]
    if resize == "squash":
        return bilinear(pixels, size)
    if resize == "short_side_crop":
        scale = min(height / size[0], width / size[1])
        inner = round(scale * size[0]), round(scale * size[1])
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        return bilinear(pixels[top : top + inner[0], left : left + inner[1]], size)
    scale = min(size[0] / height, size[1] / width)
    inner = round(scale * height), round(scale * width)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    result = np.full((*size, pixels.shape[2]), 128.0)
    result[top : top + inner[0], left : left + inner[1]] = bilinear(pixels, inner)
    return result


@pytest.mark.parametrize("resize", ["squash", "short_side_crop", "letterbox"])
@pytest.mark.parametrize("size", [(12, 20), (20, 9), (31, 31)])
@pytest.mark.parametrize(("shape", "channels"), [((16, 16), 3), ((17, 30), 3), ((29, 13), 1), ((30, 21), 4)])
def test_each_way_to_the_networks_size_is_the_plain_reference(workspace, resize, size, shape, channels):
    pixels = make_images(3, channels, np.uint8, shape)
    records = kk.write_records(kk.from_arrays(pixels, list("aba"), name="shapes"), [0] * 3, record_size=18)
    if min(shape) > 18:
        pixels = None  # stored smaller: compared with what is stored
    recipe = RECIPE.replace(image_size=size, resize=resize, channels=channels)
    images, *_ = evaluated(records, recipe, 0)
    if pixels is None:
        stored = [tf.train.Example.FromString(row.numpy()) for row in tf.data.TFRecordDataset(records.files(0))]
        planes = [row.features.feature["image"].bytes_list.value for row in stored]
        pixels = [np.stack([np.asarray(Image.open(io.BytesIO(part))) for part in parts], -1) for parts in planes]
    for image, original in zip(images, pixels, strict=True):
        np.testing.assert_allclose(image, reference(original.astype(float), size, resize), atol=1e-3)


def test_a_training_crop_lies_anywhere_and_an_evaluation_crop_in_the_middle(workspace):
    pixels = np.broadcast_to(np.arange(40, dtype=np.uint8) * 5, (6, 16, 40))  # the grey level tells the column
    records = kk.write_records(kk.from_arrays(pixels, list("ababab"), name="wide"), [0] * 6)
    recipe = RECIPE.replace(resize="short_side_crop", channels=1)
    images, *_ = evaluated(records, recipe, 0)
    np.testing.assert_array_equal(images[..., 0], pixels[:, :, 12:28])
    starts = []
    for images, _ in kk.train_dataset(records, recipe, [0], epochs=20):
        for image in images.numpy()[..., 0] / 5:
            starts.append(int(image[0, 0]))
            np.testing.assert_array_equal(image, np.broadcast_to(np.arange(16) + starts[-1], (16, 16)))
    assert min(starts) <= 2
    assert max(starts) >= 22


# ---- JPEG


def photo_records(folder, size, record_size, count=2):
    """Records of the photograph as JPEG of `size` (width, height), and its encoded bytes."""
    (folder / "raw").mkdir()
    stored = io.BytesIO()
    PHOTO.resize(size, Image.Resampling.LANCZOS).save(stored, "JPEG", quality=92)
    for name in "ab"[:count]:
        (folder / "raw" / f"{name}.jpg").write_bytes(stored.getvalue())
    table = pd.DataFrame({"image_id": ["a", "b"], "id": ["a", "b"], "source": ["a.jpg", "b.jpg"], "label": ["a", "b"]})
    comp = kk.Competition("photo", folder / "raw", table, table[:0])
    return kk.write_records(comp, [0, 0], record_size=record_size), stored.getvalue()


@pytest.mark.parametrize(("size", "ratio"), [((640, 427), 1), ((640, 448), 2), ((1300, 900), 4), ((1800, 1792), 8)])
def test_a_jpeg_is_decoded_no_smaller_than_the_network_and_no_larger_than_twice(workspace, tmp_path, size, ratio):
    records, content = photo_records(tmp_path, size, record_size=2000)
    recipe = RECIPE.replace(image_size=224, record_size=2000)
    decoder, shape = Decoder(records, recipe), size[::-1]
    decoded = decoder.decode([content], shape, decoder.box(shape))
    assert decoded.shape == (-(-size[1] // ratio), -(-size[0] // ratio), 3)
    assert min(decoded.shape[:2]) >= 224
    assert ratio == 8 or min(decoded.shape[:2]) < 448
    images, *_ = evaluated(records, recipe, 0)
    plain = Image.open(io.BytesIO(content))
    plain.draft("RGB", (size[0] // ratio, size[1] // ratio))  # libjpeg's own reduction
    np.testing.assert_allclose(images[0], bilinear(np.asarray(plain, float), (224, 224)), atol=1e-3)


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_scaled_decoding_is_pils(workspace, tmp_path, ratio):
    side = 56 * ratio
    records, content = photo_records(tmp_path, (side, side), record_size=side)
    images, *_ = evaluated(records, RECIPE.replace(image_size=56, record_size=side), 0)
    plain = Image.open(io.BytesIO(content))
    plain.draft("RGB", (56, 56))  # libjpeg's own reduction
    assert plain.size == (56, 56)
    np.testing.assert_array_equal(images[0], np.asarray(plain))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_simplejpeg_and_opencv_give_the_same_pixels(workspace, tmp_path, monkeypatch, mode, subsampling, channels):
    records, _ = photo_records(tmp_path, (64, 64), record_size=64)
    decoder, stored = Decoder(records, RECIPE.replace(channels=channels)), io.BytesIO()
    PHOTO.convert(mode).save(stored, "JPEG", quality=88, subsampling=subsampling)
    for window in ((0, 0, 427, 640), (0, 0, 70, 70), (0, 0, 40, 40), (0, 0, 20, 20)):  # reduced by 8, 4, 2 and 1
        images = []
        for library in (decoding.simplejpeg, None):
            monkeypatch.setattr(decoding, "simplejpeg", library)
            images.append(decoder.decode([stored.getvalue()], (427, 640), window))
        np.testing.assert_array_equal(*images)
        assert images[0].shape[2] == channels


def test_a_long_image_is_averaged_along_its_long_side_alone(workspace):
    stripes = np.tile(np.array([0, 255], np.uint8), 100)[None].repeat(16, axis=0)  # 16 x 200, columns black and white
    records = kk.write_records(kk.from_arrays(stripes[None].repeat(2, axis=0), ["a", "b"], name="long"), [0, 0])
    images, *_ = evaluated(records, RECIPE.replace(channels=1), 0)
    assert np.abs(images - 127.5).max() < 12  # sampling columns would give stripes of 0 and 255


def test_training_images_of_jpegs_and_of_their_lossless_copies_agree(workspace, tmp_path):
    jpeg, content = photo_records(tmp_path, (320, 214), record_size=214)
    copy = tmp_path / "copy"
    copy.mkdir()
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    for name in "ab":
        Image.fromarray(pixels).save(copy / f"{name}.png")
    table = pd.DataFrame({"image_id": ["a", "b"], "id": ["a", "b"], "source": ["a.png", "b.png"], "label": ["a", "b"]})
    png = kk.write_records(kk.Competition("copy", copy, table, table[:0]), [0, 0], record_size=214)
    for resize in ("squash", "short_side_crop"):
        recipe = RECIPE.replace(image_size=(120, 110), record_size=214, policy="light", resize=resize)
        first, second = (
            np.concatenate([images for images, _ in kk.train_dataset(records, recipe, [0], epochs=4)])
            for records in (jpeg, png)
        )
        np.testing.assert_array_equal(first, second)
