"""Preprocessing, the same for every image and before any augmentation: crops, masks, corrections of light and colour.

Each function takes one image, uint8 `(height, width, channels)`, RGB where it has three channels, and returns uint8.
It never changes its input, though its result may share memory with it. They run once, when records are written. None
helps everywhere: the winner of the second retinopathy competition used none of them, so measure each by leaving it out.
"""

import inspect
import json

import cv2
import numpy as np

from kagglekit._checks import check_choice


def ben_graham(image, *, radius=300):
    """Scale an eye to one radius and take away the local mean colour, so that lighting and cameras matter less.

    `4 I - 4 Gauss(I, radius / 30) + 128` within 0.9 of the radius around the middle, grey (128) outside. The eye's
    radius is half the number of pixels in the middle row that are brighter than a tenth of that row's mean.

    Args:
        image: uint8 `(height, width, channels)`, any number of channels, the eye in its middle.
        radius: pixels, 300 as in the competition. A smaller eye is not enlarged: its own radius counts.

    Returns:
        uint8 `(new height, new width, channels)`; an image whose middle row is black comes back as it is.

    Raises:
        ValueError: for anything but uint8 `(height, width, channels)`.

    Example:

    >>> ben_graham(np.full((800, 900, 3), 90, np.uint8), radius=150).shape
    (267, 300, 3)

    Reference: B. Graham, "Kaggle Diabetic Retinopathy Detection competition report", 2015, and `preprocessImages.py` of
    https://github.com/btgraham/SparseConvNet, which enlarges too, and shrinks by bilinear interpolation where areas are
    averaged here.
    """
    image = _checked_image(image)
    row = image[len(image) // 2].sum(axis=1)
    eye_radius = np.count_nonzero(row > row.mean() / 10) / 2
    if not eye_radius:
        return image
    if eye_radius > radius:
        size = [max(1, round(length * radius / eye_radius)) for length in (image.shape[1], image.shape[0])]
        # OpenCV averages areas of at most four channels at a time.
        planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in cv2.split(image)]
        image, eye_radius = np.stack(planes, axis=-1), radius
    blurred = cv2.GaussianBlur(image, (0, 0), eye_radius / 30).reshape(image.shape)
    evened = cv2.addWeighted(image, 4, blurred, -4, 128).reshape(image.shape)
    return cv2.copyTo(evened, _disc(*image.shape[:2], 0.9 * eye_radius), np.full_like(image, 128))


def circle_crop(image):
    """Keep the largest disc in the middle: the middle square, black outside the disc.

    For eyes, dishes and microscopes, whose corners tell the camera but not the class. Crop the border first
    (`crop_grey_border`), so that the disc lies in the middle.

    Args:
        image: uint8 `(height, width, channels)`, any number of channels.

    Returns:
        uint8 `(side, side, channels)`, the side is the shorter one of the image's.

    Raises:
        ValueError: as `ben_graham`.

    Example:

    >>> circle_crop(np.full((4, 6, 1), 9, np.uint8))[..., 0].tolist()
    [[0, 9, 9, 0], [9, 9, 9, 9], [9, 9, 9, 9], [0, 9, 9, 0]]

    Reference: the kernels of APTOS 2019 (https://www.kaggle.com/ratthachat/aptos-updated-preprocessing-ben-s-cropping).
    """
    image = _checked_image(image)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.copyTo(square, _disc(side, side, side / 2), np.zeros_like(square))


def crop_grey_border(image, *, threshold=7):
    """Cut off the dark border: what lies outside the first and last row and column that are not dark throughout.

    Args:
        image: uint8 `(height, width, channels)`; brightness is the luma of RGB (0.299, 0.587, 0.114), else the mean
            over the channels.
        threshold: grey level; a brighter pixel is not part of the border.

    Returns:
        uint8 `(new height, new width, channels)`; an image that is dark throughout comes back as it is.

    Raises:
        ValueError: as `ben_graham`.

    Example:

    >>> image = np.zeros((9, 9, 3), np.uint8)
    >>> image[2:5, 3:8] = 50
    >>> crop_grey_border(image).shape
    (3, 5, 3)

    Reference: `crop_image_from_gray` of the kernels of APTOS 2019, see `circle_crop`; they drop dark rows and columns
    within the image too, which shifts its parts together.
    """
    image = _checked_image(image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image.mean(axis=2)
    rows, columns = (np.flatnonzero((grey > threshold).any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else image


def hsv_mask(image, *, low=(25, 100, 50), high=(95, 255, 255)):
    """Keep what lies in a range of hue, saturation and value; the rest becomes black.

    Args:
        image: uint8 `(height, width, 3)`.
        low, high: hue in units of two degrees from 0 to 179, saturation and value from 0 to 255 (OpenCV's units); both
            ends belong to the range. The defaults keep green plants on soil. A low hue above the high one wraps around
            through red: `low=(170, ...), high=(10, ...)`.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: as `ben_graham`, and for another number of channels than 3.

    Example:

    >>> hsv_mask(np.array([[[30, 160, 40], [120, 90, 60]]], np.uint8)).tolist()
    [[[30, 160, 40], [0, 0, 0]]]

    Reference: https://docs.opencv.org/4.x/de/d25/imgproc_color_conversions.html, HSV; the range is that of the
    kernels of Plant Seedlings Classification (hue 60 and 35 to either side), which also close small holes.
    """
    image = _checked_image(image)
    if image.shape[2] != 3:
        raise ValueError(f"expected an RGB image, got {image.shape[2]} channels; leave hsv_mask out")
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    from_low = ((np.arange(256) - low[0]) % 180).astype(np.uint8)  # hue is a circle
    hsv[..., 0] = from_low[hsv[..., 0]]
    mask = cv2.inRange(hsv, (0, *low[1:]), ((high[0] - low[0]) % 180, *high[1:]))
    return cv2.copyTo(image, mask, np.zeros_like(image))


def crop_to_box(image, box):
    """Cut out the box that columns of the table hold for an image.

    Args:
        image: uint8 `(height, width, channels)`, any number of channels.
        box: `(top, left, height, width)` in pixels; with fractions, every pixel that it touches is kept.

    Returns:
        uint8 `(box height, box width, channels)`.

    Raises:
        ValueError: as `ben_graham`, and for a box that is empty or reaches outside the image.

    Example:

    >>> crop_to_box(np.zeros((60, 80, 3), np.uint8), (10, 20, 30, 40)).shape
    (30, 40, 3)
    """
    image = _checked_image(image)
    top, left, height, width = box
    if not (min(top, left) >= 0 and 0 < height <= image.shape[0] - top and 0 < width <= image.shape[1] - left):
        raise ValueError(
            f"expected a box (top, left, height, width) within the image of {image.shape[0]}x{image.shape[1]} pixels "
            f"(height x width), got {tuple(box)}; check the order of the columns, and that they do not hold corners"
        )
    top, left, bottom, right = np.floor(top), np.floor(left), np.ceil(top + height), np.ceil(left + width)
    return image[int(top) : int(bottom), int(left) : int(right)]


def standardise_per_image(image):
    """Give every image the same mean and spread, over all its pixels and channels together.

    `z = (x - mean) / max(spread, 1 / sqrt(number of values))`, where the spread is the standard deviation; then
    `128 + 64 z`, rounded and clipped to 0 to 255. Two standard deviations to either side fill the range; photographs,
    and with them pretrained networks, have a mean and a spread near these.

    Args:
        image: uint8 `(height, width, channels)`, any number of channels.

    Returns:
        uint8 of the same shape; an image of a single value comes back as it is.

    Raises:
        ValueError: as `ben_graham`.

    Example:

    >>> standardise_per_image(np.array([[[10], [20]]], np.uint8)).ravel().tolist()
    [64, 192]

    Reference: https://www.tensorflow.org/api_docs/python/tf/image/per_image_standardization
    """
    image = _checked_image(image)
    if image.min() == image.max():
        return image
    flat = image.reshape(len(image), -1)  # OpenCV then sees one channel
    (mean,), (spread,) = (values[0] for values in cv2.meanStdDev(flat))
    z = (np.arange(256) - mean) / max(spread, 1 / np.sqrt(image.size))
    table = np.clip(np.rint(128 + 64 * z), 0, 255).astype(np.uint8)
    return cv2.LUT(flat, table).reshape(image.shape)


def grey_to_rgb(image):
    """Repeat a grey image's channel three times, for networks that take three; RGB stays as it is.

    Args:
        image: uint8 `(height, width, 1)` or `(height, width, 3)`.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: as `ben_graham`, and for another number of channels.

    Example:

    >>> grey_to_rgb(np.array([[[7], [9]]], np.uint8)).tolist()
    [[[7, 7, 7], [9, 9, 9]]]
    """
    image = _checked_image(image)
    if image.shape[2] not in (1, 3):
        raise ValueError(f"expected 1 or 3 channels, got {image.shape[2]}; leave grey_to_rgb out")
    return image if image.shape[2] == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)


PREPROCESS = {
    "ben_graham": ben_graham,
    "circle_crop": circle_crop,
    "crop_grey_border": crop_grey_border,
    "hsv_mask": hsv_mask,
    "crop_to_box": crop_to_box,
    "standardise_per_image": standardise_per_image,
    "grey_to_rgb": grey_to_rgb,
}


BOX_COLUMNS = ("top", "left", "height", "width")  # of the table, unless `crop_to_box` names others


def check_preprocess(preprocess):
    """Return preprocessing as a list of `[name, options]`, plain values that can be written to JSON.

    Args:
        preprocess: list of keys of `PREPROCESS`, or of pairs of such a key and a dict of its function's arguments. The
            `box` of `crop_to_box` is the names of four columns of the table.

    Raises:
        ValueError: if a name or an argument is unknown.
        TypeError: if a value cannot be written to JSON.

    Example:

    >>> check_preprocess(["circle_crop", ("ben_graham", {"radius": 200})])
    [['circle_crop', {}], ['ben_graham', {'radius': 200}]]
    """
    if not isinstance(preprocess, list | tuple):
        raise ValueError(f"expected preprocess to be a list of names such as ['circle_crop'], got {preprocess!r}")
    steps = []
    for entry in preprocess:
        pair = isinstance(entry, list | tuple) and len(entry) == 2 and isinstance(entry[1], dict)
        name, options = entry if pair else (entry, {})
        check_choice("each step of preprocess", name, PREPROCESS)
        for option in options:
            check_choice(f"an argument of {name}", option, list(inspect.signature(PREPROCESS[name]).parameters)[1:])
        if name == "crop_to_box":
            options = {"box": BOX_COLUMNS} | options
        steps.append([name, json.loads(json.dumps(options))])
    return steps


def _checked_image(image):
    """Check that this is an image, and return it contiguous, as OpenCV needs it."""
    if image.ndim != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"expected an image as uint8 (height, width, channels), got {image.dtype} {image.shape}; "
            "convert other depths to 8 bits first, and give grey images a last axis of 1"
        )
    return np.ascontiguousarray(image)


def _disc(height, width, radius):
    """Return a mask, uint8 `(height, width)`: 1 where a pixel's centre is within a radius of the middle, else 0."""
    y, x = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    return (y[:, None] ** 2 + x**2 <= radius**2).astype(np.uint8)
