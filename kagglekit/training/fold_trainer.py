"""Train fold after fold with one network: its traced functions are kept, its state starts anew."""

from functools import partial

import keras
import numpy as np
import pandas as pd

from kagglekit.inference.traced import inference, predict_rows
from kagglekit.models.heads import with_probabilities
from kagglekit.models.keras_graph import average_is_in_network, clear_session, seeds_from
from kagglekit.models.split import split_at_features, split_below_trained
from kagglekit.pipeline.datasets import eval_dataset, steps_per_epoch, train_dataset
from kagglekit.pipeline.metadata import fitted_encoder
from kagglekit.runs.events import EVENTS, write_events
from kagglekit.training.callbacks import HeldOut, Progress, Reseed
from kagglekit.training.checkpoint import load_state, save_state
from kagglekit.training.networks import (
    has_layer,
    loss_of,
    model_from_recipe,
    optimizer_of,
    same_layers,
    set_trainable,
    stages,
)
from kagglekit.training.stages.cached import CachedRows
from kagglekit.training.stages.frozen import train_heads
from kagglekit.training.stages.stacked_heads import can_stack

_CHECKED = 16  # held-out images on which a saved network is compared with the trained one


class FoldTrainer:
    """Trains the folds of one run.

    Tracing a network takes longer than an epoch on a small data set. So each stage has one compiled network for all
    folds, and before a fold all variables (weights, statistics, seeds, the optimizer's) get their first values back:
    a fold's result does not depend on the folds before it, nor on whether it was trained in this process. What lies
    below the layers that are trained is computed once for all folds where the recipe lets it be; plain heads on a
    frozen backbone are trained for all folds at once.

    Args:
        records: `Records`.
        recipe: a `Recipe`.
        build_model: function `(num_classes, recipe)` that returns a network, or None for the recipe's own.
        metric: name of the competition's metric.
        store: folder for the frozen backbone's features.
        folds: folds to train. Defaults to those of the records; a number that none of them has trains on all rows.

    Attributes:
        ends: dict of each stage to the number (from 1) of the epoch after which `fit` ends it; may be lowered.
    """

    def __init__(self, records, recipe, build_model, metric, store, folds=None):
        self.folds = records.folds if folds is None else folds
        self.records, self.recipe, self.metric, self.store = records, recipe, metric, store
        clear_session()
        keras.utils.set_random_seed(recipe.seed)
        classes = len(records.class_names)
        offset, scale = _units(records)
        encoder = fitted_encoder(records, recipe)

        def build(size):
            sized = recipe.replace(image_size=size, first_sizes=())
            with seeds_from(recipe.seed):
                if build_model:
                    return build_model(classes, sized)
                return model_from_recipe(classes, sized, task=records.task, offset=offset, scale=scale, encoder=encoder)

        self.model = build(recipe.image_size)
        self.saved = with_probabilities(self.model)
        self.stages = stages(recipe, self.model)
        self._models = {stage.size: build(stage.size) for stage in self.stages if stage.size != recipe.image_size}
        self._models[recipe.image_size] = self.model
        # Traced once for all epochs and stages
        self._infer = {size: inference(with_probabilities(model)) for size, model in self._models.items()}
        self._steps = {fold: steps_per_epoch(records, recipe, self._others(fold)) for fold in self.folds}
        self.ends = {stage: stage.first + stage.epochs for stage in self.stages}
        self._compiled, self._cached, self._heads = {}, {}, None
        self._first_values = _values(self.model.variables)

    def steps(self, fold):
        """Return the number of steps that training a fold takes, over all stages but that of all folds at once."""
        fitted = [stage for stage in self.stages if not self._stacked(stage)]
        return self._steps[fold] * sum(self.ends[stage] - stage.first for stage in fitted)

    def prepare(self):
        """Train what all folds share, so that its files are there for other processes."""
        for stage in self.stages:
            if self._stacked(stage):
                self._trained_heads(stage)
            elif self._from_cache(stage):
                self._halves(stage)

    def train(self, fold, folder, state_file, bar, title):
        """Train one fold and write its network, `oof.npz` (of a fold with rows) and history into a folder.

        Args:
            fold: number of the fold that is held out.
            folder: an empty folder.
            state_file: where the fold's state is kept after each epoch; it is taken up from there.
            bar: tqdm bar, moved on by a step per batch.
            title: what the bar says in front.
        """
        _restore(self.model.variables, self._first_values)
        values, about = load_state(state_file)
        history, last = about.get("history", []), None
        for number, stage in enumerate(self.stages):
            if number < about.get("stage", 0):
                continue
            if self._stacked(stage):
                bar.set_description(f"{title}, {stage.name}")
                head, rows, last = self._trained_heads(stage)[fold]
                _restore(split_at_features(self.model)[1].variables, head)
            else:
                begun = (values, about) if number == about.get("stage") else ({}, {})
                rows, last = self._fit(number, fold, history, begun, state_file, bar, title)
            history = history + rows
        self._save(folder, fold, last)
        table = pd.DataFrame(history)
        table.insert(0, "fold", fold if fold in self.records.folds else "refit")
        table.to_csv(folder / "history.csv", index=False)
        write_events(folder / EVENTS, table)

    def _fit(self, number, fold, history, begun, state_file, bar, title):
        """Train a stage by `fit`; return its lines of history and the predictions of the held-out fold."""
        stage = self.stages[number]
        recipe, model = self.recipe, self._models[stage.size]
        network = self._network(stage)
        if model is not self.model:
            _restore(model.variables, _values(self.model.variables))
        batches, predict = self._seen(stage, fold)
        watcher = HeldOut(predict, self.metric, self.records.task, stage.name, patience=recipe.patience)
        values, about = begun
        first = stage.first
        if about:
            _restore(model.variables, values["network"])
            _restore(network.optimizer.variables, values["optimizer"])
            watcher.state = about["watcher"] | {"weights": values.get("best", []), "last": values["last"][0]}
            first += len(watcher.state["rows"])
            bar.update(self._steps[fold] * len(watcher.state["rows"]))

        def save(epoch, logs=None):
            state = watcher.state
            plain = {name: value for name, value in state.items() if name not in ("weights", "last")}
            arrays = {
                "network": _values(model.variables),
                "optimizer": _values(network.optimizer.variables),
                "best": state["weights"],
                "last": [state["last"]],
            }
            save_state(state_file, arrays, {"stage": number, "history": history, "watcher": plain})
            network.stop_training = watcher.ended

        # Before the watcher, so that the average is what it sees and what stays in the network.
        averages = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if recipe.ema else []
        for callback in averages if about else []:
            average_is_in_network(callback)  # the state was kept after the swap
        if not watcher.ended and first < self.ends[stage]:
            network.fit(
                batches(first),
                steps_per_epoch=self._steps[fold],
                initial_epoch=first,
                epochs=self.ends[stage],
                callbacks=[
                    Progress(bar, f"{title}, {stage.name}"),
                    Reseed(recipe.seed, fold),
                    *averages,
                    watcher,
                    keras.callbacks.LambdaCallback(on_epoch_end=save),
                ],
                shuffle=False,
                verbose=0,
            )
        if watcher.state["weights"]:
            network.set_weights(watcher.state["weights"])
        if model is not self.model:
            _restore(self.model.variables, _values(model.variables))
        return watcher.state["rows"], watcher.state["last"]

    def _others(self, fold):
        return [number for number in self.records.folds if number != fold]

    def _on_features(self, stage):
        return stage.name == "frozen" and has_layer(self.model, "features")

    def _from_cache(self, stage):
        """Whether a stage sees what its frozen layers give, kept, in place of pictures."""
        return self._on_features(stage) or (stage.name != "frozen" and self.recipe.cached_views > 0)

    def _stacked(self, stage):
        """Whether a stage trains the heads of all folds at once."""
        return self._on_features(stage) and can_stack(split_at_features(self.model)[1], self.recipe)

    def _halves(self, stage):
        """Return the cached rows of a stage, the network that it trains on them, and that one's traced function."""
        if stage not in self._cached:
            if stage.name == "frozen":
                split, passes = split_at_features, self.recipe.frozen_views
            else:
                split, passes = split_below_trained, self.recipe.cached_views
            set_trainable(self.model, stage, self.recipe)
            lower, upper = split(self.model)
            rows = CachedRows(lower, self.records, self.recipe, self.store, passes)
            self._cached[stage] = rows, upper, inference(split(self.saved)[1])
        return self._cached[stage]

    def _seen(self, stage, fold):
        """Two functions: from a stage's first epoch to its batches of a fold, and one that predicts the rest."""
        held_out = fold in self.records.folds
        if self._from_cache(stage):
            rows, _, infer = self._halves(stage)
            return partial(rows.batches, fold), partial(rows.predict, infer, fold) if held_out else self._nothing
        recipe, predict = self.recipe.replace(image_size=stage.size, first_sizes=()), self._nothing
        if held_out:
            dataset = eval_dataset(self.records, recipe, fold, cache=True)
            predict = partial(predict_rows, self._infer[stage.size], dataset)
        return lambda first: train_dataset(self.records, recipe, self._others(fold), start_epoch=first), predict

    def _nothing(self):
        """What there is to predict where no row is held out, in the form of `predict_rows`."""
        none = np.zeros((0, len(self.records.class_names)), np.float32)
        return none, none, np.array([], dtype=str)

    def _trained_heads(self, stage):
        """What `train_heads` gives; all folds' heads are trained when the first is asked for."""
        if self._heads is None:
            rows, head, _ = self._halves(stage)
            self._heads = train_heads(rows, head, stage, self.records, self.recipe, self.metric, self.folds)
        return self._heads

    def _network(self, stage):
        """Return the compiled network of a stage, as new but for its traced functions."""
        model, single = self._models[stage.size], self.records.task == "single_label"
        # Each time: a stage that was taken up after its last epoch is compiled, but not traced before another fold's
        set_trainable(model, stage, self.recipe)
        if stage not in self._compiled:
            network = same_layers(self._halves(stage)[1] if self._from_cache(stage) else model)
            network.compile(
                optimizer=optimizer_of(self.recipe, stage, max(self._steps.values()) * stage.epochs, model),
                loss=loss_of(self.records.task, self.recipe),
                metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")] if single else [],
                jit_compile=False,  # XLA is twenty times slower on a CPU
            )
            network.optimizer.build(network.trainable_variables)
            self._compiled[stage] = network, _values(network.optimizer.variables)
        network, optimizer_values = self._compiled[stage]
        _restore(network.optimizer.variables, optimizer_values)
        return network

    def _save(self, folder, fold, last):
        """Save the network without an optimizer, load it again and compare what both say of a few images."""
        held_out = fold in self.records.folds
        same_layers(self.saved).save(folder / "model.keras")
        loaded = keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
        few = self.recipe.replace(batch_size=min(_CHECKED, self.recipe.batch_size))
        images = next(iter(eval_dataset(self.records, few, fold if held_out else self.records.folds[0])))[0]
        trained = self._infer[self.recipe.image_size](images).numpy()
        unit = max(1, float(np.abs(trained).max()))  # a regression may predict thousands
        # Features are kept in half precision
        if held_out and np.abs(last[: len(trained)] - trained).max() > 0.05 * unit:
            raise RuntimeError(
                f"the head of fold {fold} was trained on features that the network does not give; remove the folder "
                f"{self.store} and start again"
            )
        difference = float(np.abs(loaded(images, training=False).numpy() - trained).max())
        if difference > 1e-4 * unit:
            raise RuntimeError(
                f"the saved network predicts up to {difference:.2g} away from the trained one; a layer does not save "
                "all its state (see keras#20147). Finished folds are kept; change the network and start again"
            )
        if not held_out:
            return
        index = self.records.index(fold)
        labels = index["label"] if self.records.task == "single_label" else index["label"].astype(np.float32)
        np.savez(folder / "oof.npz", probabilities=last, labels=labels, image_ids=index["image_id"])


def _units(records):
    """Mean and standard deviation of a regression's targets: numbers that a head can start from, the same in all folds.

    Two numbers of all rows are no leak that a network could use.
    """
    if records.task != "regression":
        return 0.0, 1.0
    targets = np.array(records.table(records.folds)["label"].tolist())
    return targets.mean(axis=0).tolist(), np.maximum(targets.std(axis=0), 1e-6).tolist()


def _values(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _restore(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
