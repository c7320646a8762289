"""The same recipe under several seeds: how much of a score is luck, and the average of their predictions."""

import dataclasses

import numpy as np

from kagglekit._knobs import python_numbers
from kagglekit.inference.predict import predict
from kagglekit.predictions.ensemble import blend
from kagglekit.training.cross_validation import cross_validate


def cross_validate_seeds(comp, folds, recipe, *, seeds=3, tta="auto", build_model=None):
    """Cross-validate a recipe under several seeds on the same folds, and average what the runs predict.

    A seed decides initial weights, batches, augmentation and dropout. A difference between two recipes that is smaller
    than the spread of one recipe's scores says nothing; the average usually scores above most of the single seeds. Each
    seed is a run of its own: an interrupted run is resumed, a complete one is not trained again.

    Args:
        comp: a `Competition`.
        folds: fold of each training image, as `assign_folds` gives it.
        recipe: a `Recipe`.
        seeds: how many, counted up from the recipe's own; or a list of them.
        tta: TTA views, as in `kk.predict`.
        build_model: as in `kk.cross_validate`.

    Returns:
        `Predictions` with the mean of the seeds' probabilities, one row per submission row. `info` holds `seeds`, their
        `scores`, the scores' `mean` and `spread` (standard deviation with n - 1; 0 for one seed), and `members`.

    Raises:
        ValueError: if `seeds` is not a positive number or list of different seeds; otherwise as `kk.cross_validate`.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> recipe = kk.Recipe(backbone="small_cnn", weights=None, image_size=8, channels=1, frozen_epochs=0, epochs=1)
    >>> predictions = kk.cross_validate_seeds(comp, kk.assign_folds(comp, 2), recipe, seeds=[5], tta=["identity"])
    ... # doctest: +ELLIPSIS
    fold 1 of 2: accuracy ...
    accuracy of seed 5: ...; mean ..., spread (standard deviation) 0.0000; of their average ...
    """
    seeds = python_numbers(seeds)
    numbers = list(range(recipe.seed, recipe.seed + seeds)) if type(seeds) is int else list(seeds)
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"expected seeds to be a number of 1 or more, or a list of different seeds, got {seeds!r}")
    recipes = [recipe.replace(seed=seed) for seed in numbers]  # all checked before the first is trained
    members = []
    for seed_recipe in recipes:
        run = cross_validate(comp, folds, seed_recipe, build_model=build_model)
        members.append(predict(run, tta=tta).fitted_to(comp))
    scores = [float(member.score) for member in members]
    mean, spread = float(np.mean(scores)), float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
    average = blend(comp, members, name=f"{recipe.name}-seeds")
    print(
        f"{comp.metric} of seed{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}: "
        f"{', '.join(f'{score:.4f}' for score in scores)}; mean {mean:.4f}, spread (standard deviation) {spread:.4f}; "
        f"of their average {average.score:.4f}"
    )
    summary = {"seeds": numbers, "scores": scores, "mean": mean, "spread": spread}
    return dataclasses.replace(average, info=average.info | summary)
