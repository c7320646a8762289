"""Test-time views."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

from kagglekit.inputs.views import VIEWS

PHOTO = load_sample_images().images[0].astype(np.float32)
SHAPES = [(8, 8, 1), (15, 17, 3), (16, 40, 3), (33, 20, 1), (427, 640, 3)]


def picture(shape):
    """The upper left corner of a photograph, with that many channels."""
    return tf.constant(PHOTO[: shape[0], : shape[1], : shape[2]])


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_view_keeps_shape_type_and_range(view, shape):
    seen = VIEWS[view](picture(shape))
    assert seen.shape == shape
    assert seen.dtype == tf.float32
    assert tf.reduce_min(seen) >= 0
    assert tf.reduce_max(seen) <= 255


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_the_same_inside_a_dataset(view):
    image = picture((33, 20, 3))
    (inside,) = tf.data.Dataset.from_tensors(image).map(VIEWS[view])
    np.testing.assert_allclose(inside, VIEWS[view](image), atol=1e-3)


@pytest.mark.parametrize("view", ["identity", "hflip", "vflip"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_view_twice_is_the_picture_again(view, shape):
    np.testing.assert_array_equal(VIEWS[view](VIEWS[view](picture(shape))), picture(shape))


def test_flips_mirror_the_axis_of_their_name():
    image = picture((4, 6, 3))
    np.testing.assert_array_equal(VIEWS["hflip"](image), image.numpy()[:, ::-1])
    np.testing.assert_array_equal(VIEWS["vflip"](image), image.numpy()[::-1])
    np.testing.assert_array_equal(VIEWS["identity"](image), image)


@pytest.mark.parametrize("shape", [(32, 32, 1), (64, 48, 1), (427, 640, 1)])
def test_zoom_is_pils_bilinear_enlargement_of_the_middle_seven_eighths(shape):
    height, width, _ = shape
    top, left = height // 16, width // 16
    middle = Image.fromarray(PHOTO[top : height - top, left : width - left, 0])  # mode F
    reference = np.asarray(middle.resize((width, height), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(VIEWS["zoom"](picture(shape))[..., 0], reference, atol=0.05)
