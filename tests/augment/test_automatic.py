"""Automatic augmentation: the published tables, the scales of magnitudes, and what is drawn from them."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from kagglekit.augment import OPS, automatic

PHOTO = load_sample_images().images[0][100:164, 200:264] // 4 * 3 + 20

# The tables of Cubuk et al. 2019 (appendix) as they are printed, with the magnitudes that have no meaning, in the form
# of the DeepVoltaire/AutoAugment repository: probability, operation, magnitude, twice a line.
PUBLISHED = {
    "imagenet": """
        0.4 posterize 8 0.6 rotate 9        0.6 solarize 5 0.6 autocontrast 5   0.8 equalize 8 0.6 equalize 3
        0.6 posterize 7 0.6 posterize 6     0.4 equalize 7 0.2 solarize 4       0.4 equalize 4 0.8 rotate 8
        0.6 solarize 3 0.6 equalize 7       0.8 posterize 5 1.0 equalize 2      0.2 rotate 3 0.6 solarize 8
        0.6 equalize 8 0.4 posterize 6      0.8 rotate 8 0.4 color 0            0.4 rotate 9 0.6 equalize 2
        0.0 equalize 7 0.8 equalize 8       0.6 invert 4 1.0 equalize 8         0.6 color 4 1.0 contrast 8
        0.8 rotate 8 1.0 color 2            0.8 color 8 0.8 solarize 7          0.4 sharpness 7 0.6 invert 8
        0.6 shearX 5 1.0 equalize 9         0.4 color 0 0.6 equalize 3          0.4 equalize 7 0.2 solarize 4
        0.6 solarize 5 0.6 autocontrast 5   0.6 invert 4 1.0 equalize 8         0.6 color 4 1.0 contrast 8
        0.8 equalize 8 0.6 equalize 3
    """,
    "cifar10": """
        0.1 invert 7 0.2 contrast 6         0.7 rotate 2 0.3 translateX 9       0.8 sharpness 1 0.9 sharpness 3
        0.5 shearY 8 0.7 translateY 9       0.5 autocontrast 8 0.9 equalize 2   0.2 shearY 7 0.3 posterize 7
        0.4 color 3 0.6 brightness 7        0.3 sharpness 9 0.7 brightness 9    0.6 equalize 5 0.5 equalize 1
        0.6 contrast 7 0.6 sharpness 5      0.7 color 7 0.5 translateX 8        0.3 equalize 7 0.4 autocontrast 8
        0.4 translateY 3 0.2 sharpness 6    0.9 brightness 6 0.2 color 8        0.5 solarize 2 0.0 invert 3
        0.2 equalize 0 0.6 autocontrast 0   0.2 equalize 8 0.6 equalize 4       0.9 color 9 0.6 equalize 6
        0.8 autocontrast 4 0.2 solarize 8   0.1 brightness 3 0.7 color 0        0.4 solarize 5 0.9 autocontrast 3
        0.9 translateY 9 0.7 translateY 9   0.9 autocontrast 2 0.8 solarize 3   0.8 equalize 8 0.1 invert 3
        0.7 translateY 9 0.9 autocontrast 1
    """,
    "svhn": """
        0.9 shearX 4 0.2 invert 3           0.9 shearY 8 0.7 invert 5           0.6 equalize 5 0.6 solarize 6
        0.9 invert 3 0.6 equalize 3         0.6 equalize 1 0.9 rotate 3         0.9 shearX 4 0.8 autocontrast 3
        0.9 shearY 8 0.4 invert 5           0.9 shearY 5 0.2 solarize 6         0.9 invert 6 0.8 autocontrast 1
        0.6 equalize 3 0.9 rotate 3         0.9 shearX 4 0.3 solarize 3         0.8 shearY 8 0.7 invert 4
        0.9 equalize 5 0.6 translateY 6     0.9 invert 4 0.6 equalize 7         0.3 contrast 3 0.8 rotate 4
        0.8 invert 5 0.0 translateY 2       0.7 shearY 6 0.4 solarize 8         0.6 invert 4 0.8 rotate 4
        0.3 shearY 7 0.9 translateX 3       0.1 shearX 6 0.6 invert 5           0.7 solarize 2 0.6 translateY 7
        0.8 shearY 4 0.8 invert 8           0.7 shearX 9 0.8 translateY 3       0.8 shearY 5 0.7 autocontrast 3
        0.7 shearX 2 0.1 invert 5
    """,
}


@pytest.mark.parametrize("table", PUBLISHED)
def test_autoaugments_tables_are_the_published_ones(table):
    words = PUBLISHED[table].split()
    published = [
        (words[at + 1], float(words[at]), None if words[at + 1] in ("autocontrast", "equalize", "invert") else level)
        for at, level in zip(range(0, len(words), 3), map(int, words[2::3]), strict=True)
    ]
    ours = automatic.AUTOAUGMENT[table]
    assert len(ours) == 25
    flat = [(name[0].lower() + name[1:], chance, level) for pair in ours for name, chance, level in pair]
    names = {"autoContrast": "autocontrast"}
    assert [(names.get(name, name), chance, level) for name, chance, level in flat] == published


def test_the_ranges_are_autoaugments_and_trivialaugments():
    """Levels 0 and the last of Cubuk et al. 2019, table 6, and of Mueller and Hutter 2021, table 1 (wide)."""
    narrow = {
        "ShearX": 0.3, "ShearY": 0.3, "TranslateX": 150 / 331, "TranslateY": 150 / 331, "Rotate": 30, "Brightness": 0.9,
        "Color": 0.9, "Contrast": 0.9, "Sharpness": 0.9, "Posterize": 4, "Solarize": 0,
    }  # fmt: skip
    wide = narrow | dict.fromkeys(("ShearX", "ShearY", "Brightness", "Color", "Contrast", "Sharpness"), 0.99)
    wide |= {"Rotate": 135, "TranslateX": 32 / 224, "TranslateY": 32 / 224, "Posterize": 2}
    for ranges, most in ((automatic.NARROW, narrow), (automatic.WIDE, wide)):
        assert {name: automatic.value_at_magnitude(name, 1.0, ranges) for name in ranges} == pytest.approx(most)
        least = {name: automatic.value_at_magnitude(name, 0.0, ranges) for name in ranges}
        assert least == {name: {"Posterize": 8, "Solarize": 256}.get(name, 0) for name in ranges}


@pytest.mark.parametrize("ranges", [automatic.NARROW, automatic.WIDE, automatic.MIXED], ids=["narrow", "wide", "mixed"])
def test_more_magnitude_is_more_change_for_every_operation(ranges):
    ramp = np.add.outer(np.arange(64), np.arange(64))[..., None].repeat(3, axis=2) + 64  # differs the more it moves
    for name in ranges:
        image = ramp.astype(np.uint8) if name.startswith(("Shear", "Translate", "Rotate")) else PHOTO
        for negative in (False, True):
            values = [automatic.value_at_magnitude(name, level / 10, ranges, negative=negative) for level in range(11)]
            images = [automatic.apply_steps(image, [(name, value)], OPS) for value in values]
            distances = [np.abs(sample.astype(int) - image).mean() for sample in images]
            assert all(later >= earlier for earlier, later in pairwise(distances)), name
            assert distances[-1] > distances[0] or name in ("AutoContrast", "Equalize")


@pytest.mark.parametrize(
    ("name", "value", "reference"),
    [
        ("Identity", 0, lambda sample: sample),
        ("Brightness", 0.5, lambda sample: ImageEnhance.Brightness(sample).enhance(1.5)),
        ("Color", -0.5, lambda sample: ImageEnhance.Color(sample).enhance(0.5)),
        ("Contrast", -0.9, lambda sample: ImageEnhance.Contrast(sample).enhance(0.1)),
        ("Sharpness", 0.9, lambda sample: ImageEnhance.Sharpness(sample).enhance(1.9)),
        ("Posterize", 4, lambda sample: ImageOps.posterize(sample, 4)),
        ("Solarize", 100.0, lambda sample: ImageOps.solarize(sample, 100)),
        ("AutoContrast", 0, ImageOps.autocontrast),
        ("Equalize", 0, ImageOps.equalize),
        ("Invert", 0, ImageOps.invert),
        ("Rotate", 90.0, lambda sample: sample.rotate(90)),
        ("TranslateX", 0.25, lambda sample: sample.transform((64, 64), Image.Transform.AFFINE, (1, 0, -16, 0, 1, 0),
                                                               fillcolor=(128,) * 3)),
        ("TranslateY", -0.25, lambda sample: sample.transform((64, 64), Image.Transform.AFFINE, (1, 0, 0, 0, 1, 16),
                                                                fillcolor=(128,) * 3)),
    ],
)  # fmt: skip
def test_operations_are_pils(name, value, reference):
    expected = np.asarray(reference(Image.fromarray(PHOTO)), int)
    difference = np.abs(automatic.apply_steps(PHOTO, [(name, value)], OPS) - expected)
    assert difference.max() <= 2


def test_shears_fill_with_grey_and_keep_the_middle_line():
    result = automatic.apply_steps(PHOTO, [("ShearX", 0.3)], OPS)
    assert (result[0, -6:] == 128).all()  # the upper half moves left, the lower half right
    assert (result[-1, :6] == 128).all()
    assert np.abs(result[31:33].astype(int) - PHOTO[31:33]).mean() < 6


def test_autoaugment_takes_every_sub_policy_as_often_and_its_operations_by_their_chances():
    rng = np.random.default_rng(0)
    drawn = [automatic.draw_autoaugment(rng, 1.0, table="svhn") for _ in range(5000)]
    counts = Counter(name for steps in drawn for name, _ in steps)
    chances = Counter()
    for pair in automatic.AUTOAUGMENT["svhn"]:
        for name, chance, _ in pair:
            chances[name] += chance
    for name, chance in chances.items():
        assert abs(counts[name] / 5000 - chance / 25) < 0.03
    rotations = [value for steps in drawn for name, value in steps if name == "Rotate"]
    assert {round(abs(value), 6) for value in rotations} == {10.0, round(4 / 9 * 30, 6)}  # levels 3 and 4
    assert 0.4 < np.mean(np.array(rotations) > 0) < 0.6


def test_autoaugments_strength_is_its_probability():
    rng = np.random.default_rng(0)
    often = np.mean([len(automatic.draw_autoaugment(rng, 0.3, table="imagenet")) > 0 for _ in range(2000)])
    always = np.mean([len(automatic.draw_autoaugment(rng, 1.0, table="imagenet")) > 0 for _ in range(2000)])
    assert abs(often / always - 0.3) < 0.05


def test_randaugment_draws_two_of_the_papers_14_operations_at_one_magnitude():
    rng = np.random.default_rng(0)
    drawn = [automatic.draw_randaugment(rng, 9) for _ in range(3000)]
    assert {len(steps) for steps in drawn} == {2}
    counts = Counter(name for steps in drawn for name, _ in steps)
    assert len(counts) == 14
    assert max(abs(count / 6000 - 1 / 14) for count in counts.values()) < 0.02
    values = {name: {abs(value) for steps in drawn for op, value in steps if op == name} for name in counts}
    assert values["Rotate"] == {27.0}  # 9 of 10, not of 30
    assert values["Posterize"] == {4}
    assert list(values["Color"]) == pytest.approx([0.81])
    assert max(values["Solarize"]) == pytest.approx(25.6)  # nearly everything is inverted, not nearly nothing


def test_trivialaugment_draws_one_operation_at_any_of_31_magnitudes():
    rng = np.random.default_rng(0)
    drawn = [automatic.draw_trivialaugment(rng, 1.0) for _ in range(6000)]
    assert {len(steps) for steps in drawn} == {1}
    rotations = {round(abs(value) / 135 * 30, 6) for ((name, value),) in drawn if name == "Rotate"}
    assert rotations == set(range(31))


def test_augmix_draws_three_chains_of_one_to_three_operations():
    rng = np.random.default_rng(0)
    drawn = [automatic.draw_augmix(rng, 3) for _ in range(1000)]
    assert {len(mixture) for mixture in drawn} == {3}
    depths = Counter(len(steps) for mixture in drawn for _, steps in mixture)
    assert max(abs(depths[depth] / 3000 - 1 / 3) for depth in (1, 2, 3)) < 0.05
    shares = np.array([[share for share, _ in mixture] for mixture in drawn])
    assert np.all((shares >= 0) & (shares.sum(axis=1, keepdims=True) <= 1))
    assert abs(shares.sum(axis=1).mean() - 0.5) < 0.04  # Beta(1, 1)
    degrees = [abs(value) for mixture in drawn for _, steps in mixture for name, value in steps if name == "Rotate"]
    assert 0.3 <= min(degrees) < 1 < 8 < max(degrees) <= 9  # severity 3 of 10


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_augmix_is_the_convex_mixture_of_its_chains(dtype):
    image = PHOTO.astype(dtype)
    chains = [[("Invert", 0)], [("Rotate", 90.0), ("Posterize", 3)], [("Solarize", 128.0)]]
    shares = (0.2, 0.1, 0.3)
    expected = 0.4 * image.astype(float)
    for share, steps in zip(shares, chains, strict=True):
        expected += share * automatic.apply_steps(image, steps, OPS)
    result = automatic.apply_augmix(image, list(zip(shares, chains, strict=True)), OPS)
    np.testing.assert_allclose(result, expected, atol=0.5001)
