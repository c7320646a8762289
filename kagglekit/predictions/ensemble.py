"""Blending: several predictions become one, joined by id."""

import numpy as np

from kagglekit._checks import check_choice, first_few
from kagglekit.predictions.store import Predictions


def average_probabilities(probabilities, weights=None):
    """Average the class probabilities of several models.

    Args:
        probabilities: array-like of shape `(models, rows, classes)`, in `[0, 1]`, not logits.
        weights: array-like of shape `(models,)`, non-negative, divided by their sum. Defaults to equal weights.

    Returns:
        float64 array of shape `(rows, classes)`.

    Raises:
        ValueError: if `weights` has the wrong length, a negative entry or a zero sum.

    Example:

    >>> average_probabilities([[[0.9, 0.1]], [[0.5, 0.5]]])
    array([[0.7, 0.3]])
    """
    probabilities = np.asarray(probabilities, np.float64)
    weights = np.ones(len(probabilities)) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (len(probabilities),) or (weights < 0).any() or weights.sum() <= 0:
        raise ValueError(
            f"expected {len(probabilities)} weights, none negative and not all zero, got {weights.tolist()}"
        )
    return np.tensordot(weights / weights.sum(), probabilities, axes=1)


def blend(comp, predictions, *, method="mean", name="blend"):
    """Blend several predictions of one competition.

    Args:
        comp: the `Competition`; its test ids are what every prediction must cover.
        predictions: list of `Predictions`, made by `kk.predict` or `Predictions.from_frame`.
        method: `"mean"`: the arithmetic mean of the probabilities.
        name: name of the result.

    Returns:
        `Predictions`. Its score is not optimistic: an equal mean has no weights that were fitted to the labels.

    Raises:
        ValueError: if class lists differ, or if ids are missing, foreign or labelled differently; it names them.

    Example:

    >>> import pandas as pd
    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> even = pd.DataFrame(0.1, index=range(len(comp.test)), columns=comp.class_names)
    >>> even.insert(0, "id", comp.test["id"])
    >>> blend(comp, [kk.Predictions.from_frame(even)]).test.shape
    (360, 10)
    """
    check_choice("method", method, ("mean",))
    predictions = list(predictions)
    if not predictions:
        raise ValueError("expected at least one Predictions to blend, got none; make one with kk.predict(run)")
    predictions = [member.fitted_to(comp) for member in predictions]
    test_ids = comp.test["id"].drop_duplicates().tolist()
    first = predictions[0]
    oof_ids = first.oof_ids.tolist()
    positions = [_positions_of(member, "oof", oof_ids) for member in predictions]
    for member, position in zip(predictions, positions, strict=True):
        different = member.oof_labels[position] != first.oof_labels
        different = different.any(axis=tuple(range(1, different.ndim)))
        if different.any():
            raise ValueError(
                f"{member.name} and {first.name} give different labels to {first_few(first.oof_ids[different])}"
            )
    oof = [member.oof[position] for member, position in zip(predictions, positions, strict=True)]
    test = [member.test[_positions_of(member, "test", test_ids)] for member in predictions]
    return Predictions(
        name=name,
        class_names=comp.class_names,
        oof_ids=first.oof_ids,
        oof=average_probabilities(oof),
        oof_labels=first.oof_labels,
        oof_folds=first.oof_folds,
        test_ids=np.array(test_ids, dtype=str),
        test=average_probabilities(test),
        metric=comp.metric,
        task=comp.task,
        per="row",
        info={
            "method": method,
            "members": [{"name": member.name, "weight": 1 / len(predictions), **member.info} for member in predictions],
        },
    )


def _positions_of(member, part, ids):
    """Positions of these ids among a member's rows."""
    positions = {identifier: position for position, identifier in enumerate(getattr(member, f"{part}_ids").tolist())}
    missing = [identifier for identifier in ids if identifier not in positions]
    foreign = positions.keys() - set(ids)
    if missing or foreign:
        raise ValueError(
            f"{member.name}: the {part} ids do not match: {len(missing)} missing ({first_few(missing)}), "
            f"{len(foreign)} foreign ({first_few(sorted(foreign))})"
        )
    return np.array([positions[identifier] for identifier in ids], dtype=np.int64)
