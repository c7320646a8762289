"""Neighbourhoods and noise: sharpness, blur, noise, JPEG artefacts, and jitter of channels. Any number of channels."""

from statistics import NormalDist

import cv2
import numpy as np

from kagglekit.augment.pixels import apply_table, draw_seed, in_channel_groups, pointwise, random_bytes, to_uint8

# 256 equally likely values of the normal distribution, scaled to variance 1; the largest is 2.9
_NORMAL = np.array([NormalDist().inv_cdf((level + 0.5) / 256) for level in range(256)])
_NORMAL = (_NORMAL / _NORMAL.std()).reshape(256, 1, 1)


def sharpness(image, factor):
    """Blend with a smoothed image (`PIL.ImageEnhance.Sharpness`): 0 is smooth, 1 the image, above 1 sharper.

    PIL's smoothing kernel is `[[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13`, and its outermost pixels stay as they are. The
    nine ones are a box filter, which is several times faster than the kernel. uint8 values differ from PIL's by at
    most 2.
    """
    if factor == 1 or min(image.shape[:2]) < 3:
        return image
    box_weight, image_weight = 9 / 13 * (1 - factor), factor + 4 / 13 * (1 - factor)
    box = in_channel_groups(image, lambda group: cv2.blur(group, (3, 3)))
    result = cv2.addWeighted(image, image_weight, box, box_weight, 0).reshape(image.shape)
    if image.dtype != np.uint8:
        np.clip(result, 0, 255, out=result)
    result[[0, -1]], result[:, [0, -1]] = image[[0, -1]], image[:, [0, -1]]
    return result


def gaussian_blur(image, sigma):
    """Blur with a Gaussian of `sigma` pixels, cut off at 3 sigma (float32: 4); the image is mirrored at its edges."""
    if sigma < 0.2:  # the neighbour's share is below 4e-6
        return image
    return in_channel_groups(
        image, lambda group: cv2.GaussianBlur(group, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    )


def gaussian_noise(image, noise):
    """Add normal noise to every value, independent in every channel.

    Args:
        image: uint8 or float32 array.
        noise: `(std, seed)`: the standard deviation in values of 0-255, and the seed of the noise, which takes 256
            equally likely values up to 2.9 standard deviations.
    """
    std, seed = noise
    if std == 0:
        return image
    dtype = np.int16 if image.dtype == np.uint8 else np.float32
    table = np.rint(std * _NORMAL) if dtype is np.int16 else std * _NORMAL
    added = apply_table(random_bytes(seed, image.shape), table.astype(dtype))
    result = cv2.add(image, added, dtype=cv2.CV_8U if dtype is np.int16 else cv2.CV_32F).reshape(image.shape)
    return result if dtype is np.int16 else np.clip(result, 0, 255, out=result)


def jpeg(image, quality):
    """Encode as JPEG and decode again; 100 leaves the image as it is.

    3 channels are one colour JPEG (colours at half the resolution); other images are one grey JPEG per channel. float32
    values are rounded to whole numbers.

    Args:
        image: uint8 or float32 array.
        quality: whole number from 1 to 100.
    """
    if quality >= 100:
        return image
    levels = image if image.dtype == np.uint8 else to_uint8(image)
    if image.shape[2] == 3:
        decoded = cv2.imdecode(_encode_jpeg(cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), quality), cv2.IMREAD_COLOR)
        result = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    else:
        planes = [_encode_jpeg(plane, quality) for plane in np.moveaxis(levels, 2, 0)]
        result = np.stack([cv2.imdecode(plane, cv2.IMREAD_GRAYSCALE) for plane in planes], axis=-1)
    return result.astype(image.dtype, copy=False)


def _encode_jpeg(image, quality):
    return cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]


def channel_jitter(image, jitter):
    """Give each channel its own gain and offset: for stains, scanners and satellite bands.

    Args:
        image: uint8 or float32 array with any number of channels.
        jitter: `(strength, seed)`: gains are uniform in `[1 - strength, 1 + strength]`, at least 0, and offsets in
            `[-64 strength, 64 strength]`; the seed fixes them.
    """
    strength, seed = jitter
    gain, offset = np.random.default_rng(seed).uniform(-1, 1, (2, image.shape[2])).astype(np.float32) * strength
    gain = np.maximum(1 + gain, 0)
    return pointwise(image, lambda values: values * gain + 64 * offset)


def channel_dropout(image, position):
    """Set one channel of several to 0, so that no channel alone decides; an image of one channel stays as it is.

    Args:
        image: uint8 or float32 array.
        position: of the dropped channel, as a share of all channels in `[0, 1)`; None drops none.
    """
    channels = image.shape[2]
    if position is None or channels == 1:
        return image
    result = image.copy()
    result[..., int(position * channels)] = 0
    return result


def draw_blur(rng, strength):
    """Draw sigma, uniform in `[0, strength]`, in pixels."""
    return rng.random() * strength


def draw_noise(rng, strength):
    """Draw `(std, seed)`: the standard deviation is uniform in `[0, 255 strength]`."""
    return rng.random() * 255 * strength, draw_seed(rng)


def draw_jpeg(rng, strength):
    """Draw a quality from `100 (1 - strength)` to 100, at least 1, whole numbers."""
    return max(1, 100 - int(rng.random() * (100 * min(strength, 1) + 0.999)))


def draw_channel_jitter(rng, strength):
    """Draw `(strength, seed)`: the number of channels is not known yet."""
    return strength, draw_seed(rng)


def draw_channel_dropout(rng, strength):
    """Draw with probability `strength` the position of the dropped channel, in `[0, 1)`; else None."""
    position, chance = rng.random(2)
    return float(position) if chance < strength else None
