"""The score of a submission, if the answers are known, and that of a plain model."""

import numpy as np
from PIL import Image

from kagglekit._checks import check_unique, first_few
from kagglekit._parallel import parallel_map
from kagglekit.competition import digits
from kagglekit.competition.sources import UNREADABLE, name_of, read_pixels
from kagglekit.competition.tables import read_text_csv, row_folds
from kagglekit.predictions.store import Predictions


def score_submission(comp, path):
    """Score a submission against the hidden answers of a built-in competition.

    Args:
        comp: a `Competition`.
        path: a CSV of class names that `make_submission` wrote.

    Returns:
        float: the accuracy on the test rows; None if the competition has no answers.

    Raises:
        ValueError: if the ids are not those of the answers.
    """
    answers_path = comp.root / digits.ANSWERS
    if not answers_path.is_file():
        return None
    answers, submitted = (
        read_text_csv(file).set_index(comp.id_column)[comp.label_column] for file in (answers_path, path)
    )
    check_unique(f"id in {path}", submitted.index)
    if set(answers.index) != set(submitted.index):
        different_ids = sorted(set(answers.index) ^ set(submitted.index))
        raise ValueError(f"{path}: the ids are not those of the answers: {first_few(different_ids)}")
    return float((submitted.loc[answers.index] == answers).mean())


def reference_score(comp, folds, *, side=8):
    """Score a plain model on the same folds, see `reference_predictions`.

    A network that does not beat it is not worth its hours.

    Args:
        comp: a `Competition`.
        folds: as `assign_folds` gives them.
        side: width and height in pixels that the images are reduced to.

    Returns:
        float: the competition's metric over the out-of-fold rows.
    """
    return reference_predictions(comp, folds, side=side).score


def reference_predictions(comp, folds, *, side=8):
    """Predict with a plain model on reduced images: a score that a network has to beat, and a submission in seconds.

    Classes: a support-vector machine on grey pixels, scikit-learn's own example for digits and hard to beat there; the
    predicted class gets probability 1. Several labels, numbers and shares: ridge regression on the pixels of every
    channel, with predictions brought back into their range.

    Args:
        comp: a `Competition`.
        folds: as `assign_folds` gives them.
        side: width and height in pixels that the images are reduced to.

    Returns:
        `Predictions`, one line per submission row.

    Raises:
        ValueError: if an image cannot be read, naming it, or if images differ in channels.

    Reference: https://scikit-learn.org/stable/auto_examples/classification/plot_digits_classification.html
    """
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    model, grey = comp.task.reference_model(), comp.task.one_label
    pixels = _reduce_images(comp, comp.train["source"], side, grey=grey)
    test_pixels = _reduce_images(comp, comp.test["source"], side, grey=grey)
    targets, row_fold = comp.targets, row_folds(comp, folds).to_numpy()
    oof = cross_val_predict(model, pixels, targets, cv=PredefinedSplit(row_fold))
    model.fit(pixels, targets)
    test = model.predict(test_pixels) if len(test_pixels) else oof[:0]
    scored = (
        (comp.train["copy_of"] == "").to_numpy() if "copy_of" in comp.train else slice(None)
    )  # copies are trained on, not scored
    predictions = Predictions(
        name="reference",
        class_names=comp.class_names,
        oof_ids=comp.train["image_id"].to_numpy(dtype=str)[scored],
        oof=comp.task.in_range(oof, len(comp.classes))[scored],
        oof_labels=targets[scored],
        oof_folds=row_fold[scored],
        test_ids=comp.test["image_id"].to_numpy(dtype=str),
        test=comp.task.in_range(test, len(comp.classes)),
        metric=comp.metric,
        task=comp.task,
        per="image",
        info={"model": f"{model} on {side}x{side} pixels"},
    )
    return predictions.fitted_to(comp)


def _reduce_images(comp, image_sources, side, grey):
    """Pixels from 0 to 1 of all images, `(rows, side * side [* channels])`."""

    def reduced_pixels(source):
        try:
            pixels = read_pixels(comp.root, source)
        except UNREADABLE as error:
            raise ValueError(f"{name_of(source)} cannot be read ({error}); see kk.check_images(comp)") from error
        pixels = pixels.astype(np.float32) / (65535 if pixels.dtype == np.uint16 else 255)
        if grey:  # the weights of PIL's "L", ITU-R 601-2
            weights = [0.299, 0.587, 0.114] if pixels.shape[2] == 3 else np.full(pixels.shape[2], 1 / pixels.shape[2])
            pixels = (pixels @ np.asarray(weights, np.float32))[..., None]
        planes = [Image.fromarray(pixels[..., number]) for number in range(pixels.shape[2])]
        return np.dstack([plane.resize((side, side), Image.Resampling.BOX) for plane in planes]).ravel()

    rows = list(parallel_map("reading reduced images", reduced_pixels, image_sources.tolist()))
    lengths = {len(row) for row in rows}
    if lengths == {side**2, 3 * side**2}:  # grey images among colour ones
        rows = [np.repeat(row, 3) if len(row) == side**2 else row for row in rows]
    elif len(lengths) > 1:
        raise ValueError(f"the images differ in channels: {sorted(length // side**2 for length in lengths)}")
    return np.array(rows)
