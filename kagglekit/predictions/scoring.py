"""What a submission would score, where the answers are known, and what a plain model scores."""

import numpy as np
from PIL import Image

from kagglekit._checks import check_unique, first_few
from kagglekit.competition import digits
from kagglekit.competition.tables import read_text_csv
from kagglekit.predictions import metrics


def score_submission(comp, path):
    """Score a submission against the hidden answers of a built-in competition.

    Args:
        comp: a `Competition`.
        path: a CSV that `make_submission` wrote, in the form of class names.

    Returns:
        float: the accuracy on the test rows; None for a competition whose answers are not here.

    Raises:
        ValueError: if the ids are not the answers'.
    """
    answers_path = comp.root / digits.ANSWERS
    if not answers_path.is_file():
        return None
    answers, submitted = (
        read_text_csv(file).set_index(comp.id_column)[comp.label_column] for file in (answers_path, path)
    )
    check_unique(f"id in {path}", submitted.index)
    if set(answers.index) != set(submitted.index):
        foreign = sorted(set(answers.index) ^ set(submitted.index))
        raise ValueError(f"{path}: the ids are not those of the answers: {first_few(foreign)}")
    return float((submitted.loc[answers.index] == answers).mean())


def reference_score(comp, folds, *, side=8):
    """Score a plain model in the same folds: a support-vector machine on the grey pixels of reduced images.

    A network that does not beat it is not worth its hours. On digits it is scikit-learn's own example and hard to beat.

    Args:
        comp: a `Competition`.
        folds: as `assign_folds` gives them.
        side: pixels a side that the images are reduced to.

    Returns:
        float: the competition's metric over the out-of-fold rows (for log loss and the like the predicted class counts
        as certain).

    Reference: https://scikit-learn.org/stable/auto_examples/classification/plot_digits_classification.html
    """
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from sklearn.svm import SVC

    pixels = np.stack([_grey_pixels(comp.root / source, side) for source in comp.train["source"]])
    numbers = {name: number for number, name in enumerate(comp.class_names)}
    labels = comp.train["label"].map(numbers).to_numpy(np.int64)
    fold = folds.loc[comp.train["image_id"].tolist()].to_numpy()
    model = SVC(C=10)  # gamma="scale": 1 / (features x variance)
    predicted = cross_val_predict(model, pixels.reshape(len(pixels), -1), labels, cv=PredefinedSplit(fold))
    return metrics.score(comp.metric, labels, np.eye(len(numbers))[predicted])


def _grey_pixels(path, side):
    with Image.open(path) as image:
        grey = image.convert("L")
        return np.asarray(
            grey if grey.size == (side, side) else grey.resize((side, side), Image.Resampling.BOX), np.float64
        )
