"""Records: what goes in comes out, what cannot go in is named, and the manifest tells the truth."""

import io

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

import kagglekit as kk

PHOTO = load_sample_images().images[0]  # china.jpg, 427 x 640
SMALL = np.asarray(Image.fromarray(PHOTO).resize((64, 43)))


def encoded(image, form, **options):
    stored = io.BytesIO()
    image.save(stored, form, **options)
    return stored.getvalue()


GOOD = encoded(Image.fromarray(SMALL), "PNG")


def competition(root, names):
    """A competition of some files, and of one of another class."""
    table = pd.DataFrame({"image_id": [*names, "other"], "id": [*names, "other"], "source": [*names, "other"]})
    return kk.Competition("kinds", root / "raw", table.assign(label=["a"] * len(names) + ["b"]), table[:0])


def write(root, files, record_size=32, **options):
    """Write records of `{file name: bytes}` as fold 0, and of one plain image more, of another class, as fold 1."""
    (root / "raw").mkdir(exist_ok=True)
    for name, content in (files | {"other": GOOD}).items():
        (root / "raw" / name).write_bytes(content)
    return kk.write_records(competition(root, files), [0] * len(files) + [1], record_size=record_size, **options)


def stored(records, part=0):
    """`{image_id: stored bytes}` of a part, in its order."""
    rows = [tf.train.Example.FromString(row.numpy()) for row in tf.data.TFRecordDataset(records.files(part))]
    features = [row.features.feature for row in rows]
    return {row["image_id"].bytes_list.value[0].decode(): row["image"].bytes_list.value[0] for row in features}


def read(content):
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_bytes_that_need_no_change_pass_through(workspace, tmp_path, form, mode):
    # quality 71 and a comment: nothing that writes again would give the same bytes
    content = encoded(Image.fromarray(SMALL).convert(mode), form, quality=71, comment=b"as it was")
    assert stored(write(tmp_path, {"a": content}, record_size=43)) == {"a": content}


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("shape", [(427, 640), (640, 427), (100, 640), (640, 33), (400, 400)])
def test_a_larger_image_is_reduced_once_to_the_short_side(workspace, tmp_path, form, shape):
    image = Image.fromarray(PHOTO).resize((shape[1], shape[0]))
    content = encoded(image, form)
    height, width = (round(side * 32 / min(shape)) for side in shape)
    reference = Image.open(io.BytesIO(content)).resize((width, height), Image.Resampling.LANCZOS)
    (result,) = stored(write(tmp_path, {"a": content})).values()
    assert min(height, width) == 32
    assert Image.open(io.BytesIO(result)).format == form
    np.testing.assert_array_equal(read(result), read(encoded(reference, form, quality=95, subsampling=0)))


def test_no_image_is_enlarged(workspace, tmp_path):
    files = {"grey": encoded(Image.fromarray(SMALL[:7, :5, 0]), "PNG"), "bmp": encoded(Image.fromarray(SMALL), "BMP")}
    shapes = [read(content).shape for content in stored(write(tmp_path, files, record_size=500)).values()]
    assert shapes == [(7, 5), (43, 64, 3)]


def _kinds():
    rgb, grey = Image.fromarray(SMALL), Image.fromarray(SMALL[..., 0])
    alpha = np.dstack([SMALL, SMALL[..., :1]])
    deep = SMALL.astype(np.uint16) * np.uint16(257) - np.uint16(100) * (SMALL > 0)
    top = (deep >> 8).astype(np.uint8)  # the high byte is the 8-bit image of a 16-bit one
    grey_rgb = np.repeat(SMALL[..., :1], 3, axis=2)
    palette = rgb.quantize(40)
    return {
        "palette": (encoded(palette, "PNG"), np.asarray(palette.convert("RGB"))),
        "palette with a transparent colour": (
            encoded(palette, "PNG", transparency=3),
            np.asarray(palette.convert("RGB")),
        ),
        "rgb with a transparent colour": (encoded(rgb, "PNG", transparency=(1, 2, 3)), SMALL),
        "alpha": (encoded(Image.fromarray(alpha), "PNG"), SMALL),
        "grey and alpha": (
            encoded(Image.fromarray(alpha[..., 2:]).convert("LA"), "PNG"),
            np.dstack([SMALL[..., 2]] * 3),
        ),
        "one bit": (encoded(grey.convert("1"), "PNG"), np.asarray(grey.convert("1").convert("RGB"))),
        "16-bit grey": (encoded(Image.fromarray(deep[..., 0]), "PNG"), np.repeat(top[..., :1], 3, axis=2)),
        "16-bit colour": (tf.io.encode_png(deep).numpy(), top),
        "bmp": (encoded(rgb, "BMP"), SMALL),
        "tiff": (encoded(rgb, "TIFF"), SMALL),
        "webp": (encoded(rgb, "WEBP", lossless=True), SMALL),
        "gif": (encoded(grey, "GIF"), grey_rgb),
        "interlaced": (encoded(grey, "PNG", compress_level=0), grey_rgb),
    }


KINDS = _kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_unusual_files_decode_to_the_image_that_pil_shows(workspace, tmp_path, kind):
    content, reference = KINDS[kind]
    (result,) = stored(write(tmp_path, {"a": content}, record_size=64)).values()
    np.testing.assert_array_equal(tf.io.decode_image(result, channels=3, expand_animations=False), reference)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_that_its_camera_turned_is_stored_upright(workspace, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(SMALL), "JPEG", quality=95, exif=exif)
    reference = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content)))).astype(int)
    (result,) = stored(write(tmp_path, {"a": content}, record_size=64)).values()
    decoded = tf.io.decode_image(result, channels=3).numpy()  # knows nothing of EXIF
    assert decoded.shape == reference.shape
    assert np.abs(decoded - reference).mean() < 3  # JPEG twice; an image that lies wrong differs by more than 30
    assert np.abs(decoded[::-1] - reference).mean() > 30


def test_a_cmyk_jpeg_becomes_rgb(workspace, tmp_path):
    content = encoded(Image.fromarray(SMALL).convert("CMYK"), "JPEG", quality=95)
    (result,) = stored(write(tmp_path, {"a": content}, record_size=64)).values()
    reference = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert np.abs(tf.io.decode_jpeg(result, channels=3).numpy() - reference).mean() < 3


def test_a_phones_jpeg_with_a_second_image_stays_a_jpeg_of_the_first(workspace, tmp_path):
    second = Image.fromarray(255 - PHOTO)
    content = encoded(Image.fromarray(PHOTO), "MPO", save_all=True, append_images=[second], quality=95)
    (result,) = stored(write(tmp_path, {"a": content}, record_size=100)).values()
    assert Image.open(io.BytesIO(result)).format == "JPEG"
    reference = np.asarray(Image.fromarray(PHOTO).resize((150, 100), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(read(result) - reference).mean() < 3


JPEG = encoded(Image.fromarray(SMALL), "JPEG")
BAD = {
    "cut.jpg": JPEG[: len(JPEG) // 2],
    "cut.png": GOOD[: len(GOOD) // 2],
    "header.jpg": JPEG[:20],
    "flipped.png": GOOD[:900] + bytes([GOOD[900] ^ 255]) + GOOD[901:],
    "empty.jpg": b"",
    "text.jpg": b"<html>404 Not Found</html>",
}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_image_is_named_and_whole_shards_stay_for_the_next_call(workspace, tmp_path, name):
    def files():
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "records").iterdir()}

    with pytest.raises(
        ValueError, match=rf"^1 images below .* cannot be decoded: '{name} \(.+\)'; see kk.check_images"
    ):
        write(tmp_path, {"good.png": GOOD, name: BAD[name]}, folder=tmp_path / "records")
    before = files()
    assert set(before) == {"fold1-00-of-01-00001.tfrec", "fold1-00-of-01-00001.npz"}  # no part of fold 0, no manifest
    (tmp_path / "raw" / name).write_bytes(GOOD)
    comp = competition(tmp_path, ["good.png", name])
    records = kk.write_records(comp, [0, 0, 1], record_size=32, folder=tmp_path / "records")
    assert before.items() <= files().items()
    assert records.rows([0, 1]) == 3


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damaged TIFF tags
@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_random_damage_is_refused_by_name_or_decodes(workspace, tmp_path, form):
    whole, rng = encoded(Image.fromarray(SMALL), form), np.random.default_rng(0)
    refused = 0
    for number in range(30):
        content = bytearray(whole[: rng.integers(len(whole)) if number % 3 == 0 else None])
        for place in rng.integers(len(content) + 1, size=1 + number % 4):
            content[place : place + 1] = rng.bytes(1)
        try:
            records = write(tmp_path, {f"{number}.img": bytes(content)}, folder=tmp_path / "records")
        except ValueError as error:
            assert f"cannot be decoded: '{number}.img (" in str(error)  # noqa: PT017 - either outcome is right
            refused += 1
        else:
            (result,) = stored(records).values()
            assert tf.io.decode_image(result, channels=3, expand_animations=False).shape[2] == 3
    assert refused > 0
