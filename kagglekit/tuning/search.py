"""Search for better knobs over the folds, with Keras Tuner underneath."""

import contextlib
import io
import math

import pandas as pd

from kagglekit._checks import check_choice
from kagglekit._files import content_hash, read_json, write_json, written_whole
from kagglekit.competition.tables import row_folds
from kagglekit.metrics import METRICS
from kagglekit.records.write import records_of
from kagglekit.training.cross_validation import train_on

# knob -> (kind, values or bounds, only for pretrained backbones?); learning rates are factors on the recipe's
SPACES = {
    "baseline": {
        "learning_rate": ("factor", (0.3, 3.0), False),
        "dropout": ("float", (0.0, 0.5), False),
        "unfrozen_layers": ("choice", (0.25, 0.5, 0.75, 1.0), True),
        "augment_strength": ("float", (0.5, 1.5), False),
    },
}


def tune(comp, folds, recipe, *, space="baseline", max_trials=20, fold_numbers=None, study=None):
    """Search the knobs of a space with Keras Tuner's Bayesian oracle; each trial is cross-validated on the same folds.

    The recipe itself is the first trial, so the result is never worse on these folds than the recipe. An interrupted
    study resumes: finished trials are kept, and so are the finished folds of the interrupted trial.

    Args:
        comp: a `Competition`.
        folds: as `assign_folds` gives them.
        recipe: the `Recipe` to start from.
        space: a key of `SPACES`.
        max_trials: number of trials, the recipe itself included.
        fold_numbers: folds that a trial trains; two or three of five cost half as much. Defaults to all.
        study: name of the study's folder in `tuning/`. Defaults to one made of space, recipe, folds and metric.

    Returns:
        `Recipe` named `tuned`: the best one found; `reasons` gives its score and that of the start.
        `tuning/<study>/trials.csv` and the frame that `read_trials(comp)` returns list all trials.

    Raises:
        ValueError: for an unknown space or fewer than 1 trial.
        ImportError: if keras-tuner is not installed.
    """
    check_choice("space", space, SPACES)
    if max_trials < 1:
        raise ValueError(f"expected max_trials of 1 or more, got {max_trials}")
    folds = row_folds(comp, folds)
    fold_numbers = sorted(int(fold) for fold in folds.unique()) if fold_numbers is None else list(fold_numbers)
    records = records_of(comp, folds, recipe)
    study_name = study or f"{space}-{content_hash([recipe.hash, records.hash, fold_numbers, comp.metric.key])}"
    folder = comp.folders.tuning / study_name
    _check_metric(folder / "study.json", comp.metric)
    tuner = _make_tuner(comp, folds, recipe, space, max_trials, fold_numbers, folder, records)
    start = tuner.score(recipe)  # reuses the folds of a finished baseline
    if math.isnan(start):
        raise ValueError(
            f"{comp.metric} is not defined on the rows of the folds {fold_numbers}; choose other fold_numbers"
        )
    if max_trials > 1:
        tuner.search()
    trials = _trials_table(tuner, recipe, start)
    with written_whole(folder / "trials.csv") as temporary:
        trials.to_csv(temporary, index=False)
    best = trials.loc[comp.metric.best(trials["score"])]
    if best["trial"] == "start":
        return recipe.replace(name="tuned", reasons={"name": f"no trial beat the recipe's {start:.4f} on these folds"})
    knobs = {knob: _python_value(best[knob]) for knob in trials.columns if knob not in ("trial", "score")}
    reason = (
        f"best of {len(trials)} trials: {comp.metric} {best['score']:.4f}, the start had {start:.4f} on these folds"
    )
    return recipe.replace(name="tuned", reasons=recipe.reasons | dict.fromkeys(knobs, reason), **knobs)


def read_trials(comp, study=None):
    """Return the trials of a study, by default the newest, as a DataFrame: `trial`, the knobs, `score`.

    Its `attrs["metric"]` is the `Metric` that the study searched by, or None if that was a metric of your own that is
    not the competition's.
    """
    paths = sorted(comp.folders.tuning.glob(f"{study or '*'}/trials.csv"), key=lambda path: path.stat().st_mtime)
    if not paths:
        raise FileNotFoundError(f"no finished study below {comp.folders.tuning}; call kk.tune first")
    trials = pd.read_csv(paths[-1])
    metric_key = read_json(paths[-1].with_name("study.json"))["metric"]
    trials.attrs["metric"] = next(
        (metric for metric in (comp.metric, *METRICS.values()) if metric.key == metric_key), None
    )
    return trials


def _check_metric(path, metric):
    """Raise `ValueError` if a study has trials of another metric; the oracle would compare them with the new ones."""
    if not path.is_file():
        write_json(path, {"metric": metric.key})
    elif read_json(path)["metric"] != metric.key:
        raise ValueError(
            f"the study {path.parent.name!r} was searched by another metric than {metric}, or by another version of "
            "it; choose another name with study="
        )


def _make_tuner(comp, folds, recipe, space, max_trials, fold_numbers, folder, records):
    import keras_tuner  # lazily: Kaggle's TPU image has none

    direction = "max" if comp.metric.higher_is_better else "min"
    # The space is declared before the search: oracles that discover it inside a trial can end without any trial.
    oracle = keras_tuner.oracles.BayesianOptimizationOracle(
        objective=keras_tuner.Objective("score", direction),
        max_trials=max_trials - 1 or 1,
        hyperparameters=_declare_knobs(keras_tuner.HyperParameters(), recipe, space),
        seed=recipe.seed + 1,  # 0 would be replaced by a random number
    )

    class FoldTuner(keras_tuner.Tuner):
        """A tuner whose trial is a cross-validation; the runs keep weights and logs."""

        def run_trial(self, trial, *args, **kwargs):
            return {"score": self.score(recipe.replace(name="trial", **trial.hyperparameters.values))}

        def score(self, candidate):
            # No space has a knob that changes the records, so every trial uses the recipe's
            return train_on(records, comp, folds, candidate, fold_numbers=fold_numbers, parent=folder / "runs").score

    with contextlib.redirect_stdout(io.StringIO()):  # it prints when it reloads a study
        tuner = FoldTuner(oracle=oracle, directory=str(folder), project_name="oracle")
    tuner.oracle.verbose = 0
    return tuner


def _declare_knobs(hyperparameters, recipe, space):
    for knob, (kind, values, pretrained_only) in SPACES[space].items():
        if pretrained_only and (recipe.weights is None or recipe.epochs == 0):
            continue
        if kind == "choice":
            uses_cache = recipe.cached_views and knob == "unfrozen_layers"  # which needs frozen layers
            hyperparameters.Choice(knob, [value for value in values if value < 1 or not uses_cache])
        elif kind == "float":
            hyperparameters.Float(knob, *values)
        else:
            base = getattr(recipe, knob)
            hyperparameters.Float(knob, base * values[0], base * values[1], sampling="log")
    return hyperparameters


def _trials_table(tuner, recipe, start_score):
    trials = [trial for _, trial in sorted(tuner.oracle.trials.items()) if trial.score is not None]
    knobs = list(tuner.oracle.get_space().values)
    table_rows = [{"trial": "start", **{knob: getattr(recipe, knob) for knob in knobs}, "score": start_score}]
    table_rows += [{"trial": trial.trial_id, **trial.hyperparameters.values, "score": trial.score} for trial in trials]
    return pd.DataFrame(table_rows)


def _python_value(value):
    return value.item() if hasattr(value, "item") else value
