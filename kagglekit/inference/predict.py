"""From a run's networks to predictions of every row, with the views that help."""

import numpy as np
from tqdm.auto import tqdm

from kagglekit import metrics
from kagglekit._checks import check_choice
from kagglekit.augment.policies import safe_views
from kagglekit.augment.views import named_views
from kagglekit.inference.features import FeatureStore
from kagglekit.inference.traced import inference, predict_features, predict_rows
from kagglekit.models.split import split_at_features
from kagglekit.pipeline.datasets import eval_dataset
from kagglekit.pipeline.metadata import encoded_metadata
from kagglekit.predictions.ensemble import average_probabilities
from kagglekit.predictions.store import Predictions
from kagglekit.tasks import SINGLE_LABEL


def predict(run, *, tta="auto", networks="folds"):
    """Predict the training rows out-of-fold and the test rows by the mean of the run's networks.

    Args:
        run: a complete `Run`.
        tta: test-time views. `"auto"` tries, beside the image itself, the flips and turns that the run's policy trains
            with and a slight zoom, and keeps a view only if adding it makes the out-of-fold metric better, or leaves it
            as it is and lowers the loss. A set (`"none"`, `"flips"`, `"d4"`, `"five_crop"`, `"scales"`), the name of a
            view such as `"hflip"`, or a list of these is used as it is, beside the image itself; see
            `kagglekit.augment.views`.
        networks: which predict the test rows: `"folds"`, `"refit"` (the one that `kk.refit` trained on all rows) or
            `"both"` (each of them with the same weight). The out-of-fold rows always come from the folds; with a refit
            their score is an estimate for the test rows, usually a little low, since its network saw more rows.

    Returns:
        `Predictions`; `info["views"]` names the views and `info["tried"]` what each would have scored. The result is
        kept in the run's folder and found there again.

    Raises:
        ValueError: if the run is not complete, or a view is unknown or does not fit the network's input.
        FileNotFoundError: if the refit is asked for and there is none yet.
    """
    check_choice("networks", networks, ("folds", "refit", "both"))
    if not run.complete:
        raise ValueError(f"{run!r} is not complete; call kk.cross_validate with its recipe again to finish it")
    recipe, info = run.recipe, run.info
    chosen = None if tta == "auto" else named_views(tta, recipe.image_size)
    size = recipe.image_size if isinstance(recipe.image_size, int) else "x".join(map(str, recipe.image_size))
    suffix = "" if networks == "folds" else f"-{networks}"
    called = "auto" if run.metric == info["metric"] else f"auto by {run.metric}"
    stored = run.folder / "predictions" / f"{'+'.join(chosen or [called])}-{size}{suffix}.npz"
    if stored.is_file():
        return Predictions.load(stored, metric=run.metric)
    records = run.records()
    members = {"folds": info["folds"], "refit": ["refit"], "both": [*info["folds"], "refit"]}[networks]
    seen = _predictor(run, records, dict.fromkeys([*info["folds"], *members]))
    known = run.oof_arrays()  # the rows in their order, and the first view
    labels = known["labels"]

    def out_of_fold(view):
        if view == "identity":
            return known["probabilities"].astype(np.float64)
        parts = [seen(fold, fold, view) for fold in info["folds"]]
        _require_same(known["image_ids"].tolist(), np.concatenate([ids for _, _, ids in parts]).tolist())
        return np.concatenate([probabilities for probabilities, _, _ in parts]).astype(np.float64)

    if chosen:
        views, oof, tried = chosen, average_probabilities([out_of_fold(view) for view in chosen]), {}
    else:
        candidates = safe_views(recipe.policy, recipe.image_size, strength=recipe.augment_strength)
        views, oof, tried = _choose(candidates, out_of_fold, labels, run.metric, run.task, info["class_names"])
    test_ids, test = np.array([], dtype=str), np.zeros((0, len(info["class_names"])))
    if "test" in records.manifest["parts"]:
        rounds = [(fold, view) for view in views for fold in members]
        results = [seen(fold, "test", view) for fold, view in tqdm(rounds, desc="predicting test", leave=False)]
        test_ids = results[0][2]
        test = average_probabilities([probabilities for probabilities, _, _ in results])
    predictions = Predictions(
        name=run.name + suffix,
        class_names=info["class_names"],
        oof_ids=known["image_ids"],
        oof=oof,
        oof_labels=labels,
        oof_folds=known["folds"],
        test_ids=test_ids,
        test=test,
        metric=run.metric,
        task=run.task,
        per="image",
        info={"views": views, "tried": tried, "size": size, "run": run.name, "networks": networks},
    )
    predictions.save(stored)
    return predictions


def _predictor(run, records, folds):
    """Return a function `(fold, parts, view)` that predicts as `predict_rows` does, by the network of a fold.

    `folds` names those that will be asked for, `"refit"` among them.

    Networks that share a frozen backbone look at each image once for all folds.
    """
    models = {fold: run.model(fold) for fold in folds}
    shared = all(any(layer.name == "features" for layer in model.layers) for model in models.values())
    if shared:
        halves = {fold: split_at_features(model) for fold, model in models.items()}
        stores = {
            fold: FeatureStore(extractor, records, run.recipe, run.features())
            for fold, (extractor, _) in halves.items()
        }
        shared = len({store.hash for store in stores.values()}) == 1
    if not shared:
        networks = {fold: inference(model) for fold, model in models.items()}
        return lambda fold, parts, view: predict_rows(
            networks[fold], eval_dataset(records, run.recipe, parts, view=view)
        )
    store = next(iter(stores.values()))
    heads = {fold: inference(head) for fold, (_, head) in halves.items()}

    def predicted(fold, parts, view):
        features, index = store.read(parts, view), records.index(parts)
        labels = run.task.as_labels(index["label"])
        columns = encoded_metadata(records, run.recipe, parts)
        return predict_features(heads[fold], features, columns), labels, index["image_id"]

    return predicted


def _choose(candidates, out_of_fold, labels, metric, task=SINGLE_LABEL, class_names=None):
    views, kept = ["identity"], [out_of_fold("identity")]

    def score(probabilities):
        return metrics.score(metric, labels, probabilities, task, class_names)

    tried = {"identity": score(kept[0])}
    for view in candidates:
        mean = average_probabilities([*kept, candidate := out_of_fold(view)])
        tried[f"{' + '.join(views)} + {view}"] = new = score(mean)
        old = average_probabilities(kept)
        before = score(old)
        losses = [metrics.score(task.error, labels, values, task) for values in (mean, old)]
        tie_won = new == before and losses[0] < losses[1]
        if metrics.better(metric, new, before) or tie_won:
            views.append(view)
            kept.append(candidate)
    return views, average_probabilities(kept), tried


def _require_same(expected, found):
    if expected != found:
        raise ValueError("the records' rows are not those that the run was trained on; train the run again")
