"""Mixing each image of a batch with another one: MixUp, CutMix, FMix and a mixture of them.

A random permutation gives each image its partner in the batch; one share, box or mask is drawn for the whole batch,
as in the papers' own code. A mix is called as `mix(images, targets, weights, rng)` and changes the images in place:
no second buffer of the batch's size is made.
"""

import functools

import cv2
import numpy as np


class _Mix:
    """Base of the mixes: a subclass draws its parameters in `draw` and applies them in `blend`."""

    def __init__(self, alpha, probability=1.0):
        if not alpha > 0:
            raise ValueError(f"expected alpha of more than 0, got {alpha}; leave the mix out to mix nothing")
        if not 0 <= probability <= 1:
            raise ValueError(f"expected a probability from 0 to 1, got {probability}")
        self.alpha = alpha
        self.probability = probability

    def __call__(self, images, targets, weights, rng):
        """Mix a batch.

        Args:
            images: float32 `(batch, height, width, channels)` in `[0, 255]`; changed in place if contiguous.
            targets: float32 `(batch, classes)`: one-hot or soft labels, several labels, distributions or numbers.
            weights: float32 `(batch,)`, 0 or more, each row's weight in the loss; or None.
            rng: `np.random.Generator`.

        Returns:
            `(images, targets, weights)` of the same shapes and dtypes; see `mix_targets` for the last two.

        Raises:
            ValueError: for images without four axes, or another number of targets than of images.
        """
        if images.ndim != 4 or len(targets) != len(images):
            raise ValueError(
                f"expected images (batch, height, width, channels) and as many targets, got images of shape "
                f"{images.shape} and {len(targets)} targets"
            )
        if rng.random() >= self.probability:
            return images, targets, weights
        images = np.ascontiguousarray(images)
        partners = rng.permutation(len(images))
        share, parameters = self.draw(rng, *images.shape[1:3])
        for row, partner in _pairs(images, partners):
            self.blend(images[row], partner, parameters)
        return images, *mix_targets(targets, weights, partners, np.full(len(images), share, np.float32))


class MixUp(_Mix):
    """Weighted means of two images: `share x_i + (1 - share) x_j`, the share from Beta(alpha, alpha).

    Args:
        alpha: of the Beta distribution, more than 0. The paper: 0.1 to 0.4 on ImageNet, 1 on CIFAR-10.
        probability: share of batches that are mixed.

    Example:

    >>> images, targets = np.full((2, 4, 4, 3), 8, np.float32), np.eye(2, dtype=np.float32)
    >>> images[1] = 16
    >>> images, targets, weights = MixUp(1.0)(images, targets, None, np.random.default_rng(3))
    >>> np.allclose(images[:, 0, 0, 0], targets @ [8, 16]), weights
    (True, None)

    Reference: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, equation 1;
    https://github.com/facebookresearch/mixup-cifar10
    """

    def draw(self, rng, height, width):
        """Return the share of the image itself, twice: what counts for the target, and what `blend` takes."""
        # A multiple of 2^-16 times a whole number up to 255 is exact in float32: mixing never leaves [0, 255].
        share = round(rng.beta(self.alpha, self.alpha) * 65536) / 65536
        return share, share

    @staticmethod
    def blend(image, other, share):
        """Mix `other` into `image` in place."""
        flat = image.reshape(len(image), -1)  # OpenCV then takes any number of channels
        cv2.addWeighted(flat, share, other.reshape(flat.shape), 1 - share, 0, dst=flat)


class CutMix(_Mix):
    """A box of the partner pasted into the image; the box covers `1 - share` of it, the share from Beta(alpha, alpha).

    The box's centre lies anywhere in the image, so that parts of the box may lie outside; the targets are mixed by what
    lies inside.

    Args:
        alpha: of the Beta distribution, more than 0; 1 in the paper.
        probability: share of batches that are mixed.

    Example:

    >>> images, targets = np.zeros((2, 4, 4, 3), np.float32), np.eye(2, dtype=np.float32)
    >>> images[1] = 1
    >>> images, targets, _ = CutMix(1.0)(images, targets, None, np.random.default_rng(3))
    >>> bool(images[0].mean() == targets[0, 1])
    True

    Reference: Yun et al., "CutMix", ICCV 2019, equations 1 and 2; https://github.com/clovaai/CutMix-PyTorch
    """

    def draw(self, rng, height, width):
        """Return the share of the image itself and the box as two slices."""
        side = np.sqrt(1 - rng.beta(self.alpha, self.alpha))
        box = tuple(_interval(rng, side, length) for length in (height, width))
        covered = [
            (interval.stop - interval.start) / length for interval, length in zip(box, (height, width), strict=True)
        ]
        return 1 - covered[0] * covered[1], box

    @staticmethod
    def blend(image, other, box):
        """Paste the box of `other` into `image` in place."""
        image[box] = other[box]


class FMix(_Mix):
    """The partner seen through smooth blobs that leave `share` of the image, the share from Beta(alpha, alpha).

    Args:
        alpha: of the Beta distribution, more than 0; 1 in the paper.
        probability: share of batches that are mixed.
        decay: how fast high frequencies fade in the mask; 3 in the paper. Less: smaller pieces.

    Example:

    >>> images, targets = np.zeros((2, 4, 4, 3), np.float32), np.eye(2, dtype=np.float32)
    >>> images[1] = 1
    >>> images, targets, _ = FMix()(images, targets, None, np.random.default_rng(3))
    >>> bool(images[0].mean() == targets[0, 1])
    True

    Reference: Harris et al., "FMix: Enhancing Mixed Sample Data Augmentation", 2020, section 4;
    https://github.com/ecs-vlc/FMix
    """

    def __init__(self, alpha=1.0, probability=1.0, *, decay=3.0):
        super().__init__(alpha, probability)
        self.decay = decay

    def draw(self, rng, height, width):
        """Return the share of the image itself and the partner's mask, uint8 `(height, width)`, 1 where it is seen."""
        size = height * width
        hidden = round((1 - rng.beta(self.alpha, self.alpha)) * size)
        mask = np.zeros(size, np.uint8)
        if hidden:
            grey = fourier_image(rng, height, width, self.decay)
            mask[np.argpartition(grey.ravel(), hidden - 1)[:hidden]] = 1
        return 1 - hidden / size, mask.reshape(height, width)

    @staticmethod
    def blend(image, other, mask):
        """Copy `other` into `image`, in place, where the mask is not 0."""
        cv2.copyTo(other, mask, image)


class Mixture:
    """One of several mixes for each batch.

    Args:
        mixes: mixes, called as the others here.
        chances: share of the batches that each mix gets, in sum at most 1; the other batches are not mixed.

    Raises:
        ValueError: for another number of chances than of mixes, a negative one, or a sum of more than 1.

    Example:

    >>> mix = Mixture([MixUp(0.2), CutMix(1.0)], chances=[0.4, 0.4])  # a fifth of the batches is not mixed
    """

    def __init__(self, mixes, chances):
        if len(mixes) != len(chances) or min(chances) < 0 or sum(chances) > 1 + 1e-6:
            raise ValueError(f"expected {len(mixes)} chances from 0 to 1 with a sum of at most 1, got {chances}")
        self.mixes = mixes
        self.chances = chances

    def __call__(self, images, targets, weights, rng):
        """Mix a batch with one of the mixes; arguments and results are theirs."""
        index = np.searchsorted(np.cumsum(self.chances), rng.random(), side="right")
        if index == len(self.mixes):
            return images, targets, weights
        return self.mixes[index](images, targets, weights, rng)


def mix_targets(targets, weights, partners, shares):
    """Mix the targets and weights of rows with those of their partners.

    The loss of a mixed row is to be `a w_i L(t_i) + b w_j L(t_j)` with the shares `a` and `b = 1 - a`, the weights `w`
    and the targets `t`. Cross-entropy, binary or not, is affine in the target: for shares that sum to 1 the mean of the
    losses is the loss of the mean. Taken out, the factor `w = a w_i + b w_j` leaves `a w_i / w` and `b w_j / w`, which
    do: so `w` is the new weight and `t = (a w_i t_i + b w_j t_j) / w` the new target. For the squared error the two
    sides differ by a number that no prediction changes: the gradients agree.

    Args:
        targets: float32 `(batch, classes)`.
        weights: float32 `(batch,)`, 0 or more, or None for equal ones.
        partners: the row that each is mixed with, integers `(batch,)`.
        shares: share of the row itself, float32 `(batch,)` from 0 to 1.

    Returns:
        `(targets, weights)`, new arrays; weights stay None.

    Example:

    >>> targets, weights = mix_targets(np.eye(2), np.array([3.0, 1.0]), [1, 0], np.array([0.5, 0.5]))
    >>> targets.tolist(), weights.tolist()
    ([[0.75, 0.25], [0.75, 0.25]], [2.0, 2.0])
    """
    if weights is not None:
        own_weights = shares * weights
        mixed_weights = own_weights + (1 - shares) * weights[partners]
        # Rows that weigh nothing mix all the same
        shares = np.divide(own_weights, mixed_weights, out=shares.copy(), where=mixed_weights > 0)
        weights = mixed_weights
    shares = shares[:, None]
    return shares * targets + (1 - shares) * targets[partners], weights


def fourier_image(rng, height, width, decay=3.0):
    """Return a random image whose frequencies fade as `1 / f^decay`; float32 `(height, width)`, mean 0.

    Complex normal noise in Fourier space is divided by `max(f, 1 / longest side)^decay` and transformed back, as the
    FMix paper defines it. (The authors' code reads the noise's real and imaginary parts as neighbouring columns.)
    """
    fading = _fading(height, width, decay)
    noise = rng.standard_normal((*fading.shape, 2), np.float32).view(np.complex64)[..., 0]
    return np.fft.irfft2(noise * fading, (height, width))


@functools.lru_cache(maxsize=8)
def _fading(height, width, decay):
    """Return what each frequency is multiplied by; cached, because it takes as long as the transform."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    fading = np.maximum(frequency, 1 / max(height, width)) ** -decay
    fading[0, 0] = 0  # a constant, which no threshold by rank sees
    return fading.astype(np.float32)


def _interval(rng, share, length):
    """Return a slice of `share` of a length around a random place, without what lies outside."""
    size = round(share * length)
    start = int(rng.integers(length)) - size // 2
    return slice(max(start, 0), min(start + size, length))


def _pairs(images, partners):
    """Yield each row's number and its partner's image as it was; the row may be changed before the next is asked for.

    A permutation consists of cycles. Along a cycle each row is changed after the one that needs it, so that only the
    cycle's first image has to be copied. A row that is its own partner is left out.
    """
    remaining = set(np.flatnonzero(partners != np.arange(len(partners))))
    first_image = np.empty_like(images[0])
    while remaining:
        row = start = min(remaining)
        first_image[...] = images[start]
        while row in remaining:
            remaining.remove(row)
            partner = partners[row]
            yield row, first_image if partner == start else images[partner]
            row = partner


MIXES = {
    "none": None,
    "mixup": MixUp(0.2),
    "cutmix": CutMix(1.0),
    "fmix": FMix(1.0),
    "mixup_cutmix": Mixture([MixUp(0.2), CutMix(1.0)], chances=[0.5, 0.5]),
}
