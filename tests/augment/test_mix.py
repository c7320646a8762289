"""Mixed batches: what is seen is what the targets say, and nothing is lost."""

import numpy as np
import pytest
from scipy import stats

from kagglekit.augment.mix import MIXES, CutMix, FMix, Mixture, MixUp, fourier_image, mix_targets

EACH = [MixUp(1.0), CutMix(1.0), FMix(1.0)]
MASKS = [mix for mix in EACH if not isinstance(mix, MixUp)]


def name(mix):
    return type(mix).__name__


def batch(rows=7, height=20, width=31, channels=3, seed=0):
    """Whole grey levels, soft targets, weights: of a batch whose size divides nothing."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (rows, height, width, channels)).astype(np.float32)
    return images, rng.dirichlet(np.ones(4), rows).astype(np.float32), rng.uniform(0, 3, rows).astype(np.float32)


def numbered(rows=7, height=20, width=31):
    """Images that say whose they are in every pixel, and one class each: what is seen is the target."""
    images = np.zeros((rows, height, width, rows), np.float32)
    images[np.arange(rows), :, :, np.arange(rows)] = 1
    return images, np.eye(rows, dtype=np.float32)


@pytest.mark.parametrize("mix", EACH, ids=name)
@pytest.mark.parametrize("rows", [1, 2, 7, 32])
def test_targets_are_the_shares_of_what_is_seen(mix, rows):
    for seed in range(10):
        images, targets, _ = mix(*numbered(rows), None, np.random.default_rng(seed))
        np.testing.assert_allclose(images.mean(axis=(1, 2)), targets, atol=1e-5)


@pytest.mark.parametrize("mix", MASKS, ids=name)
def test_every_pixel_comes_from_one_of_the_two_images(mix):
    for seed in range(10):
        images, targets, _ = mix(*numbered(), None, np.random.default_rng(seed))
        assert set(np.unique(images)) <= {0, 1}
        assert (images.sum(axis=-1) == 1).all()
        assert ((targets > 0).sum(axis=1) <= 2).all()


@pytest.mark.parametrize("mix", EACH, ids=name)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 13])
def test_shape_type_and_range_stay_whatever_the_number_of_channels(mix, channels):
    images, targets, weights = batch(channels=channels)
    mixed, new_targets, new_weights = mix(images.copy(), targets, weights, np.random.default_rng(1))
    assert (mixed.shape, new_targets.shape, new_weights.shape) == (images.shape, targets.shape, weights.shape)
    assert mixed.dtype == new_targets.dtype == new_weights.dtype == np.float32
    assert 0 <= mixed.min() <= mixed.max() <= 255
    assert not np.array_equal(mixed, images)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0])
def test_white_stays_white(alpha):
    for seed in range(200):
        images = np.full((4, 3, 3, 3), 255, np.float32)
        MixUp(alpha)(images, np.eye(4, dtype=np.float32), None, np.random.default_rng(seed))
        assert (images == 255).all()


@pytest.mark.parametrize("mix", EACH, ids=name)
def test_mixing_equal_rows_changes_nothing(mix):
    images, targets, weights = (np.repeat(part[:1], 5, axis=0) for part in batch())
    mixed = mix(images.copy(), targets, weights, np.random.default_rng(2))
    for new, old in zip(mixed, (images, targets, weights), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-6)


@pytest.mark.parametrize("mix", EACH, ids=name)
def test_a_batch_of_one_stays_as_it_is(mix):
    images, targets, weights = batch(rows=1)
    mixed = mix(images.copy(), targets, weights, np.random.default_rng(0))
    for new, old in zip(mixed, (images, targets, weights), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("mix", EACH, ids=name)
def test_sums_of_targets_and_weights_are_kept(mix):
    for seed in range(10):
        images, targets, weights = batch(seed=seed)
        _, plain, _ = mix(images.copy(), targets, None, np.random.default_rng(seed))
        _, weighted, new_weights = mix(images, targets, weights, np.random.default_rng(seed))
        np.testing.assert_allclose(plain.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(weighted.sum(axis=1), 1, rtol=1e-5)
        # One share for all: each row counts once as itself and once as a partner
        np.testing.assert_allclose(plain.sum(axis=0), targets.sum(axis=0), rtol=1e-5)
        np.testing.assert_allclose(new_weights.sum(), weights.sum(), rtol=1e-5)
        np.testing.assert_allclose(new_weights @ weighted, weights @ targets, rtol=1e-5)


def binary_cross_entropy(targets, scores):
    return -(targets * np.log(scores) + (1 - targets) * np.log(1 - scores)).sum(axis=-1)


def cross_entropy(targets, scores):
    return -(targets * np.log(scores)).sum(axis=-1)


@pytest.mark.parametrize("loss", [cross_entropy, binary_cross_entropy])
def test_the_loss_of_a_mixed_row_is_the_mean_of_both_weighted_losses(loss):
    rng = np.random.default_rng(0)
    _, targets, weights = batch(rows=9)
    weights[:3] = 0
    partners, shares = rng.permutation(9), rng.uniform(size=9).astype(np.float32)
    scores = rng.dirichlet(np.ones(4), 9)
    mixed, new_weights = mix_targets(targets, weights, partners, shares)
    own, others = (weights * loss(targets, scores), (weights[partners] * loss(targets[partners], scores)))
    np.testing.assert_allclose(new_weights * loss(mixed, scores), shares * own + (1 - shares) * others, rtol=1e-5)


def test_squared_errors_of_mixed_rows_have_the_gradient_of_the_mean():
    rng = np.random.default_rng(0)
    targets, weights = rng.normal(size=(9, 1)), rng.uniform(1, 3, 9)
    partners, shares, scores = rng.permutation(9), rng.uniform(size=9), rng.normal(size=(9, 1))
    mixed, new_weights = mix_targets(targets, weights, partners, shares)
    own, others = weights[:, None] * (scores - targets), weights[partners, None] * (scores - targets[partners])
    mean = shares[:, None] * own + (1 - shares[:, None]) * others
    np.testing.assert_allclose(new_weights[:, None] * (scores - mixed), mean)


def test_rows_that_weigh_nothing_still_have_targets():
    targets, weights = mix_targets(np.eye(2), np.zeros(2), np.array([1, 0]), np.array([0.25, 0.25]))
    np.testing.assert_allclose(targets, [[0.25, 0.75], [0.75, 0.25]])
    np.testing.assert_array_equal(weights, 0)


@pytest.mark.parametrize("mix", [*EACH, MIXES["mixup_cutmix"]], ids=lambda mix: type(mix).__name__)
def test_the_same_seed_gives_the_same_batch_and_another_seed_another(mix):
    def mixed(seed):
        return mix(*batch(), np.random.default_rng(seed))

    for first, again, other in zip(mixed(5), mixed(5), mixed(6), strict=True):
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_images_are_mixed_in_place_and_those_that_cannot_be_are_copied():
    images, targets, weights = batch()
    mixed, *_ = MixUp(1.0)(images, targets, weights, np.random.default_rng(1))
    assert np.shares_memory(mixed, images)
    every_second = np.repeat(batch()[0], 2, axis=2)[:, :, ::2]
    again, *_ = MixUp(1.0)(every_second, targets, weights, np.random.default_rng(1))
    np.testing.assert_array_equal(again, mixed)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixups_share_follows_the_papers_beta_distribution(alpha):
    mix, rng = MixUp(alpha), np.random.default_rng(0)
    shares = [mix.draw(rng, 8, 8)[0] for _ in range(10_000)]
    places = np.linspace(0.05, 0.95, 19)
    found = np.searchsorted(np.sort(shares), places) / len(shares)
    np.testing.assert_allclose(found, stats.beta(alpha, alpha).cdf(places), atol=0.02)


def test_cutmix_covers_what_the_papers_boxes_leave_after_clipping():
    # Sides of s = sqrt(1 - share) around a uniform centre keep s - s^2 / 4 within the image; the mean of its square
    # over a uniform s^2 is 1/2 - 1/5 + 1/48.
    rng = np.random.default_rng(0)
    covered = [1 - CutMix(1.0).draw(rng, 224, 224)[0] for _ in range(20_000)]
    assert np.mean(covered) == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.006)


def test_cutmix_boxes_have_the_proportions_of_the_image():
    rng = np.random.default_rng(0)
    boxes = [CutMix(1.0).draw(rng, 100, 300)[1] for _ in range(2_000)]
    inner = [(y, x) for y, x in boxes if y.start > 0 and y.stop < 100 and x.start > 0 and x.stop < 300]
    assert len(inner) > 200
    for y, x in inner:
        assert abs(3 * (y.stop - y.start) - (x.stop - x.start)) <= 3


@pytest.mark.parametrize("shape", [(16, 16), (20, 31), (31, 20), (1, 9)])
def test_fmix_masks_have_the_mean_that_was_drawn(shape):
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(1000):
        share, mask = FMix(1.0).draw(rng, *shape)
        assert share == pytest.approx(1 - mask.mean())
        shares.append(share)
    assert stats.kstest(shares, "uniform").statistic < 0.1  # Beta(1, 1)


@pytest.mark.parametrize("decay", [1.0, 3.0])
def test_the_frequencies_of_fmix_masks_fade_with_the_decay(decay):
    rng = np.random.default_rng(0)
    power = np.mean([np.abs(np.fft.fft2(fourier_image(rng, 32, 48, decay))) ** 2 for _ in range(300)], axis=0)
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(48))
    inner = (frequency > 1 / 32) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[inner]), np.log(power[inner]) / 2, 1)[0]
    assert slope == pytest.approx(-decay, abs=0.05)


def test_fmix_masks_are_pieces_and_no_noise():
    _, mask = FMix(1.0).draw(np.random.default_rng(4), 64, 64)
    edges = np.abs(np.diff(mask.astype(int), axis=0)).mean() + np.abs(np.diff(mask.astype(int), axis=1)).mean()
    assert 0.1 < mask.mean() < 0.9
    assert edges < 0.15  # pixels drawn one by one: 4 p (1 - p), 0.36 and more


@pytest.mark.parametrize("mix", [MixUp, CutMix, FMix])
def test_probability_is_the_share_of_mixed_batches(mix):
    rng = np.random.default_rng(0)
    images, targets = numbered(rows=4, height=4, width=4)
    changed = sum(
        not np.array_equal(mix(5.0, 0.3)(images.copy(), targets, None, rng)[1], targets) for _ in range(1_000)
    )
    # one permutation in 24 pairs each with itself, and a CutMix box or FMix mask of 16 pixels may be empty
    assert changed / 1_000 == pytest.approx(0.3 * 23 / 24, abs=0.05)


def test_a_mixture_takes_each_mix_as_often_as_its_chance():
    counts = {"a": 0, "b": 0}

    def counting(key):
        def mix(images, targets, weights, rng):
            counts[key] += 1
            return images, targets, weights

        return mix

    mix, rng = Mixture([counting("a"), counting("b")], chances=[0.2, 0.5]), np.random.default_rng(0)
    for _ in range(4_000):
        mix(*batch(rows=1, height=1, width=1), rng)
    assert counts["a"] / 4_000 == pytest.approx(0.2, abs=0.03)
    assert counts["b"] / 4_000 == pytest.approx(0.5, abs=0.03)


def test_the_table_has_the_papers_settings():
    assert MIXES["none"] is None
    assert (MIXES["mixup"].alpha, MIXES["cutmix"].alpha, MIXES["fmix"].alpha, MIXES["fmix"].decay) == (0.2, 1, 1, 3)
    for mix in MIXES.values():
        if mix is not None:
            images, targets, _ = mix(*numbered(), None, np.random.default_rng(0))
            np.testing.assert_allclose(images.mean(axis=(1, 2)), targets, atol=1e-5)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="alpha of more than 0, got 0"):
        MixUp(0)
    with pytest.raises(ValueError, match="probability from 0 to 1, got 1.5"):
        CutMix(1.0, 1.5)
    with pytest.raises(ValueError, match="expected 2 chances"):
        Mixture([MixUp(0.2), CutMix(1.0)], chances=[1.0])
    with pytest.raises(ValueError, match="sum of at most 1"):
        Mixture([MixUp(0.2), CutMix(1.0)], chances=[0.8, 0.8])


def test_batches_that_do_not_fit_together_are_refused():
    images, targets, weights = batch()
    with pytest.raises(ValueError, match="and 3 targets"):
        MixUp(1.0)(images, targets[:3], weights, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"got images of shape \(20, 31, 3\)"):
        MixUp(1.0)(images[0], targets, weights, np.random.default_rng(0))
