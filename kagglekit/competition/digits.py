"""The built-in competition: scikit-learn's 1,797 handwritten digits of 8x8 pixels, as an organiser would publish them.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
(https://doi.org/10.24432/C50P49), the test part, as `sklearn.datasets.load_digits` ships it.
"""

import numpy as np
import pandas as pd
from PIL import Image

from kagglekit import _paths
from kagglekit._files import written_whole

TEST_ROWS = 360
ANSWERS = ".answers/solution.csv"  # read by the local scorer alone


def folder():
    """Return the folder of the competition, written first if it is not there."""
    target = _paths.raw_folder() / "digits"
    if not (target / "sample_submission.csv").is_file():
        with written_whole(target) as temporary:
            _write(temporary)
    return target


def _write(target):
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.rint(data.images * 255 / 16).astype(np.uint8)  # 17 grey levels, 0 to 16
    order = np.random.default_rng(0).permutation(len(pixels))
    frame = pd.DataFrame(
        {"id": [f"{number:05d}" for number in range(len(pixels))], "label": data.target[order].astype(str)}
    )
    tables = {"test": frame.iloc[:TEST_ROWS], "train": frame.iloc[TEST_ROWS:]}
    for part, rows in tables.items():
        (target / part).mkdir(parents=True)
        for row, identifier in rows["id"].items():
            Image.fromarray(pixels[order[row]]).save(target / part / f"{identifier}.png")
    tables["train"].to_csv(target / "train.csv", index=False)
    tables["test"].assign(label="0").to_csv(target / "sample_submission.csv", index=False)
    (target / ANSWERS).parent.mkdir()
    tables["test"].to_csv(target / ANSWERS, index=False)
