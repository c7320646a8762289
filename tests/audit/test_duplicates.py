"""Equal pixels are found whatever the file looks like, and copies that were resized, recompressed or cropped too."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

import kagglekit as kk
from kagglekit.audit import similarity

PHOTOS = [f"{number:05d}" for number in range(6)]
LABELS = ["cat", "dog"] * 3


@pytest.fixture
def folder(make_competition):
    return make_competition(ids=PHOTOS, labels=LABELS)


@pytest.mark.parametrize("part", ["train/00003.jpg", "test/y.jpg"])
@pytest.mark.parametrize("damage", [b"", b"<html>404 not found</html>", "truncated"])
def test_duplicates_are_not_looked_for_past_a_broken_image(folder, part, damage):
    content = (folder / part).read_bytes()[:-50] if damage == "truncated" else damage
    (folder / part).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{part} cannot be read .*; see kk.check_images\(comp\)"):
        kk.duplicate_groups(kk.load_competition(folder))


def test_every_broken_image_is_named(folder):
    for name in ("train/00001.jpg", "test/z.jpg"):
        (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"train/00001.jpg cannot be read .*test/z.jpg cannot be read"):
        kk.duplicate_groups(kk.load_competition(folder))


def test_images_of_different_pixels_are_groups_of_their_own(folder):
    groups = kk.duplicate_groups(kk.load_competition(folder))
    assert groups.index.tolist() == PHOTOS
    assert groups.is_unique
    assert groups.attrs == {
        "duplicates": [], "conflicts": [], "leaks": [], "pairs": [], "verdict": "no two images show the same"
    }  # fmt: skip


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
    duplicates = ["00000", "00002", "00003", "00005"]
    assert groups.attrs["duplicates"] == groups.attrs["conflicts"] == [duplicates]
    assert groups.attrs["leaks"] == [(duplicate, "y") for duplicate in duplicates]
    assert groups[duplicates].nunique() == 1
    assert groups.nunique() == 3


def test_twins_of_one_label_are_no_conflict(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    (folder / "train" / "00002.jpg").write_bytes((folder / "train" / "00000.jpg").read_bytes())
    groups = kk.duplicate_groups(kk.load_competition(folder))
    assert groups.attrs["duplicates"] == [["00000", "00002"]]
    assert groups.attrs["conflicts"] == groups.attrs["leaks"] == []
    assert groups.attrs["pairs"] == [("00000", "00002", "exact", 1.0, "train", "train")]
    assert groups.attrs["verdict"].startswith("1 exact and 0 near pairs: 1 groups of training images, 0 of them with")


@pytest.mark.parametrize("change", ["one pixel", "shape", "transparency"])
def test_one_difference_makes_no_exact_duplicate(make_competition, change):
    folder = make_competition(ids=PHOTOS, labels=LABELS, suffix=".png")
    pixels = np.asarray(Image.open(folder / "train" / "00000.png")).copy()
    if change == "one pixel":
        pixels[0, 0, 0] ^= 1
    elif change == "shape":
        pixels = pixels.reshape(48, 40, 3)  # the same bytes in another shape
    else:
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 254, np.uint8)])
    Image.fromarray(pixels).save(folder / "train" / "00002.png")
    pairs = kk.duplicate_groups(kk.load_competition(folder)).attrs["pairs"]
    assert [pair[:3] for pair in pairs] == ([] if change == "shape" else [("00000", "00002", "near")])


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
        duplicate = folder / "train" / f"{number + 3:05d}.jpg"
        duplicate.write_bytes((folder / "train" / f"{number:05d}.jpg").read_bytes())
    comp = kk.load_competition(folder)
    groups = kk.duplicate_groups(comp)
    folds = kk.assign_folds(comp, 3, groups=groups)
    assert groups.nunique() == 18
    assert all(folds[f"{number:05d}"] == folds[f"{number + 3:05d}"] for number in range(0, 24, 4))


def blobs(rng):
    """Draw soft coloured blobs."""
    grid = rng.integers(0, 256, (*rng.integers(3, 7, 2), 3), dtype=np.uint8)
    return Image.fromarray(grid).resize((64, 64), Image.Resampling.BICUBIC)


def waves(rng):
    """Draw a wave in each colour."""
    y, x = np.mgrid[:64, :64] / 13
    colours = [np.sin(x * rng.normal() + y * rng.normal() + rng.uniform(0, 6)) for _ in range(3)]
    return Image.fromarray((127 + 120 * np.stack(colours, axis=-1)).astype(np.uint8))


def rectangles(rng):
    """Draw coloured rectangles."""
    image = Image.new("RGB", (64, 64), tuple(rng.integers(0, 255, 3)))
    for _ in range(6):
        x, y = rng.integers(0, 64, 2)
        width, height = rng.integers(5, 32, 2)
        ImageDraw.Draw(image).rectangle((x, y, x + width, y + height), fill=tuple(rng.integers(0, 255, 3)))
    return image


def noise(rng):
    """Draw noise."""
    return Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))


def nearly_flat(rng):
    """Draw a plain surface with a trace of noise."""
    return Image.fromarray((rng.integers(20, 235) + rng.normal(0, 1.5, (64, 64))).clip(0, 255).astype(np.uint8))


def slope(rng):
    """Draw an even slope of brightness."""
    y, x = np.mgrid[:64, :64] / 64 - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    return Image.fromarray((127 + rng.uniform(20, 120) * (x * np.cos(angle) + y * np.sin(angle))).astype(np.uint8))


def eye(rng):
    """Draw a disc on black with vessels and spots, as photographs of the retina are laid out."""
    image = Image.new("RGB", (128, 128))
    draw = ImageDraw.Draw(image)
    draw.ellipse((6, 6, 122, 122), fill=(180, 90, 40))
    centre = np.array([64 + rng.choice([-32, 32]), 64]) + rng.integers(-4, 5, 2)
    draw.ellipse((*(centre - 9), *(centre + 9)), fill=(230, 180, 90))
    for _ in range(10):
        angles = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.4, 6).cumsum()
        steps = 11 * np.stack([np.cos(angles), np.sin(angles)], axis=1).cumsum(0)
        draw.line([tuple(point) for point in centre + np.vstack([[0, 0], steps])], fill=(120, 40, 25), width=2)
    for _ in range(rng.integers(0, 8)):
        spot, radius = rng.integers(25, 103, 2), rng.integers(1, 4)
        draw.ellipse((*(spot - radius), *(spot + radius)), fill=(90, 20, 15))
    return image


def saved(image, **options):
    """Return the image as it comes back from a JPEG."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", **options)
    return Image.open(file)


def cropped(image):
    width, height = image.size
    return image.crop((round(width * 0.03), round(height * 0.03), round(width * 0.97), round(height * 0.97)))


def resized(image):
    return image.resize((round(image.width * 0.6), round(image.height * 0.6)), Image.Resampling.LANCZOS)


COPIES = {
    "resized": resized,
    "recompressed": lambda image: saved(image, quality=60),
    "cropped": cropped,
    "all of them": lambda image: saved(resized(cropped(image)), quality=60),
}


def thumbnails(images):
    return np.stack([similarity.thumbnails(image.convert("L")) for image in images])


SLOW = [pytest.param(draw, marks=pytest.mark.slow) for draw in (blobs, waves, slope, eye)]


@pytest.mark.parametrize("draw", [rectangles, noise, nearly_flat, *SLOW])
def test_no_two_of_5000_different_images_are_a_pair(draw):
    rng = np.random.default_rng(7)
    pairs, _ = similarity.near_pairs(thumbnails(draw(rng) for _ in range(5000)))
    assert pairs.tolist() == []


@pytest.mark.parametrize("copy", COPIES)
def test_at_least_97_of_100_copies_of_photographs_are_found(flowers, copy):
    images = [Image.open(flowers.root / source) for source in flowers.train["source"]]
    numbers = np.random.default_rng(0).choice(len(images), 100, replace=False)
    copies = [COPIES[copy](images[number]) for number in numbers]
    pairs, _ = similarity.near_pairs(thumbnails([*images, *copies]))
    wanted = {(number, len(images) + position) for position, number in enumerate(numbers.tolist())}
    assert len(wanted & set(map(tuple, pairs.tolist()))) >= 97


def test_the_twins_of_flowers12_are_found(flowers):
    # 62 pairs, every one of which was looked at: one byte for byte, the others saved again or cropped
    attrs = kk.duplicate_groups(flowers).attrs
    kinds = [pair[2] for pair in attrs["pairs"]]
    assert kinds == ["exact"] + ["near"] * 61
    assert attrs["conflicts"] == []


@pytest.fixture
def photographs(make_competition):
    """A competition whose images are large enough to look alike: 00002 and x are copies of 00000."""
    folder = make_competition(ids=PHOTOS, labels=LABELS)
    rng = np.random.default_rng(3)
    images = {path: rectangles(rng).resize((128, 96)) for path in sorted(folder.glob("*/*.jpg"))}
    for path, image in images.items():
        image.save(path, quality=95)
    original = images[folder / "train" / "00000.jpg"]
    original.save(folder / "train" / "00002.jpg", quality=60)
    resized(original).save(folder / "test" / "x.jpg", quality=90)
    return folder


def test_near_copies_join_groups_leak_and_conflict(photographs):
    comp = kk.load_competition(photographs)
    labels = comp.train["label"].tolist()
    groups = kk.duplicate_groups(comp)
    assert groups["00000"] == groups["00002"]
    assert groups.nunique() == 5
    assert groups.attrs["leaks"] == [("00000", "x"), ("00002", "x")]
    assert groups.attrs["conflicts"] == []
    assert {pair[2] for pair in groups.attrs["pairs"]} == {"near"}
    assert sorted(pair[:2] + pair[4:] for pair in groups.attrs["pairs"]) == [
        ("00000", "00002", "train", "train"),
        ("00000", "x", "train", "test"),
        ("00002", "x", "train", "test"),
    ]
    similarities = [pair[3] for pair in groups.attrs["pairs"]]
    assert similarities == sorted(similarities, reverse=True)
    labels[2] = "dog"
    conflicting = dataclasses.replace(comp, train=comp.train.assign(label=labels))
    assert kk.duplicate_groups(conflicting).attrs["conflicts"] == [["00000", "00002"]]


def test_the_order_of_rows_changes_nothing(photographs):
    comp = kk.load_competition(photographs)
    mixed = dataclasses.replace(comp, train=comp.train.iloc[::-1], test=comp.test.iloc[[1, 0, 2]])
    groups, other = kk.duplicate_groups(comp), kk.duplicate_groups(mixed)
    pd.testing.assert_series_equal(groups, other.loc[groups.index])
    assert groups.attrs == other.attrs


def test_below_32_pixels_only_equal_pixels_count_and_it_says_so(make_competition):
    folder = make_competition(ids=PHOTOS, labels=LABELS, size=(40, 31))
    photo = folder / "train" / "00000.jpg"
    Image.open(photo).save(folder / "train" / "00002.jpg", quality=60)
    (folder / "test" / "x.jpg").write_bytes(photo.read_bytes())
    groups = kk.duplicate_groups(kk.load_competition(folder))
    assert groups.attrs["pairs"] == [("00000", "x", "exact", 1.0, "train", "test")]
    assert groups.attrs["verdict"].endswith("; 9 images of less than 32 pixels were compared exactly only")


def test_all_files_of_a_image_count_and_labels_may_be_tuples(photographs):
    comp = kk.load_competition(photographs)
    a, b, c = (f"train/{name}.jpg" for name in ("00001", "00003", "00004"))
    rows = [(a, b), (a, c), (a, b), (b, c), (b, a), (c, b)]
    train = comp.train.assign(
        source=pd.Series(rows, dtype=object), label=pd.Series([("x",), ("x",), (), ("x", "y"), (), ()], dtype=object)
    )
    groups = kk.duplicate_groups(
        dataclasses.replace(comp, train=train, task="multi_label", metric=None, classes=("x", "y"))
    )
    exact = [pair[:2] for pair in groups.attrs["pairs"] if pair[2] == "exact"]
    assert exact == [("00000", "00002")]
    assert groups["00000"] == groups["00002"]
    assert groups["00000"] != groups["00001"]
    assert ["00000", "00002"] in [ids[:2] for ids in groups.attrs["conflicts"]]
