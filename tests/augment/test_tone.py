"""Tone: every op against PIL.ImageOps, exactly."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from kagglekit.augment import tone

PHOTO = load_sample_images().images[0][100:148, 200:264]
RNG = np.random.default_rng(0)
IMAGES = {
    "photo": PHOTO,
    "faint": PHOTO // 5 + 60,
    "dark": (PHOTO.astype(float) ** 2 / 300).astype(np.uint8),
    "one value": np.full((5, 7, 3), 90, np.uint8),
    "two values": RNG.choice(np.array([17, 200], np.uint8), (9, 8, 3)),
    "few pixels": RNG.integers(0, 256, (3, 5, 3), np.uint8),
    "255 pixels and one": np.r_[np.arange(255), 254].astype(np.uint8).reshape(16, 16, 1).repeat(3, axis=2),
}
REFERENCES = {
    "posterize": [(lambda image, bits=bits: tone.posterize(image, bits),
                   lambda sample, bits=bits: ImageOps.posterize(sample, bits)) for bits in range(1, 9)],
    "solarize": [(lambda image, at=at: tone.solarize(image, at),
                  lambda sample, at=at: ImageOps.solarize(sample, at)) for at in (0, 1, 100, 128, 255, 256)],
    "invert": [(tone.invert, ImageOps.invert)],
    "autocontrast": [(tone.autocontrast, ImageOps.autocontrast)],
    "equalize": [(tone.equalize, ImageOps.equalize)],
}  # fmt: skip


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_ops_are_pils_to_the_last_bit(name, image):
    for ours, pils in REFERENCES[name]:
        expected = np.asarray(pils(Image.fromarray(image)))
        np.testing.assert_array_equal(ours(image), expected)
        np.testing.assert_array_equal(ours(image[..., :1])[..., 0], expected[..., 0])


@pytest.mark.parametrize("name", REFERENCES)
def test_each_of_many_channels_is_treated_by_itself(name):
    image = np.dstack([*(np.roll(image[:3, :5], 1, axis=1) for image in IMAGES.values()), PHOTO[:3, :5]])[..., :13]
    for ours, _ in REFERENCES[name]:
        planes = [ours(image[..., channel : channel + 1]) for channel in range(13)]
        np.testing.assert_array_equal(ours(image), np.concatenate(planes, axis=2))


def test_solarize_add_brightens_the_dark_half_alone():
    image = np.array([0, 60, 127, 128, 200], np.uint8).reshape(1, 5, 1)
    assert tone.solarize_add(image, 110).ravel().tolist() == [110, 170, 237, 128, 200]
    assert tone.solarize_add(image, 200).ravel().tolist() == [200, 255, 255, 128, 200]


@pytest.mark.parametrize("name", REFERENCES)
def test_float_images_of_whole_values_agree_with_uint8(name):
    for ours, _ in REFERENCES[name]:
        result = ours(PHOTO.astype(np.float32))
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, ours(PHOTO), atol=1.001 if name == "autocontrast" else 1e-3)


def test_autocontrast_reaches_from_0_to_255():
    for image in (IMAGES["faint"], IMAGES["faint"].astype(np.float32)):
        result = tone.autocontrast(image)
        assert result.min(axis=(0, 1)).tolist() == [0, 0, 0]
        np.testing.assert_allclose(result.max(axis=(0, 1)), 255, atol=1e-3)


def test_equalize_makes_the_histogram_flat():
    dark = IMAGES["dark"]
    for image in (dark, dark.astype(np.float32)):
        result = tone.equalize(image)
        shares = [np.mean(result[..., 0] < level) for level in (64, 128, 192)]
        np.testing.assert_allclose(shares, [0.25, 0.5, 0.75], atol=0.04)
    assert np.mean(dark[..., 0] < 64) > 0.4  # it was not flat before


def test_draws_fill_their_range():
    rng = np.random.default_rng(0)
    assert {tone.draw_posterize(rng, 4) for _ in range(200)} == {4, 5, 6, 7, 8}
    assert min(tone.draw_posterize(rng, 50) for _ in range(200)) == 1
    thresholds = [tone.draw_solarize(rng, 0.5) for _ in range(200)]
    assert 128 <= min(thresholds) < 135 < 250 < max(thresholds) <= 256
    additions = [tone.draw_solarize_add(rng, 0.4) for _ in range(200)]
    assert 0 <= min(additions) < 3 < 99 < max(additions) <= 102
