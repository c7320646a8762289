"""Every broken file is named before a run meets it, and every odd one is told with all that is odd about it."""

import dataclasses
import itertools
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from conftest import write_photo
from PIL import Image

import kagglekit as kk
from kagglekit.competition import sources

PHOTOS = [f"{number:05d}" for number in range(6)]
LABELS = ["cat", "dog"] * 3


def png_without_pixels(width, height):
    """Return the bytes of a PNG that claims so many pixels: a decompression bomb."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + size, b"IDAT" + zlib.compress(b"")]
    whole = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


BROKEN = {
    "empty": (lambda path: b"", "the file is empty"),
    "text": (lambda path: b"<html>404 not found</html>", "unknown image format"),
    "truncated": (lambda path: path.read_bytes()[:-50], "truncated"),
    "bomb": (lambda path: png_without_pixels(12_000, 12_000), "12000x12000 is over 100000000 pixels"),
    "huge bomb": (lambda path: png_without_pixels(40_000, 40_000), "pixels"),
}


@pytest.fixture
def folder(make_competition):
    return make_competition(ids=PHOTOS, labels=LABELS)


def with_sources(comp, sources):
    """Return the competition with the sources of some training rows replaced: row -> source."""
    changed = [sources.get(row, source) for row, source in enumerate(comp.train["source"])]
    return dataclasses.replace(comp, train=comp.train.assign(source=pd.Series(changed, dtype=object)))


def problems(comp):
    """Return what `check_images` found: image_id -> problem."""
    report = kk.check_images(comp)
    return {row.image_id: row.problem for row in report[report["problem"] != ""].itertuples()}


@pytest.mark.parametrize("part", ["train/00003.jpg", "test/y.jpg"])
@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_broken_image_is_named_and_the_others_are_read(folder, part, kind):
    make, reason = BROKEN[kind]
    (folder / part).write_bytes(make(folder / part))
    comp = kk.load_competition(folder)
    report = kk.check_images(comp)
    bad = report[report["problem"] != ""]
    assert bad["source"].tolist() == [part]
    assert bad["problem"].item().startswith("unreadable: ")
    assert reason in bad["problem"].item()
    assert report.attrs["verdict"].startswith(f"9 images read, 1 with a problem: '{part} (unreadable: ")


def test_file_that_went_away_is_named(folder):
    comp = kk.load_competition(folder)
    (folder / "train" / "00003.jpg").unlink()
    assert problems(comp)["00003"].startswith("unreadable: [Errno 2]")


def test_report_holds_what_pil_says_row_by_row(folder):
    write_photo(folder / "train" / "00004.jpg", 1, size=(31, 17), mode="L")
    report = kk.check_images(kk.load_competition(folder))
    assert report["image_id"].tolist() == [*PHOTOS, "x", "y", "z"]
    assert report["part"].tolist() == ["train"] * 6 + ["test"] * 3
    for row in report.itertuples():
        with Image.open(folder / row.source) as image:
            assert (row.width, row.height, row.mode) == (*image.size, image.mode)
        assert row.bytes == (folder / row.source).stat().st_size
    assert report.attrs["verdict"] == "9 images read, no problem found"


def test_odd_images_are_told_without_being_unreadable(folder):
    train = folder / "train"
    Image.open(train / "00000.jpg").save(train / "00000.jpg", "PNG")
    Image.open(train / "00001.jpg").convert("CMYK").save(train / "00001.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # the orientation tag: turn by 90 degrees to see it upright
    Image.open(train / "00002.jpg").save(train / "00002.jpg", exif=exif)
    write_photo(train / "00003.jpg", 1, size=(111, 11))
    write_photo(train / "00004.jpg", 1, size=(110, 11))
    phone = Image.open(train / "00005.jpg").copy()
    phone.save(train / "00005.jpg", "MPO", save_all=True, append_images=[phone])
    assert problems(kk.load_competition(folder)) == {  # 10 times as long as wide is no problem, and MPO is JPEG
        "00000": "wrong extension: .jpg holds PNG",
        "00001": "CMYK",
        "00002": "EXIF-rotated",
        "00003": "extreme aspect",
    }


def test_odd_pngs_are_told_with_all_that_is_odd(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS, suffix=".png")
    train = folder / "train"
    Image.open(train / "00000.png").convert("P").save(train / "00000.png", transparency=0)
    Image.open(train / "00001.png").convert("RGBA").save(train / "00001.png")
    Image.fromarray(np.full((11, 200), 40_000, np.uint16)).save(train / "00002.png")
    (train / "00003.png").write_bytes(sixteen_bit_colour())
    Image.open(train / "00004.png").convert("LA").resize((300, 20)).save(train / "00004.png", "TIFF")
    assert problems(kk.load_competition(folder)) == {
        "00000": "palette; alpha",
        "00001": "alpha",
        "00002": "16-bit; extreme aspect",
        "00003": "16-bit",
        "00004": "wrong extension: .png holds TIFF; alpha; extreme aspect",
    }


def sixteen_bit_colour():
    """Return a PNG of 3 x 2 pixels with 16 bits a channel, which PIL reads but cannot write."""
    rows = b"".join(b"\0" + bytes(3 * 2 * 3) for _ in range(2))
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0), b"IDAT" + zlib.compress(rows), b"IEND"]
    whole = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 98}])
def test_truncation_is_found_at_every_length_as_by_a_full_decode(folder, options):
    path = folder / "train" / "00003.jpg"
    write_photo(path, 3, size=(400, 300))
    Image.open(path).save(path, **options)
    content = path.read_bytes()
    comp = kk.load_competition(folder)
    missed = []
    for length in [*np.linspace(3, len(content) - 9, 25).astype(int), *range(len(content) - 8, len(content))]:
        path.write_bytes(content[:length])
        found = problems(comp).get("00003", "").startswith("unreadable: ")
        try:
            with Image.open(path) as image:
                image.load()
            missed += [length] * found
        except OSError:
            missed += [length] * (not found)
    assert missed == []


def test_a_wrong_checksum_in_a_png_is_found_though_pil_reads_past_it(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS, suffix=".png")
    path = folder / "train" / "00001.png"
    content = bytearray(path.read_bytes())
    content[-16] ^= 1  # the last chunk, IEND, has 12 bytes; before it ends the checksum of the pixels
    path.write_bytes(content)
    Image.open(path).load()
    assert problems(kk.load_competition(folder))["00001"].startswith("unreadable: broken PNG")


@pytest.mark.parametrize(("suffix", "tolerance"), [(".jpg", 1), (".png", 1)])
@pytest.mark.parametrize("size", [(224, 200), (65, 33), (48, 17), (1, 1)])
def test_statistics_are_those_of_averaged_squares(make_competition, suffix, tolerance, size):
    folder = make_competition(ids=PHOTOS, labels=LABELS, suffix=suffix, size=size)
    report = kk.check_images(kk.load_competition(folder))
    assert report.columns.tolist()[-6:] == ["mean_0", "mean_1", "mean_2", "std_0", "std_1", "std_2"]
    side = next(side for side in (8, 4, 2, 1) if min(size) >= 16 * side or side == 1)
    squares = [np.arange(length) // side for length in size[::-1]]
    for row in report.itertuples():
        pixels = sources.read_pixels(folder, row.source).astype(float)
        assert row.channels == 3
        np.testing.assert_allclose([row.mean_0, row.mean_1, row.mean_2], pixels.mean((0, 1)), atol=tolerance / 3)
        for y, x in itertools.product(*(range(square[-1] + 1) for square in squares)):
            inside = np.ix_(squares[0] == y, squares[1] == x)
            pixels[inside] = pixels[inside].mean((0, 1))
        np.testing.assert_allclose([row.std_0, row.std_1, row.std_2], pixels.std((0, 1)), atol=tolerance)


def test_columns_reach_the_most_channels_and_are_empty_beyond(folder):
    train = folder / "train"
    write_photo(train / "00000.jpg", 1, mode="L")
    (train / "00001.jpg").write_bytes(b"")
    comp = kk.load_competition(folder)
    four = tuple(f"train/0000{number}.jpg" for number in (2, 3, 4, 2))
    comp = with_sources(comp, {4: ("train/00002.jpg", "train/00001.jpg"), 5: four})
    report = kk.check_images(comp).set_index("image_id")
    assert report["channels"].tolist() == [1, 0, 3, 3, 0, 4, 3, 3, 3]
    statistics = report.filter(regex="^(mean|std)_")
    assert statistics.columns.tolist() == [f"{name}_{number}" for name in ("mean", "std") for number in range(4)]
    assert statistics.notna().sum(axis=1).tolist() == [2, 0, 6, 6, 0, 8, 6, 6, 6]
    assert report.loc["00005", "source"] == "train/00002.jpg + train/00003.jpg + train/00004.jpg + train/00002.jpg"
    assert report.loc["00005", "mean_0"] == report.loc["00005", "mean_3"]
    assert report.loc["00004", "problem"] == "unreadable: train/00001.jpg: unknown image format"


def test_files_of_one_image_must_have_one_size(folder):
    write_photo(folder / "train" / "00000.jpg", 1, size=(20, 30))
    comp = with_sources(kk.load_competition(folder), {5: ("train/00000.jpg", "train/00001.jpg")})
    assert problems(comp) == {"00005": "unreadable: parts of different sizes: 20x30, 48x40"}


def test_sixteen_bits_are_brought_to_eight(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS, suffix=".png")
    for name in PHOTOS:
        Image.fromarray(np.full((40, 40), 100 * 257, np.uint16)).save(folder / "train" / f"{name}.png")
    report = kk.check_images(kk.load_competition(folder))
    np.testing.assert_allclose(report["mean_0"].head(6), 100, atol=1e-4)
    np.testing.assert_allclose(report["std_0"].head(6), 0, atol=1e-2)


def test_real_photographs_open(flowers):
    assert kk.check_images(flowers)["problem"].str.startswith("unreadable").sum() == 0
    assert sources.MAX_PIXELS == 100_000_000
