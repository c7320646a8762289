"""From a run's networks to predictions of every row, with the TTA views that help."""

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
        tta: TTA views. `"auto"` tries, beside the image itself, the flips and turns that the run's policy trains with
            and a slight zoom, and keeps a view only if adding it makes the out-of-fold metric better, or leaves it
            unchanged and lowers the loss. A set (`"none"`, `"flips"`, `"d4"`, `"five_crop"`, `"scales"`), the name of a
            view such as `"hflip"`, or a list of these is used as it is, beside the image itself; see
            `kagglekit.augment.views`.
        networks: which predict the test rows: `"folds"`, `"refit"` (the one that `kk.refit` trained on all rows) or
            `"both"` (each of them with the same weight). The out-of-fold rows always come from the folds; with a refit
            their score is an estimate for the test rows, usually a little low, since its network saw more rows.

    Returns:
        `Predictions`; `info["views"]` names the views and `info["tried"]` what each would have scored. The result is
        cached in the run's folder.

    Raises:
        ValueError: if the run is not complete, or a view is unknown or does not fit the network's input.
        FileNotFoundError: if `networks` needs the refit and there is none yet.
    """
    check_choice("networks", networks, ("folds", "refit", "both"))
    if not run.complete:
        raise ValueError(f"{run!r} is not complete; call kk.cross_validate with its recipe again to finish it")
    recipe, info = run.recipe, run.info
    named = None if tta == "auto" else named_views(tta, recipe.image_size)
    size = recipe.image_size if isinstance(recipe.image_size, int) else "x".join(map(str, recipe.image_size))
    suffix = "" if networks == "folds" else f"-{networks}"
    chosen_by = "auto" if run.metric == info["metric"] else f"auto by {run.metric}"
    path = run.folder / "predictions" / f"{'+'.join(named or [chosen_by])}-{size}{suffix}.npz"
    if path.is_file():
        return Predictions.load(path, metric=run.metric)
    records = run.records()
    members = {"folds": info["folds"], "refit": ["refit"], "both": [*info["folds"], "refit"]}[networks]
    predict_fold = _predictor(run, records, dict.fromkeys([*info["folds"], *members]))
    stored_oof = run.oof_arrays()  # the rows in order, and the view "identity"
    labels = stored_oof["labels"]

    def out_of_fold(view):
        if view == "identity":
            return stored_oof["probabilities"].astype(np.float64)
        fold_predictions = [predict_fold(fold, fold, view) for fold in info["folds"]]
        _require_same_rows(
            stored_oof["image_ids"].tolist(), np.concatenate([ids for _, _, ids in fold_predictions]).tolist()
        )
        return np.concatenate([probabilities for probabilities, _, _ in fold_predictions]).astype(np.float64)

    if named:
        views, oof, tried = named, average_probabilities([out_of_fold(view) for view in named]), {}
    else:
        candidates = safe_views(recipe.policy, recipe.image_size, strength=recipe.augment_strength)
        views, oof, tried = _choose_views(candidates, out_of_fold, labels, run.metric, run.task, info["class_names"])
    test_ids, test = np.array([], dtype=str), np.zeros((0, len(info["class_names"])))
    if "test" in records.manifest["parts"]:
        fold_views = [(fold, view) for view in views for fold in members]
        results = [
            predict_fold(fold, "test", view) for fold, view in tqdm(fold_views, desc="predicting test", leave=False)
        ]
        test_ids = results[0][2]
        test = average_probabilities([probabilities for probabilities, _, _ in results])
    predictions = Predictions(
        name=run.name + suffix,
        class_names=info["class_names"],
        oof_ids=stored_oof["image_ids"],
        oof=oof,
        oof_labels=labels,
        oof_folds=stored_oof["folds"],
        test_ids=test_ids,
        test=test,
        metric=run.metric,
        task=run.task,
        per="image",
        info={"views": views, "tried": tried, "size": size, "run": run.name, "networks": networks},
    )
    predictions.save(path)
    return predictions


def _predictor(run, records, folds):
    """Return a function `(fold, parts, view)` that predicts with a fold's network and returns what `predict_rows` does.

    `folds` are the folds that it can predict with, or `"refit"`. Networks that share a frozen backbone compute the
    features of each image once for all folds.
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

    def predict_from_features(fold, parts, view):
        features, index = store.read(parts, view), records.index(parts)
        labels = run.task.as_labels(index["label"])
        columns = encoded_metadata(records, run.recipe, parts)
        return predict_features(heads[fold], features, columns), labels, index["image_id"]

    return predict_from_features


def _choose_views(candidates, out_of_fold, labels, metric, task=SINGLE_LABEL, class_names=None):
    views, view_probabilities = ["identity"], [out_of_fold("identity")]

    def score(probabilities):
        return metrics.score(metric, labels, probabilities, task, class_names)

    tried = {"identity": score(view_probabilities[0])}
    for view in candidates:
        new_mean = average_probabilities([*view_probabilities, candidate := out_of_fold(view)])
        tried[f"{' + '.join(views)} + {view}"] = new_score = score(new_mean)
        old_mean = average_probabilities(view_probabilities)
        old_score = score(old_mean)
        losses = [metrics.score(task.error, labels, values, task) for values in (new_mean, old_mean)]
        tie_won = new_score == old_score and losses[0] < losses[1]
        if metrics.better(metric, new_score, old_score) or tie_won:
            views.append(view)
            view_probabilities.append(candidate)
    return views, average_probabilities(view_probabilities), tried


def _require_same_rows(expected, actual):
    if expected != actual:
        raise ValueError("the records' rows are not those that the run was trained on; train the run again")
