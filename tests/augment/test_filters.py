"""Filters: against PIL's sharpness, scipy's Gaussian, OpenCV's JPEG and the statistics that noise is to have."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage
from sklearn.datasets import load_sample_images

from kagglekit.augment import filters

PHOTO = np.ascontiguousarray(load_sample_images().images[0][100:148, 200:264])
MANY = np.dstack([PHOTO, PHOTO[::-1], PHOTO[:, ::-1], 255 - PHOTO, PHOTO[..., 0]])  # 13 channels


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.9])
def test_sharpness_is_pils(factor):
    expected = np.asarray(ImageEnhance.Sharpness(Image.fromarray(PHOTO)).enhance(factor), int)
    difference = np.abs(filters.sharpness(PHOTO, factor) - expected)
    assert difference.max() <= 2  # PIL rounds the smooth image and cuts the decimals of the mixture off
    assert difference.mean() < 0.8
    assert np.abs(filters.sharpness(PHOTO.astype(np.float32), factor) - expected).max() <= 2


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.7])
def test_blur_is_scipys_gaussian_mirrored_at_the_edges(sigma):
    for image in (PHOTO, MANY, PHOTO[..., :1]):
        expected = ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="mirror", truncate=4)
        assert np.abs(filters.gaussian_blur(image.astype(np.float32), sigma) - expected).max() < 0.5
        assert np.abs(filters.gaussian_blur(image, sigma) - expected).max() < 3  # cut off at 3 sigma


def test_no_blur_and_no_sharpening_are_exact():
    np.testing.assert_array_equal(filters.gaussian_blur(PHOTO, 0.0), PHOTO)
    np.testing.assert_array_equal(filters.sharpness(PHOTO, 1.0), PHOTO)


@pytest.mark.parametrize("std", [2.0, 15.0, 40.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_noise_is_normal_and_independent(std, dtype):
    grey = np.full((200, 200, 3), 128, dtype)
    noise = filters.gaussian_noise(grey, (std, 5)).astype(float) - 128
    assert abs(noise.mean()) < 4 * std / np.sqrt(120_000)
    assert abs(noise.std() / std - 1) < (0.04 if dtype == np.uint8 and std < 5 else 0.02)  # rounded to whole numbers
    within = (np.mean(np.abs(noise) < std) + np.mean(np.abs(noise) <= std)) / 2  # whole numbers meet the border
    assert abs(within - 0.683) < 0.02
    planes = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(planes - np.eye(3)).max() < 0.02
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


def test_noise_follows_its_seed():
    first = filters.gaussian_noise(PHOTO, (10.0, 1))
    np.testing.assert_array_equal(filters.gaussian_noise(PHOTO, (10.0, 1)), first)
    assert (filters.gaussian_noise(PHOTO, (10.0, 2)) != first).mean() > 0.5


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_jpeg_is_what_pil_reads_from_opencvs_file(quality, tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), PHOTO[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    expected = np.asarray(Image.open(tmp_path / "a.jpg"), int)
    assert np.abs(filters.jpeg(PHOTO, quality) - expected).max() <= 3  # two builds of libjpeg
    assert np.abs(filters.jpeg(PHOTO, quality) - expected).mean() < 0.2


def test_channels_beyond_three_are_jpegs_of_their_own():
    result = filters.jpeg(MANY, 30)
    for channel in (0, 7, 12):
        one = filters.jpeg(MANY[..., channel : channel + 1], 30)
        np.testing.assert_array_equal(result[..., channel], one[..., 0])


def test_a_lower_quality_loses_more():
    losses = [np.abs(filters.jpeg(PHOTO, quality).astype(int) - PHOTO).mean() for quality in (100, 90, 60, 30, 5)]
    assert losses[0] == 0
    assert losses == sorted(losses)


@pytest.mark.parametrize("channels", [1, 3, 13])
def test_channel_jitter_is_one_line_for_each_channel(channels):
    ramp = np.repeat(np.arange(60, 180, dtype=np.float32)[None, :, None], channels, axis=2)
    result = filters.channel_jitter(ramp, (0.2, 3))
    gains = result[0, 1] - result[0, 0]
    offsets = result[0, 0] - 60 * gains
    np.testing.assert_allclose(result[0], ramp[0] * gains + offsets, atol=1e-2)
    assert np.all(np.abs(gains - 1) <= 0.2 + 1e-3)
    assert np.all(np.abs(offsets) <= 64 * 0.2 + 0.1)
    assert len(np.unique(gains.round(4))) == channels


def test_channel_dropout_blackens_one_channel_of_several():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        result = filters.channel_dropout(PHOTO + 1 * (PHOTO == 0), filters.draw_channel_dropout(rng, 1.0))
        black = np.flatnonzero((result == 0).all(axis=(0, 1)))
        assert len(black) == 1
        seen.add(int(black[0]))
    assert seen == {0, 1, 2}
    np.testing.assert_array_equal(filters.channel_dropout(PHOTO[..., :1], 0.3), PHOTO[..., :1])
    chances = [filters.draw_channel_dropout(rng, 0.3) is not None for _ in range(400)]
    assert abs(np.mean(chances) - 0.3) < 4 * np.sqrt(0.21 / 400)


def test_draws_fill_their_range():
    rng = np.random.default_rng(0)
    qualities = [filters.draw_jpeg(rng, 0.5) for _ in range(500)]
    assert (min(qualities), max(qualities)) == (50, 100)
    assert min(filters.draw_jpeg(rng, 4) for _ in range(1000)) >= 1
    sigmas = [filters.draw_blur(rng, 2.0) for _ in range(200)]
    assert 0 <= min(sigmas) < 0.1 < 1.9 < max(sigmas) <= 2
    stds = [filters.draw_noise(rng, 0.1)[0] for _ in range(200)]
    assert 0 <= min(stds) < 1 < 24 < max(stds) <= 25.5
