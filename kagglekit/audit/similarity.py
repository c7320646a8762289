"""Which images look the same: a hash of 256 signs proposes pairs, 32x32 grey thumbnails confirm them.

An image is described by its thumbnail's *local contrast*: each pixel less its surroundings, over the strength of
detail around it. So light, a layout that all images share (a bright disc on black) and large empty areas weigh
little, and every corner that shows something counts. Thumbnails are taken of the whole image and of its middle, so
that a cropped copy finds its original: the two are compared where they show the same.
"""

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

SIDE = 32
CROPS = (0.0, 0.015, 0.03)  # taken off each side, as a share of that side
# Chosen on flowers12 and on drawn images, see tests/audit/test_duplicates.py: copies that were resized to 60%,
# saved at JPEG quality 60 and cropped by 3% have at least these values, different images of one kind do not.
SIMILARITY = 0.95  # correlation of the local contrasts
LOCAL_SIMILARITY = 0.75  # the same in the least alike place of some 8x8 thumbnail pixels: a lesion, another caption
RESIDUAL = 0.45  # most difference of brightness at any place, as a share of the strength of detail around it
CONTRAST = 1.12  # one image's detail may be that many times as strong as the other's
DETAIL = 2.0  # a thumbnail whose detail deviates by less shows nothing to compare
HASH_SIMILARITY = 0.65  # correlation of two hashes that makes a pair worth a look
_HALF, _HALF_SIMILARITY = 128, 0.28  # what that many of the 256 signs contribute: 6 deviations beyond chance
_NOISE = 4.0  # grey levels of detail that count as noise: compression leaves 1 to 2 on a thumbnail
_FEW = 30  # of so few images, half of their mean counts as shared
_BLOCK = 128  # rows of hashes compared at a time: 30 MB for 60,000 images


def thumbnails(grey):
    """Return the grey thumbnails, uint8 `(crops, 32, 32)`, of a PIL image of mode L or F."""
    width, height = grey.size
    return np.stack(
        [
            np.asarray(
                grey.resize(
                    (SIDE, SIDE),
                    Image.Resampling.BOX,
                    box=(width * crop, height * crop, width * (1 - crop), height * (1 - crop)),
                )
            )
            for crop in CROPS
        ]
    )


def near_pairs(images):
    """Find all pairs that look the same.

    Args:
        images: uint8 array `(images, crops, 32, 32)` of `thumbnails`, or a list of its rows, which saves a copy.

    Returns:
        int64 array `(pairs, 2)` of positions, the first one smaller, sorted; and float64 array `(pairs,)`, the
        correlation of each pair.
    """
    hashes = _hashes(images)
    scores = {}
    for start in tqdm(range(0, len(images), _BLOCK), desc="comparing images", leave=False):
        pairs = _candidates(hashes, start)
        for first in range(0, len(pairs), 4 * _BLOCK):
            batch = pairs[first : first + 4 * _BLOCK]
            similarity = _confirm(images, batch)
            scores.update((tuple(pair), value) for pair, value in zip(batch.tolist(), similarity, strict=True) if value)
    ordered = sorted(scores)
    return np.array(ordered, np.int64).reshape(-1, 2), np.array([scores[pair] for pair in ordered], np.float64)


def _blur(sigma):
    """Return the matrix `B` that makes `B @ image @ B.T` a Gaussian blur; edge pixels repeat beyond the image."""
    position = np.arange(-SIDE, 2 * SIDE)
    weights = np.exp(-((np.arange(SIDE)[:, None] - position) ** 2) / (2 * sigma**2))
    matrix = np.zeros((SIDE, SIDE))
    np.add.at(matrix.T, position.clip(0, SIDE - 1), weights.T)
    return (matrix / matrix.sum(1, keepdims=True)).astype(np.float32)


def _plane():
    """Return an orthonormal basis, `(1024, 3)`, of the images that are one even slope."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.linalg.qr(np.stack([np.ones(SIDE**2), x.ravel(), y.ravel()], axis=1))[0].astype(np.float32)


def _cosines():
    """Return the discrete cosine transform as a matrix, and the 256 lowest frequencies after the mean."""
    place = np.arange(SIDE)
    matrix = np.cos(np.pi * (place + 0.5) * place[:, None] / SIDE).astype(np.float32)
    return matrix, np.argsort(np.add.outer(place, place).ravel(), kind="stable")[1:257]


_SURROUNDINGS, _PLACE, _SOFT = _blur(3), _blur(2), _blur(1)
_SLOPES = _plane()
# Either image may be the cropped one.
_CROPPED = [(0, 0), *((0, crop) for crop in range(1, len(CROPS))), *((crop, 0) for crop in range(1, len(CROPS)))]
_COSINES, _LOWEST = _cosines()


def _spread(matrix, images):
    return matrix @ images @ matrix.T


def _detail(images):
    """Return what images `(n, 32, 32)` have beyond an even slope and their surroundings' brightness."""
    flat = images.reshape(-1, SIDE * SIDE).astype(np.float32)
    level = (flat - (flat @ _SLOPES) @ _SLOPES.T).reshape(-1, SIDE, SIDE)
    return level - _spread(_SURROUNDINGS, level)


def _local_contrast(images):
    detail = _detail(images)
    return detail / (np.sqrt(_spread(_SURROUNDINGS, detail * detail)) + _NOISE)


def _unit(rows):
    rows = rows.reshape(len(rows), -1)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _hashes(images):
    """Return three hashes of each image, float32 `(3, images, 256)`: 256 signs, as rows of length 1.

    What all images share is taken away first: from whole images, from cropped ones, and, to find the whole image
    that is itself a cropped copy, what the cropped share from whole ones. A frequency that an image hardly has gets
    0 in place of a sign, which noise would decide; an image without detail gets only 0, so that it is like no other.
    """
    whole, cropped = (_waves(images, crop) for crop in (0, -1))
    shared, shared_cropped = (waves.sum(0) / (len(waves) + _FEW) for waves in (whole, cropped))
    return _signs(whole, shared), _signs(cropped, shared_cropped), _signs(whole, shared_cropped)


def _waves(images, crop):
    """Return how strong the 256 lowest frequencies are in each image's local contrast."""
    waves = np.empty((len(images), len(_LOWEST)), np.float32)
    for start in range(0, len(images), _BLOCK):
        batch = np.stack([thumbnails[crop] for thumbnails in images[start : start + _BLOCK]])
        contrast = _local_contrast(batch) * (_detail(batch).std((1, 2)) >= DETAIL)[:, None, None]
        waves[start : start + _BLOCK] = _unit(_spread(_COSINES, contrast))[:, _LOWEST]
    return waves


def _signs(waves, shared):
    hashes = np.empty_like(waves)
    for start in range(0, len(waves), _BLOCK):
        batch = waves[start : start + _BLOCK]
        distinctive = np.where(batch.any(1, keepdims=True), batch - shared, 0)
        strength = np.sqrt((distinctive**2).mean(1, keepdims=True))
        hashes[start : start + _BLOCK] = _unit(np.where(np.abs(distinctive) < strength / 2, 0, np.sign(distinctive)))
    return hashes


def _candidates(hashes, start):
    """Return the pairs, `(pairs, 2)`, of a block of images with all: whole with whole and whole with cropped."""
    whole, cropped, perhaps_cropped = hashes
    rows = slice(start, start + _BLOCK)
    pairs = []
    for block, others, offset in ((whole[rows], whole[start:], start), (perhaps_cropped[rows], cropped, 0)):
        # The lower half of the frequencies turns nearly all pairs down at half the price
        hits = np.flatnonzero(block[:, :_HALF] @ others[:, :_HALF].T > _HALF_SIMILARITY)
        row, other = hits // len(others), hits % len(others)
        alike = np.einsum("ij,ij->i", block[row], others[other]) > HASH_SIMILARITY
        pairs.append(np.stack([other + offset, row + start], axis=1)[alike])
    pairs = np.unique(np.concatenate(pairs), axis=0)  # in the order of the others: few of them at a time to confirm
    return np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)


def _confirm(images, pairs):
    """Return the similarity of each pair, 0 where it is none: the best over the crops of either image."""
    if not len(pairs):
        return np.empty(0)
    members, place = np.unique(pairs, return_inverse=True)
    first, second = place.reshape(pairs.shape).T
    shown = np.stack([images[member] for member in members], axis=1)
    contrast = [_local_contrast(crop) for crop in shown]
    unit = [_unit(maps) for maps in contrast]
    similarity = np.zeros(len(pairs))
    for one, other in _CROPPED:
        value = np.einsum("ij,ij->i", unit[one][first], unit[other][second])
        rows = np.flatnonzero((value > SIMILARITY) & (value > similarity))
        a, b = first[rows], second[rows]
        same = _same_shapes(contrast[one][a], contrast[other][b]) & _same_light(shown[one][a], shown[other][b])
        similarity[rows[same]] = value[rows[same]]
    return similarity


def _same_shapes(a, b):
    """Tell which pairs of local contrasts are alike in every place, by the structure term of SSIM.

    Reference: Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004.
    """
    floor = 0.15  # where neither image shows anything, they are alike
    local = (2 * _spread(_PLACE, a * b) + floor) / (_spread(_PLACE, a * a) + _spread(_PLACE, b * b) + floor)
    return local.min((1, 2)) > LOCAL_SIMILARITY


def _same_light(a, b):
    """Tell which pairs of thumbnails have the same brightness everywhere, and details of the same strength."""
    detail_a, detail_b = _detail(a), _detail(b)
    difference = np.abs(_spread(_SOFT, a.astype(np.float32) - b))
    strength = np.sqrt(_spread(_SURROUNDINGS, np.maximum(detail_a * detail_a, detail_b * detail_b)))
    contrast = np.log(detail_a.std((1, 2)) / detail_b.std((1, 2)))  # neither is 0: SIMILARITY asks for detail
    return ((difference / (2 * _NOISE + strength)).max((1, 2)) < RESIDUAL) & (np.abs(contrast) < np.log(CONTRAST))
