"""The built-in competition is scikit-learn's digits, pixel by pixel, in an organiser's form."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import kagglekit as kk
from kagglekit.competition import digits as digits_module


@pytest.fixture
def elsewhere(workspace):
    """Built-in competitions are written below a workspace of the test's own."""
    return workspace / "raw" / "digits"


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pixels_and_labels_are_those_of_scikit_learn(digits):
    answers = pd.read_csv(digits.root / digits_module.ANSWERS, dtype=str)
    assert answers["id"].tolist() == digits.test["id"].tolist()
    rows = [*zip(digits.train["source"], digits.train["label"], strict=True)]
    rows += zip(digits.test["source"], answers["label"], strict=True)
    # 17 grey levels: v -> round(255 v / 16), and 255 / 16 > 1 keeps them apart, so rounding 16 x / 255 gives v back.
    images = [np.asarray(Image.open(digits.root / source)).astype(float) for source, _ in rows]
    given = sorted((np.rint(image * 16 / 255).tobytes(), label) for image, (_, label) in zip(images, rows, strict=True))
    data = load_digits()
    assert given == sorted((image.tobytes(), str(label)) for image, label in zip(data.images, data.target, strict=True))


def test_train_and_test_share_no_id_and_the_sample_tells_nothing(digits):
    assert not set(digits.train["id"]) & set(digits.test["id"])
    assert len(digits.train) + len(digits.test) == len(load_digits().target)
    assert digits.class_names == list("0123456789")
    assert set(digits.sample_submission["label"]) == {"0"}
    assert "label" not in digits.test


def test_every_writing_gives_the_same_bytes(digits, elsewhere):
    comp = kk.load_competition("digits")
    assert comp.root == elsewhere != digits.root
    assert files_of(comp.root) == files_of(digits.root)
    assert comp.hash == digits.hash


def test_half_written_folder_is_made_anew_and_a_whole_one_is_left_alone(elsewhere):
    whole = files_of(kk.load_competition("digits").root)
    stamp = elsewhere.stat().st_mtime_ns
    kk.load_competition("digits")
    assert elsewhere.stat().st_mtime_ns == stamp
    (elsewhere / "sample_submission.csv").unlink()
    (elsewhere / "train" / "00400.png").write_bytes(b"")
    assert files_of(kk.load_competition("digits").root) == whole
    assert [path.name for path in elsewhere.parent.iterdir()] == ["digits"]
