"""Small images are what the large ones show, upright, and every row is in its classes."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kagglekit as kk
from kagglekit.audit.thumbnails import read_small, rows_of_class, small_images
from kagglekit.competition.sources import read_pixels


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_small_image_is_the_average_of_the_large_one(tmp_path, suffix, mode):
    from conftest import write_photo

    write_photo(tmp_path / f"a{suffix}", seed=1, size=(128, 64), mode=mode)
    small = read_small(tmp_path, f"a{suffix}", 8)
    large = read_pixels(tmp_path, f"a{suffix}").astype(float)
    assert small.shape == (4, 8, large.shape[-1])
    expected = large.reshape(4, 16, 8, 16, -1).mean(axis=(1, 3))
    assert np.abs(small - expected).max() <= 3


def test_a_rotated_image_stands_upright(tmp_path):
    pixels = np.zeros((40, 20), np.uint8)
    pixels[:10] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: the white top is then at the right
    image.save(tmp_path / "a.jpg", exif=exif)
    small = read_small(tmp_path, "a.jpg", 20)
    assert small.shape == (10, 20, 1)
    assert small[:, 16:].min() > 200
    assert small[:, :12].max() < 50


def test_sixteen_bits_are_stretched_to_eight(tmp_path):
    Image.fromarray(np.array([[0, 1000], [2000, 4000]], np.uint16)).save(tmp_path / "a.png")
    assert read_small(tmp_path, "a.png", 8)[..., 0].tolist() == [[0, 63], [127, 255]]


def test_a_small_image_is_not_enlarged(digits):
    source = digits.train["source"][0]
    assert np.array_equal(read_small(digits.root, source, 64), read_pixels(digits.root, source))


def test_the_files_of_one_image_are_its_channels(digits):
    first, second = digits.train["source"][:2]
    both = read_small(digits.root, (first, second), 8)
    assert np.array_equal(both[..., :1], read_small(digits.root, first, 8))
    assert np.array_equal(both[..., 1:], read_small(digits.root, second, 8))


def test_images_come_in_order_and_a_damaged_one_is_none(make_competition):
    folder = make_competition()
    (folder / "train" / "00003.jpg").write_bytes(b"no image")
    comp = kk.load_competition(folder)
    found = list(small_images(comp.root, comp.train["source"].tolist(), 16))
    assert [number for number, pixels in enumerate(found) if pixels is None] == [3]
    assert np.array_equal(found[5], read_small(comp.root, comp.train["source"][5], 16))


def regression(comp, values):
    train = comp.train.assign(label=pd.Series(values, index=comp.train.index, dtype=object))
    return dataclasses.replace(comp, train=train, task="regression", metric=None, classes=None)


@pytest.mark.parametrize("values", ["spread", "tied", "few", "close", "constant"])
def test_every_number_is_in_one_class_and_classes_rise(digits, values):
    rng = np.random.default_rng(0)
    n = len(digits.train)
    numbers = {
        "spread": rng.normal(size=n),
        "tied": rng.poisson(0.5, n) + rng.uniform(0, 1e-3, n) * (rng.uniform(size=n) > 0.9),
        "few": rng.integers(0, 4, n),
        "close": 2000 + rng.uniform(0, 1e-5, n),
        "constant": np.ones(n),
    }[values].astype(float)
    rows = rows_of_class(regression(digits, numbers.tolist()))
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(n))
    ends = [(numbers[part].min(), numbers[part].max()) for part in rows.values()]
    assert all(low[1] < high[0] for low, high in itertools.pairwise(ends))
    if values in ("spread", "close"):
        assert {len(part) for part in rows.values()} <= {n // 5, n // 5 + 1}


def test_an_image_with_several_labels_is_in_several_classes(digits):
    labels = [("a", "b"), ("b",), ()] * (len(digits.train) // 3)
    comp = dataclasses.replace(
        digits,
        train=digits.train.assign(label=pd.Series(labels)),
        task="multi_label",
        metric=None,
        classes=("a", "b", "c"),
    )
    rows = rows_of_class(comp)
    assert list(rows) == ["b", "a"]
    assert rows["a"].tolist() == list(range(0, len(labels), 3))
    assert len(rows["b"]) == 2 * len(rows["a"])
