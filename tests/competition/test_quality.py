"""Every broken file is named before a run meets it; equal pixels are found whatever the file looks like."""

import struct
import zlib

import numpy as np
import pytest
from conftest import write_photo
from PIL import Image

import kagglekit as kk
from kagglekit.competition import quality

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
    "text": (lambda path: b"<html>404 not found</html>", "no image format that is known"),
    "truncated": (lambda path: path.read_bytes()[:-50], "truncated"),
    "bomb": (lambda path: png_without_pixels(12_000, 12_000), "12000x12000 is over 100000000 pixels"),
    "huge bomb": (lambda path: png_without_pixels(60_000, 60_000), "exceeds limit"),
}


@pytest.fixture
def folder(make_competition):
    return make_competition(ids=PHOTOS, labels=LABELS)


def problems(comp):
    """Return what `check_images` found: image_id -> problem."""
    report = kk.check_images(comp)
    return {row.image_id: row.problem for row in report[report["problem"] != ""].itertuples()}


@pytest.mark.parametrize("part", ["train/00003.jpg", "test/y.jpg"])
@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
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


@pytest.mark.parametrize("part", ["train/00003.jpg", "test/y.jpg"])
@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "huge bomb"])
def test_duplicates_are_not_looked_for_past_a_broken_image(folder, part, kind):
    (folder / part).write_bytes(BROKEN[kind][0](folder / part))
    with pytest.raises(ValueError, match=rf"{part} cannot be read .*; see kk.check_images\(comp\)"):
        kk.duplicate_groups(kk.load_competition(folder))


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
        "00000": "the extension is .jpg and the content PNG",
        "00001": "pixels are CMYK",
        "00002": "rotated by EXIF",
        "00003": "very long or wide",
    }


def test_images_of_different_pixels_are_groups_of_their_own(folder):
    groups = kk.duplicate_groups(kk.load_competition(folder))
    assert groups.index.tolist() == PHOTOS
    assert groups.is_unique
    assert groups.attrs == {"duplicates": [], "conflicts": [], "leaks": []}


def test_equal_pixels_are_one_group_whatever_the_file(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS, suffix=".png")
    train, source = folder / "train", Image.open(folder / "train" / "00000.png").copy()
    source.save(train / "00002.png", compress_level=0)  # the same label
    source.save(train / "00003.png", "BMP")  # another label
    source.save(folder / "test" / "y.png", optimize=True)
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    source.rotate(180).save(train / "00005.png", exif=exif)
    assert (train / "00000.png").read_bytes() != (train / "00002.png").read_bytes()
    comp = kk.load_competition(folder)
    groups = kk.duplicate_groups(comp)
    twins = ["00000", "00002", "00003", "00005"]
    assert groups.attrs["duplicates"] == groups.attrs["conflicts"] == [twins]
    assert groups.attrs["leaks"] == [(twin, "y") for twin in twins]
    assert groups[twins].nunique() == 1
    assert groups.nunique() == 3


def test_twins_of_one_label_are_no_conflict(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    (folder / "train" / "00002.jpg").write_bytes((folder / "train" / "00000.jpg").read_bytes())
    groups = kk.duplicate_groups(kk.load_competition(folder))
    assert groups.attrs == {"duplicates": [["00000", "00002"]], "conflicts": [], "leaks": []}


@pytest.mark.parametrize("change", ["one pixel", "shape", "transparency"])
def test_one_difference_makes_no_twin(make_competition, change):
    folder = make_competition(ids=PHOTOS, labels=LABELS, suffix=".png")
    pixels = np.asarray(Image.open(folder / "train" / "00000.png")).copy()
    if change == "one pixel":
        pixels[0, 0, 0] ^= 1
    elif change == "shape":
        pixels = pixels.reshape(48, 40, 3)  # the same bytes in another shape
    else:
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 254, np.uint8)])
    Image.fromarray(pixels).save(folder / "train" / "00002.png")
    assert kk.duplicate_groups(kk.load_competition(folder)).is_unique


def test_sixteen_bit_images_are_compared_in_all_their_bits(make_competition):
    # Reduced to 8 bits by clipping, as PIL converts them, every value above 255 would be the same white.
    folder = make_competition(ids=PHOTOS, labels=LABELS, suffix=".png")
    for number, name in enumerate(PHOTOS):
        scan = np.full((20, 30), 1000 + number // 2, np.uint16)
        Image.fromarray(scan).save(folder / "train" / f"{name}.png")
    groups = kk.duplicate_groups(kk.load_competition(folder))
    assert groups.attrs["duplicates"] == [["00000", "00001"], ["00002", "00003"], ["00004", "00005"]]


def test_duplicates_stay_in_one_fold(make_competition):
    folder = make_competition()
    for number in range(0, 24, 4):
        twin = folder / "train" / f"{number + 3:05d}.jpg"
        twin.write_bytes((folder / "train" / f"{number:05d}.jpg").read_bytes())
    comp = kk.load_competition(folder)
    groups = kk.duplicate_groups(comp)
    folds = kk.assign_folds(comp, 3, groups=groups)
    assert groups.nunique() == 18
    assert all(folds[f"{number:05d}"] == folds[f"{number + 3:05d}"] for number in range(0, 24, 4))


def test_real_photographs_open(flowers):
    assert kk.check_images(flowers)["problem"].str.startswith("unreadable").sum() == 0
    assert quality.MAX_PIXELS == 100_000_000
