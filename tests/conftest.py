"""Shared fixtures: real digits, real photographs where there are any, small competitions as organisers write them."""

import os
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kagglekit as kk


@pytest.fixture(scope="session", autouse=True)
def _places(tmp_path_factory):
    """All that the tests write lies in a temporary folder; records and runs are shared within a session."""
    folder = tmp_path_factory.mktemp("kagglekit")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KAGGLEKIT_WORKSPACE", str(folder / "work"))
        yield folder


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace of the test's own; returns its path."""
    monkeypatch.setenv("KAGGLEKIT_WORKSPACE", str(tmp_path / "work"))
    return tmp_path / "work"


@pytest.fixture(scope="session")
def digits():
    return kk.load_competition("digits")


@pytest.fixture(scope="session")
def digit_folds(digits):
    return kk.assign_folds(digits)


@pytest.fixture(scope="session")
def flowers():
    folder = Path(os.environ.get("KAGGLEKIT_TEST_DATA", "")) / "flowers12"
    if not (folder / "train.csv").is_file():
        pytest.skip("set KAGGLEKIT_TEST_DATA to a folder that holds the photographs of flowers12")
    return kk.load_competition(folder)


def write_photo(path, seed, size=(48, 40), mode="RGB"):
    """Write a smooth image that looks like no other: a few coloured waves. `size` is (width, height)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : size[1], 0 : size[0]] / 10
    waves = [np.sin(x * rng.normal() + y * rng.normal() + rng.uniform(0, 6)) for _ in range(3)]
    pixels = (127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def make_competition(tmp_path):
    """Return a function that writes a CSV + image folder competition and gives its folder.

    `make_competition(ids=[...], labels=[...], test_ids=[...], columns=("image_id", "label"), suffix=".jpg", size=...)`
    """

    def make(
        ids=None, labels=None, test_ids=("x", "y", "z"), columns=("image_id", "label"), suffix=".jpg", size=(48, 40)
    ):
        folder = tmp_path / "competition"
        ids = [f"{number:05d}" for number in range(24)] if ids is None else list(ids)
        labels = [("cat", "dog", "owl")[number % 3] for number in range(len(ids))] if labels is None else list(labels)
        for part, names in (("train", ids), ("test", test_ids)):
            for name in names:
                write_photo(folder / part / f"{name}{suffix}", seed=zlib.crc32(name.encode()), size=size)
        pd.DataFrame({columns[0]: ids, columns[1]: labels}).to_csv(folder / "train.csv", index=False)
        sample = pd.DataFrame({columns[0]: list(test_ids), columns[1]: labels[0]})
        sample.to_csv(folder / "sample_submission.csv", index=False)
        return folder

    return make


@pytest.fixture(scope="session")
def quick_recipe():
    """A recipe that learns the digits in seconds."""
    return kk.Recipe(
        name="quick", backbone="small_cnn", weights=None, image_size=12, channels=1, record_size=16, batch_size=64,
        policy="tiny", frozen_epochs=0, epochs=3, learning_rate=3e-3,
    )  # fmt: skip


@pytest.fixture(scope="session")
def quick_folds(digits):
    return kk.assign_folds(digits, n_splits=3)


@pytest.fixture(scope="session")
def quick_run(digits, quick_folds, quick_recipe):
    """A complete run on the digits, shared by the tests that only read it."""
    return kk.cross_validate(digits, quick_folds, quick_recipe)
