"""Before a long run: find a learning rate, and check that the network can learn at all."""

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from kagglekit import metrics
from kagglekit.competition.tables import row_folds
from kagglekit.inference.traced import inference, predict_rows
from kagglekit.models.heads import with_probabilities
from kagglekit.pipeline.datasets import eval_dataset, train_dataset
from kagglekit.records.write import records_of
from kagglekit.training.networks import loss_of, optimizer_of
from kagglekit.training.setup import Setup
from kagglekit.training.stages import plan_stages

_SMOOTHING = 0.9  # of the running mean of the loss


def lr_find(comp, folds, recipe, *, fold=None, low=1e-6, high=1.0, steps=100):
    """Raise the learning rate step by step and record the loss, to find a rate for the last stage of a recipe.

    Args:
        comp: a `Competition`.
        folds: as `assign_folds` gives them.
        recipe: a `Recipe`; its optimizer, policy and batch size are used.
        fold: number of the fold that is held out. Defaults to the first.
        low, high: learning rates of the first and the last step; those between are spaced geometrically.
        steps: number of steps. Ends early if the smoothed loss exceeds four times its lowest value or the loss is not
            finite.

    Returns:
        DataFrame with `learning_rate`, `loss` and `smoothed` (bias-corrected running mean). `attrs["suggestion"]` is a
        tenth of the rate at the lowest smoothed loss, for `recipe.replace(learning_rate=...)`; `kk.plot_lr` draws it.

    Raises:
        ValueError: if `low` is not below `high`, or for fewer than 10 steps.

    Reference: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3.
    """
    if not 0 < low < high or steps < 10:
        raise ValueError(f"expected 0 < low < high and 10 steps or more, got {low}, {high} and {steps}")
    records, fold = _records_and_fold(comp, folds, recipe, fold)
    model, stage = _fresh_network(records, recipe)
    # Without a schedule the rate is a variable, which the loop sets at each step
    model.compile(
        optimizer=_constant_rate_optimizer(recipe, stage, model), loss=loss_of(comp.task, recipe), jit_compile=False
    )
    rates, losses, mean = np.geomspace(low, high, steps), [], 0.0
    smoothed = []
    batches = train_dataset(records, recipe, [other for other in records.folds if other != fold])
    for rate, batch in zip(tqdm(rates, desc="learning rates", unit="step", leave=False), batches, strict=False):
        model.optimizer.learning_rate = rate
        loss = float(model.train_on_batch(*batch))
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        losses.append(loss)
        smoothed.append(mean / (1 - _SMOOTHING ** len(losses)))
        if not np.isfinite(loss) or smoothed[-1] > 4 * min(smoothed):
            break
    table = pd.DataFrame({"learning_rate": rates[: len(losses)], "loss": losses, "smoothed": smoothed})
    table.attrs["suggestion"] = float(f"{table['learning_rate'][table['smoothed'].idxmin()] / 10:.1e}")
    return table


def sanity_checks(comp, folds, recipe, *, fold=None):
    """Check in a minute or so what a long run takes for granted.

    Whether the loss starts at the level of guessing, whether the network can memorise 32 images, and whether it
    learns nothing where there is nothing to learn: with shuffled labels it must score no better than chance.

    Args:
        comp: a `Competition` of one label a row.
        folds: as `assign_folds` gives them.
        recipe: a `Recipe`.
        fold: number of the fold that is held out. Defaults to the first.

    Returns:
        DataFrame with `check`, `found`, `expected` and `verdict` (`"good"`, or what to look at).

    Raises:
        ValueError: if the task does not have one label a row.
    """
    if not comp.task.one_label:
        raise ValueError(f"expected a competition of one label a row, got the task {comp.task!r}")
    records, fold = _records_and_fold(comp, folds, recipe, fold)
    plain = recipe.replace(policy="none", mix="none", dropout=0.0, label_smoothing=0.0, batch_size=32)
    training_folds = [other for other in records.folds if other != fold]
    images, targets, *_ = next(iter(train_dataset(records, plain, training_folds)))
    targets = targets.numpy()
    model, stage = _fresh_network(records, plain)
    initial_loss = _evaluate(model, images, targets)["loss"]
    chance_loss = float(np.log(len(comp.class_names)))
    rows = [
        _check_row(
            "loss before training",
            initial_loss,
            f"about ln(classes) = {chance_loss:.2f}",
            initial_loss < 1.5 * chance_loss + 0.5,
        )
    ]
    model.compile(
        optimizer=_constant_rate_optimizer(plain, stage, model), loss=loss_of(comp.task, plain), jit_compile=False
    )
    accuracy = 0.0
    for _ in tqdm(range(100), desc="memorising 32 images", unit="step", leave=False):
        model.train_on_batch(images, targets)
        accuracy = _evaluate(model, images, targets)["accuracy"]
        if accuracy == 1:
            break
    rows.append(_check_row("accuracy on 32 memorised images", accuracy, "0.95 or more", accuracy >= 0.95))
    shuffled_accuracy, shares = _shuffled_accuracy(records, plain, fold, training_folds)
    limit = shares.max() + 3 * np.sqrt(shares.max() * (1 - shares.max()) / records.rows(fold))
    rows.append(
        _check_row(
            "accuracy with shuffled labels",
            shuffled_accuracy,
            f"at most {limit:.2f}, as chance",
            shuffled_accuracy <= limit,
        )
    )
    return pd.DataFrame(rows, columns=["check", "found", "expected", "verdict"])


def _check_row(check, value, expected, good):
    advice = {
        "loss before training": "the first weights or the input's scale are wrong",
        "accuracy on 32 memorised images": "raise the learning rate, train more layers, or look at the labels",
        "accuracy with shuffled labels": "rows of the held-out fold are in training as well: see kk.fold_report",
    }
    return check, round(float(value), 4), expected, "good" if good else advice[check]


def _records_and_fold(comp, folds, recipe, fold):
    folds = row_folds(comp, folds)
    records = records_of(comp, folds, recipe)
    return records, records.folds[0] if fold is None else fold


def _fresh_network(records, recipe):
    """A new network with the layers of its last stage made trainable, and that stage."""
    setup = Setup.of_run(records, recipe, None, None)
    stage = plan_stages(setup)[-1]
    stage.choose_layers(setup.model)
    return setup.model, stage


def _constant_rate_optimizer(recipe, stage, model):
    """The recipe's optimizer at the stage's peak rate, without a schedule."""
    return optimizer_of(recipe, stage.learning_rate, model=model)


def _evaluate(model, images, targets):
    probabilities = with_probabilities(model)(images, training=False).numpy()
    labels = targets.argmax(axis=1)
    if not np.isfinite(probabilities).all():  # the network diverged, one of the faults to be found
        return {"loss": np.nan, "accuracy": 0.0}
    return {
        "loss": metrics.score("log_loss", labels, probabilities),
        "accuracy": metrics.score("accuracy", labels, probabilities),
    }


def _shuffled_accuracy(records, recipe, fold, training_folds):
    """Held-out accuracy after some steps on shuffled labels, and each class's share of the fold."""
    model, stage = _fresh_network(records, recipe)
    model.compile(
        optimizer=_constant_rate_optimizer(recipe, stage, model), loss=loss_of(records.task, recipe), jit_compile=False
    )
    rng = np.random.default_rng(recipe.seed)
    batches = train_dataset(records, recipe, training_folds).take(40)
    for images, targets, *_ in tqdm(batches, total=40, desc="learning shuffled labels", unit="step", leave=False):
        model.train_on_batch(images, rng.permutation(targets.numpy()))
    infer = inference(with_probabilities(model))
    probabilities, labels, _ = predict_rows(infer, eval_dataset(records, recipe, fold))
    shares = np.bincount(labels, minlength=probabilities.shape[1]) / len(labels)
    return float((probabilities.argmax(axis=1) == labels).mean()), shares
