"""Backbones: one graph and one input scale whichever way the weights come, for any size and number of channels."""

import h5py
import keras
import numpy as np
import pytest

import kagglekit as kk
from kagglekit import _backbones
from kagglekit.models.backbones import ACTIVATIONS, BACKBONES, build_backbone, find_backbone, flat_layers
from kagglekit.models.backbones.loading import inflate
from kagglekit.models.backbones.normalisation import NORMALISATIONS, normalise

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
FROM_SCRATCH = [name for name, row in BACKBONES.items() if row.builder == "scratch"]
# The smallest network of each family of keras.applications
SMALLEST = [
    "ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "EfficientNetV2S", "InceptionResNetV2",
    "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "NASNetLarge", "ResNet50",
    "ResNet50V2", "VGG16", "Xception",
]  # fmt: skip


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def needs_keras_hub(name):
    if find_backbone(name).builder == "keras_hub":
        pytest.importorskip("keras_hub", reason="an optional package: pip install keras-hub")


def shuffled(network):
    """Give every weight another value, batch statistics included, so that one which is not copied shows."""
    rng = np.random.default_rng(1)
    network.set_weights([value * rng.uniform(0.8, 1.2, value.shape) + 0.01 for value in network.get_weights()])
    return network


def layer_list(network):
    """Types of the layers in order, with the shapes of their weights."""
    layers = [layer for layer in flat_layers(network) if not isinstance(layer, keras.layers.InputLayer)]
    return [(type(layer).__name__, [tuple(weight.shape) for weight in layer.weights]) for layer in layers]


def scaling(network):
    (layer,) = [layer for layer in flat_layers(network) if layer.name == "normalise"]
    return np.array(layer.scale).tolist(), np.array(layer.offset).tolist()


def write_published(cls, path, side):
    """Write weights as keras.applications publishes them: the "notop" HDF5 of the network with its own scaling layers.

    Keras 3 writes this legacy form for whole models alone; the published files hold what lies below `model_weights`.
    """
    network = shuffled(getattr(keras.applications, cls)(include_top=False, weights=None, input_shape=(side, side, 3)))
    network.save(path.with_suffix(".whole.h5"))
    with h5py.File(path.with_suffix(".whole.h5")) as whole, h5py.File(path, "w") as published:
        for key, value in whole["model_weights"].attrs.items():
            published.attrs[key] = value
        for layer in whole["model_weights"]:
            whole.copy(f"model_weights/{layer}", published)
    return network


def test_the_curated_rows_agree_with_the_families_of_keras_applications():
    for row in BACKBONES.values():
        if row.builder == "applications":
            _, minimum, normalisation, _ = _backbones.APPLICATIONS[row.target]
            assert (row.minimum, row.normalisation) == (minimum, normalisation), row.name


def test_every_class_of_keras_applications_is_known_by_name():
    classes = [name for name in dir(keras.applications) if name[0].isupper()]
    assert classes == sorted(_backbones.APPLICATIONS)
    for cls in classes:
        assert find_backbone(cls).target == cls
    assert find_backbone("resnet_101_v2").target == "ResNet101V2"


@pytest.mark.parametrize("name", ["efficientnet_lite0", slow("efficientnet_b0"), slow("resnet50"), slow("xception")])
def test_graph_scaling_and_predictions_are_the_same_after_a_round_trip(tmp_path, name):
    side = max(64, find_backbone(name).minimum)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, side, side, 3)).astype(np.float32)
    origin = shuffled(build_backbone(name, side, weights=None))
    expected = origin(pixels, training=False).numpy()
    assert np.ptp(expected) > 0
    origin.save_weights(tmp_path / "a.weights.h5")
    classifier = kk.build_classifier(3, backbone=name, image_size=side, weights=tmp_path / "a.weights.h5")
    (tmp_path / "folder").mkdir()
    classifier.save(tmp_path / "folder" / "classifier.keras")
    network = build_backbone(name, side, weights=tmp_path / "folder")
    for copy in (classifier.get_layer("backbone"), network):
        assert layer_list(copy) == layer_list(origin)
        assert scaling(copy) == scaling(origin)
        for value, reference in zip(copy.get_weights(), origin.get_weights(), strict=True):
            np.testing.assert_array_equal(value, reference)
    np.testing.assert_array_equal(network(pixels, training=False), expected)


@pytest.mark.parametrize("cls", ["EfficientNetB0", *(slow(cls) for cls in SMALLEST if cls != "EfficientNetB0")])
def test_a_published_file_gives_the_same_graph_and_scaling_and_what_keras_predicts(tmp_path, cls):
    """The reference is keras.applications with the family's own `preprocess_input`, or the scaling inside it."""
    side = max(64, find_backbone(cls).minimum)
    published = write_published(cls, tmp_path / "notop.h5", side)
    network, origin = (build_backbone(cls, side, weights=weights) for weights in (tmp_path / "notop.h5", None))
    assert layer_list(network) == layer_list(origin)
    assert scaling(network) == scaling(origin)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, side, side, 3)).astype(np.float32)
    expected = published(preprocessed(cls, pixels), training=False).numpy()
    np.testing.assert_allclose(network(pixels, training=False), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def preprocessed(cls, pixels):
    if cls.startswith("EfficientNetB"):  # it divides by 255 itself, but by the deviation only for weights="imagenet"
        return 255 * (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return MODULES[next(prefix for prefix in MODULES if cls.startswith(prefix))].preprocess_input(pixels.copy())


APPLICATIONS = keras.applications
MODULES = {
    "ConvNeXt": APPLICATIONS.convnext,
    "DenseNet": APPLICATIONS.densenet,
    "EfficientNetV2": APPLICATIONS.efficientnet_v2,
    "InceptionResNetV2": APPLICATIONS.inception_resnet_v2,
    "InceptionV3": APPLICATIONS.inception_v3,
    "MobileNetV3": APPLICATIONS.mobilenet_v3,
    "MobileNetV2": APPLICATIONS.mobilenet_v2,
    "MobileNet": APPLICATIONS.mobilenet,
    "NASNet": APPLICATIONS.nasnet,
    "ResNet50V2": APPLICATIONS.resnet_v2,
    "ResNet": APPLICATIONS.resnet,
    "VGG": APPLICATIONS.vgg16,
    "Xception": APPLICATIONS.xception,
}


@pytest.mark.parametrize("mode", ["torch", "tf", "caffe"])
@pytest.mark.parametrize("channels", [3, 5])
def test_the_scaling_is_that_of_keras_for_every_mode(mode, channels):
    name, cls = {"torch": ("imagenet", "DenseNet121"), "tf": ("symmetric", "MobileNetV2"), "caffe": ("caffe", "VGG16")}[
        mode
    ]
    assert _backbones.APPLICATIONS[cls].normalisation == name
    inputs = keras.Input((64, 64, channels))
    pixels = np.concatenate([PIXELS, PIXELS[..., :2]], axis=3)[..., :channels]
    scaled = keras.Model(inputs, normalise(inputs, name))(pixels).numpy()
    expected = keras.applications.imagenet_utils.preprocess_input(PIXELS.copy(), mode=mode)
    np.testing.assert_allclose(scaled[..., :3], expected, rtol=1e-4, atol=1e-4)
    if channels == 5:  # between what red and what blue would give
        low, high = np.sort([expected.min(axis=(0, 1, 2))[[0, 2]], expected.max(axis=(0, 1, 2))[[0, 2]]], axis=0)
        assert low.min() - 0.1 < scaled[..., 3:].min() < scaled[..., 3:].max() < high.max() + 0.1


def test_the_scaling_of_the_others_is_that_of_their_publishers():
    for name, zero_at, one_at in (("lite", 127, 255), ("half", 128, 256)):
        scale, offset = NORMALISATIONS[name]
        assert (zero_at * scale + offset, one_at * scale + offset) == pytest.approx((0, 1))


def check_trains_a_step(name, side, channels):
    """Build with random weights, take one step on random images, and predict finite features."""
    network = build_backbone(name, side, channels=channels, weights=None)
    assert (network.name, network.input_shape) == ("backbone", (None, side, side, channels))
    pooled = keras.layers.GlobalAveragePooling2D()(network.output)
    model = keras.Model(network.input, keras.layers.Dense(2, activation="softmax")(pooled))
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss="categorical_crossentropy", run_eagerly=True)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, side, side, channels)).astype(np.float32)
    before = [weight.numpy() for weight in network.trainable_weights]
    assert np.isfinite(model.train_on_batch(pixels, np.eye(2, dtype=np.float32)))
    changed = [not np.array_equal(old, new) for old, new in zip(before, network.trainable_weights, strict=True)]
    assert np.mean(changed) > 0.5
    features = network(pixels, training=False)
    assert features.shape == network.compute_output_shape(pixels.shape)
    assert len(features.shape) == 4
    assert np.isfinite(features).all()
    return network


# Every way of building; the other families take ten seconds each
EVERYDAY = [*FROM_SCRATCH, "efficientnet_lite0", "MobileNet", "MobileNetV2", "MobileNetV3Small", "VGG16"]
CURATED = {row.target for row in BACKBONES.values()}
REST = [*BACKBONES, *(cls for cls in SMALLEST if cls not in CURATED)]


@pytest.mark.parametrize("name", [*EVERYDAY, *(slow(name) for name in REST if name not in EVERYDAY)])
def test_every_backbone_builds_with_five_channels_and_trains_a_step(name):
    needs_keras_hub(name)
    row = find_backbone(name)
    side = row.size if row.family == "vit" else max(64, row.minimum)
    network = check_trains_a_step(name, side, 5)
    if row.parameters:  # of three channels, millions with one decimal
        stem = next(weight for weight in network.weights if len(weight.shape) == 4 and weight.shape[2] == 5)
        assert abs((network.count_params() - 0.4 * np.prod(stem.shape)) / 1e6 - row.parameters) < 0.051
    keras.utils.clear_session()


@pytest.mark.parametrize(
    "name", ["small_cnn", "efficientnet_lite0", "MobileNetV2", slow("Xception"), slow("NASNetMobile")]
)
def test_the_smallest_size_builds_and_one_pixel_less_is_refused(name):
    minimum = find_backbone(name).minimum
    assert min(build_backbone(name, minimum, weights=None).output_shape[1:3]) >= 1
    message = rf"expected image_size of {minimum} pixels or more for {name}, got \({minimum - 1}, 300\)"
    with pytest.raises(ValueError, match=message):
        build_backbone(name, (minimum - 1, 300), weights=None)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_stem_of_few_channels_answers_grey_images_as_the_original_does(channels):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 8)).astype(np.float32)
    wide = inflate(kernel, channels)
    assert wide.shape == (3, 3, channels, 8)
    np.testing.assert_allclose(wide.sum(axis=2), kernel.sum(axis=2), atol=1e-5)


@pytest.mark.parametrize("channels", [4, 7])
def test_further_channels_share_a_quarter_of_the_mean_of_red_and_blue(channels):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 8)).astype(np.float32)
    wide = inflate(kernel, channels)
    np.testing.assert_array_equal(wide[:, :, :3], kernel)
    np.testing.assert_allclose(wide[:, :, 3:].sum(axis=2), (kernel[:, :, 0] + kernel[:, :, 2]) / 8, atol=1e-6)
    assert np.ptp(wide[:, :, 3:], axis=2).max() == 0


@pytest.mark.parametrize("name", ["small_cnn", slow("efficientnet_lite0"), slow("resnet50"), slow("efficientnet_b0")])
@pytest.mark.parametrize("channels", [1, 4])
def test_pretrained_weights_fit_any_number_of_channels(tmp_path, name, channels):
    """A grey image gives nearly the features of its three equal channels; layer by layer the rest is copied."""
    keras.utils.set_random_seed(0)
    origin = build_backbone(name, 64, weights=None)
    origin.save_weights(tmp_path / "rgb.weights.h5")
    network = build_backbone(name, 64, channels=channels, weights=tmp_path / "rgb.weights.h5")
    grey = PIXELS[..., :1]
    features = [net(grey.repeat(net.input_shape[-1], axis=3), training=False).numpy() for net in (origin, network)]
    close = np.corrcoef(features[0].ravel(), features[1].ravel())[0, 1]
    assert close > (0.99 if channels == 1 else 0.5)  # equal channels are the worst case for random kernels
    network.save_weights(tmp_path / "own.weights.h5")
    again = build_backbone(name, 64, channels=channels, weights=tmp_path / "own.weights.h5")
    for value, reference in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(value, reference)


@pytest.mark.parametrize("name", FROM_SCRATCH)
@pytest.mark.parametrize("size", [8, (9, 13)])
def test_networks_from_scratch_take_tiny_and_odd_sizes(name, size):
    assert min(build_backbone(name, size, channels=1, weights=None).output_shape[1:3]) >= 1


@pytest.mark.parametrize("name", FROM_SCRATCH)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_and_initialiser_reach_every_layer(name, activation):
    network = build_backbone(name, 16, weights=None, activation=activation, initializer="orthogonal")
    kinds = [keras.activations.get("silu" if activation == "swish" else activation)]
    others = [keras.activations.sigmoid]  # of the attention's mask
    for layer in flat_layers(network):
        if isinstance(layer, keras.layers.Conv2D):
            assert isinstance(layer.kernel_initializer, keras.initializers.Orthogonal)
        if isinstance(layer, keras.layers.Activation):
            assert layer.activation in kinds + others
        assert not isinstance(layer, keras.layers.ReLU) or activation == "relu"


def test_an_activation_for_a_network_that_has_its_own_is_refused():
    with pytest.raises(ValueError, match="efficientnet_lite0, which has its own, got 'gelu'"):
        build_backbone("efficientnet_lite0", 64, weights=None, activation="gelu")


def test_the_list_of_backbones_is_the_table_with_its_bounds():
    table = kk.list_backbones().set_index("name")
    assert table.index.tolist() == list(BACKBONES)
    assert kk.list_backbones(max_parameters=4.2)["parameters"].max() == 4.2
    assert kk.list_backbones(max_megabytes=20)["megabytes"].max() <= 20
    mobile = kk.list_backbones(deploy="mobile")
    assert set(mobile["name"]) == {name for name, row in BACKBONES.items() if "mobile" in row.deploy}
    assert not table.loc["small_cnn", "weights_found"]
    assert (table["needs"] == "keras-hub").sum() == sum(row.builder == "keras_hub" for row in BACKBONES.values())
    with pytest.raises(ValueError, match="expected deploy to be one of 'server', 'mobile', 'cpu', got 'phone'"):
        kk.list_backbones(deploy="phone")
