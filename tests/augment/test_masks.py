"""Masks: hidden areas against the papers, counted on images of 224 pixels and against the papers' own pixel loops."""

import math

import numpy as np
import pytest

from kagglekit.augment import OPS, masks

WHITE = np.full((224, 224, 1), 255, np.uint8)


def hidden(name, seed, strength=1.0, image=WHITE):
    """Where the op hides something of a white image: its fills are never 255, but for random values."""
    rectangles, fill = OPS[name].draw(np.random.default_rng(seed), strength)
    return masks.hide(image, (rectangles, 0.0 if not isinstance(fill, float) else fill)) != image


def share(name, strength, number=1500):
    return np.mean([hidden(name, seed, strength).mean() for seed in range(number)])


def cutout_pixels(rng, size=224, side=112):
    """DeVries and Taylor's own form: a centre among the pixels, half the side to each direction, cut off."""
    mask = np.zeros((size, size), bool)
    y, x = rng.integers(size, size=2)
    mask[max(0, y - side // 2) : y + side // 2, max(0, x - side // 2) : x + side // 2] = True
    return mask


def erasing_pixels(rng, size=224):
    """Zhong et al.'s code with p = 1: redrawn until it is smaller than the image, then placed anywhere within."""
    mask = np.zeros((size, size), bool)
    while True:
        area, aspect = rng.uniform(0.02, 0.4) * size * size, rng.uniform(0.3, 1 / 0.3)
        height, width = math.sqrt(area * aspect), math.sqrt(area / aspect)
        height, width = round(height), round(width)
        if height < size and width < size:
            y, x = rng.integers(size - height + 1), rng.integers(size - width + 1)
            mask[y : y + height, x : x + width] = True
            return mask


def grid_pixels(rng, size=224, ratio=0.6):
    """Chen et al.'s grid: a pixel is hidden where it lies in the last (1 - ratio) of a unit along both axes."""
    unit = rng.integers(96, 225)
    y, x = (np.arange(size) + rng.integers(unit) for _ in range(2))
    return np.outer(y % unit >= round(ratio * unit), x % unit >= round(ratio * unit))


def hide_and_seek_pixels(rng, size=224):
    """Singh et al.'s loop over patches."""
    mask = np.zeros((size, size), bool)
    patch = (0, 16, 32, 44, 56)[rng.integers(5)]
    for y in range(0, size, patch) if patch else ():
        for x in range(0, size, patch):
            mask[y : y + patch, x : x + patch] = rng.random() < 0.5
    return mask


def dropout_pixels(rng, size=224):
    """Ten squares of one side, centred on any pixel, cut off."""
    mask = np.zeros((size, size), bool)
    half = round(rng.uniform(0.1, 0.2) * size / 2)
    for _ in range(10):
        y, x = rng.integers(size, size=2)
        mask[max(0, y - half) : y + half, max(0, x - half) : x + half] = True
    return mask


# The shares that follow from the papers' numbers: cutout's side s covers s - s^2 / 4 of an axis on average; the
# ten squares of side s cover 1 - (1 - (s - s^2 / 4)^2)^10, averaged over s.
@pytest.mark.parametrize(
    ("name", "strength", "pixels", "expected"),
    [
        ("cutout", 0.5, cutout_pixels, (0.5 - 0.5**2 / 4) ** 2),
        ("grid_mask", 1.0, grid_pixels, (1 - 0.6) ** 2),
        ("hide_and_seek", 0.5, hide_and_seek_pixels, 4 / 5 * 0.5),
        ("coarse_dropout", 1.0, dropout_pixels,
         np.mean([1 - (1 - (side - side**2 / 4) ** 2) ** 10 for side in np.linspace(0.1, 0.2, 101)])),
        ("erasing", 1.0, erasing_pixels, None),
        ("erasing_mean", 1.0, erasing_pixels, None),
    ],
)  # fmt: skip
def test_hidden_areas_are_the_papers(name, strength, pixels, expected):
    rng = np.random.default_rng(1)
    by_pixels = np.mean([pixels(rng).mean() for _ in range(1500)])
    found = share(name, strength)
    assert abs(found - by_pixels) < 0.02
    if expected is not None:
        assert abs(found - expected) < 0.02


@pytest.mark.parametrize("name", ["erasing", "erasing_mean", "grid_mask", "coarse_dropout"])
def test_the_strength_is_the_probability(name):
    often = np.mean([hidden(name, seed, 0.3).any() for seed in range(800)])
    assert abs(often - 0.3) < 4 * np.sqrt(0.21 / 800)


def test_an_erased_rectangle_has_the_papers_area_and_shape():
    areas, aspects = [], []
    for seed in range(600):
        rows, columns = np.nonzero(hidden("erasing", seed)[..., 0])
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width
        areas.append(height * width / 224**2)
        aspects.append(height / width)
    assert 0.018 < min(areas) < 0.04 < 0.38 < max(areas) < 0.41
    assert 0.28 < min(aspects) < 0.4 < 2.8 < max(aspects) < 3.5


def test_hidden_parts_take_the_fill():
    image = np.dstack([np.arange(64, dtype=np.uint8).reshape(8, 8)] * 2 + [np.full((8, 8), 200, np.uint8)])
    left = [(0.0, 0.0, 1.0, 0.5)]
    np.testing.assert_array_equal(masks.hide(image, (left, 128.0))[:, :4], 128)
    np.testing.assert_array_equal(masks.hide(image, (left, "mean"))[3, 2], [32, 32, 200])  # 31.5, rounded to even
    random = masks.hide(np.zeros((80, 80, 3), np.uint8), (left, ("random", 5)))[:, :40]
    assert len(np.unique(random)) == 256
    assert abs(random.mean() - 127.5) < 4 * 74 / np.sqrt(random.size)
    np.testing.assert_array_equal(masks.hide(image, (left, ("random", 5)))[:, 4:], image[:, 4:])


def test_rectangles_are_cut_at_the_edges_and_channels_are_hidden_alike():
    for channels in (1, 3, 13):
        result = masks.hide(np.full((10, 20, channels), 9, np.uint8), ([(-0.5, 0.75, 0.2, 1.7)], 0.0))
        expected = np.full((10, 20, channels), 9)
        expected[:2, 15:] = 0
        np.testing.assert_array_equal(result, expected)


def test_grids_are_regular():
    mask = hidden("grid_mask", 4)[..., 0]
    np.testing.assert_array_equal(mask, np.outer(mask.any(axis=1), mask.any(axis=0)))


def test_hide_and_seek_hides_whole_patches():
    sides = set()
    for seed in range(60):
        rectangles, _ = masks.draw_hide_and_seek(np.random.default_rng(seed), 0.5)
        if len(rectangles) == 0:
            sides.add(0)
            continue
        lengths = (rectangles[:, 2:] - rectangles[:, :2]) * 224
        sides.add(round(lengths[0, 0]))
        np.testing.assert_allclose(lengths, lengths[0, 0])
        places = rectangles[:, :2] * 224 / lengths[0, 0]
        np.testing.assert_allclose(places, np.rint(places), atol=1e-9)
    assert sides == {0, 16, 32, 44, 56}
