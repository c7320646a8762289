"""Train fold after fold with one network: its traced functions are kept, its state starts anew."""

from functools import partial

import keras
import numpy as np
import pandas as pd

from kagglekit.inputs.pipeline import eval_dataset, steps_per_epoch, train_dataset
from kagglekit.models.heads import (
    add_head,
    build_extractor,
    freeze_backbone,
    split_at_features,
    unfreeze_backbone,
    with_probabilities,
)
from kagglekit.models.losses import make_loss
from kagglekit.models.optimizers import layer_scales, make_optimizer, make_schedule
from kagglekit.training.callbacks import HeldOut, Progress
from kagglekit.training.features import feature_batches, frozen_features, predict_features
from kagglekit.training.prediction import inference, predict_rows


class FoldTrainer:
    """Trains the folds of one run.

    Tracing a network takes longer than an epoch on a small data set. So each stage has one compiled network for all
    folds, and before a fold all variables (weights, statistics, seeds, the optimizer's) get their first values back:
    a fold's result does not depend on the folds before it, nor on whether it was trained in this process.

    Args:
        records: `Records`.
        recipe: a `Recipe`.
        build_model: function `(num_classes, recipe)` that returns a network, or None for the recipe's own.
        metric: name of the competition's metric.
        store: folder for the frozen backbone's features.
    """

    def __init__(self, records, recipe, build_model, metric, store):
        self.records, self.recipe, self.metric, self.store = records, recipe, metric, store
        keras.utils.clear_session()
        keras.utils.set_random_seed(recipe.seed)
        classes = len(records.class_names)
        offset, scale = _units(records)
        self.model = (
            build_model(classes, recipe)
            if build_model
            else model_from_recipe(classes, recipe, task=records.task, offset=offset, scale=scale)
        )
        self.infer = inference(with_probabilities(self.model))  # traced once for all epochs and stages
        self._steps = {fold: steps_per_epoch(records, recipe, self._others(fold)) for fold in records.folds}
        self._stages = {stage: None for stage, _, _ in stages(recipe, self.model)}
        self._first_values = _values(self.model.variables)

    def steps(self, fold):
        """Return the number of steps that training a fold takes, over all stages."""
        return self._steps[fold] * sum(epochs for _, epochs, _ in stages(self.recipe, self.model))

    def train(self, fold, folder, bar, title):
        """Train one fold and write `model.keras`, `oof.npz` and `history.csv` into a folder.

        Args:
            fold: number of the fold that is held out.
            folder: an empty folder.
            bar: tqdm bar, moved on by a step per batch.
            title: what the bar says in front.
        """
        _restore(self.model.variables, self._first_values)
        held_out = eval_dataset(self.records, self.recipe, fold, cache=True)
        history, last, start = [], None, 0
        for stage, epochs, learning_rate in stages(self.recipe, self.model):
            network = self._network(stage, epochs, learning_rate)
            if network.name == "head":
                features = self._features()
                batches = feature_batches(features, self._others(fold), self.records, self.recipe)
                predict = partial(predict_features, with_probabilities(network), features[fold])
            else:
                batches = train_dataset(self.records, self.recipe, self._others(fold))
                predict = partial(predict_rows, self.infer, held_out)
            watcher = HeldOut(predict, self.metric, self.records.task, stage)
            # Before the watcher, so that the average is what it sees and what stays in the network.
            averages = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if self.recipe.ema else []
            network.fit(
                batches,
                steps_per_epoch=self._steps[fold],
                initial_epoch=start,
                epochs=start + epochs,
                callbacks=[Progress(bar, f"{title}, {stage}"), *averages, watcher],
                shuffle=False,
                verbose=0,
            )
            history += watcher.rows
            last, start = watcher.last, start + epochs
        self._save(folder, held_out, last)
        table = pd.DataFrame(history)
        table.insert(0, "fold", fold)
        table.to_csv(folder / "history.csv", index=False)

    def _others(self, fold):
        return [number for number in self.records.folds if number != fold]

    def _features(self):
        return frozen_features(split_at_features(self.model)[0], self.records, self.recipe, self.store)

    def _network(self, stage, epochs, learning_rate):
        """Return the compiled network of a stage, as new but for its traced functions."""
        if self._stages[stage] is None:
            set_trainable(self.model, stage, self.recipe)
            if stage == "frozen" and _has_layer(self.model, "features"):
                network = split_at_features(self.model)[1]
            else:
                network = _same_layers(self.model)
            single = self.records.task == "single_label"
            optimizer = self._optimizer(max(self._steps.values()) * epochs, epochs, learning_rate)
            network.compile(
                optimizer=optimizer,
                loss=loss_of(self.records.task, self.recipe),
                metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")] if single else [],
                jit_compile=False,  # XLA is twenty times slower on a CPU
            )
            optimizer.build(network.trainable_variables)
            self._stages[stage] = network, _values(optimizer.variables)
        network, optimizer_values = self._stages[stage]
        _restore(network.optimizer.variables, optimizer_values)
        return network

    def _optimizer(self, steps, epochs, learning_rate):
        recipe = self.recipe
        return make_optimizer(
            recipe.optimizer,
            make_schedule(recipe.schedule, learning_rate, steps, warmup=recipe.warmup, epochs=epochs),
            weight_decay=recipe.weight_decay,
            clip=recipe.clip or None,
            scales=None if recipe.layer_decay == 1 else layer_scales(self.model, recipe.layer_decay),
            ema=recipe.ema,
        )

    def _save(self, folder, held_out, last):
        """Save the network without an optimizer, load it again and keep what the loaded one predicts."""
        _same_layers(with_probabilities(self.model)).save(folder / "model.keras")
        loaded = keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
        probabilities, labels, image_ids = predict_rows(inference(loaded), held_out)
        difference = float(np.abs(probabilities - last[0]).max())
        if difference > 1e-4 * max(1, float(np.abs(last[0]).max())):  # a regression may predict thousands
            raise RuntimeError(
                f"the saved network predicts up to {difference:.2g} away from the trained one; a layer does not save "
                "all its state (see keras#20147). Finished folds are kept; change the network and start again"
            )
        np.savez(folder / "oof.npz", probabilities=probabilities, labels=labels, image_ids=image_ids)


def model_from_recipe(outputs, recipe, *, task="single_label", offset=0.0, scale=1.0):
    """Build the network that a recipe names; `task`, `offset` and `scale` as in `add_head`."""
    extractor = build_extractor(
        recipe.backbone,
        weights=recipe.weights,
        image_size=recipe.image_size,
        channels=recipe.channels,
        pooling=recipe.pooling,
        activation=recipe.activation,
        initializer=recipe.initializer,
    )
    head = {"kind": recipe.head, "multi_dropout": recipe.multi_dropout, "neck": recipe.neck}
    return add_head(extractor, outputs, task=task, dropout=recipe.dropout, offset=offset, scale=scale, head=head)


def loss_of(task, recipe):
    """Return the Keras loss of a task; label smoothing where targets are certain."""
    return make_loss(recipe.loss, task=task, label_smoothing=recipe.label_smoothing)


def _units(records):
    """Mean and standard deviation of a regression's targets: numbers that a head can start from, the same in all folds.

    Two numbers of all rows are no leak that a network could use.
    """
    if records.task != "regression":
        return 0.0, 1.0
    targets = np.array(records.table(records.folds)["label"].tolist())
    return targets.mean(axis=0).tolist(), np.maximum(targets.std(axis=0), 1e-6).tolist()


def stages(recipe, model):
    """Return `(name, epochs, peak learning rate)` of the stages.

    Random weights, or a network without a layer `backbone`: one stage for all of it.
    """
    if recipe.weights is None or not _is_functional(model) or not _has_layer(model, "backbone"):
        return [("training", recipe.frozen_epochs + recipe.epochs, recipe.learning_rate)]
    both = [
        ("frozen", recipe.frozen_epochs, recipe.frozen_learning_rate),
        ("fine-tuning", recipe.epochs, recipe.learning_rate),
    ]
    return [stage for stage in both if stage[1] > 0]


def set_trainable(model, stage, recipe):
    """Choose the layers that a stage trains."""
    if stage == "frozen":
        freeze_backbone(model)
    elif _has_layer(model, "backbone"):
        unfreeze_backbone(model, recipe.unfrozen_layers, batch_norm=recipe.weights is None)


def _same_layers(model):
    """A network of the same layers with an optimizer and traced functions of its own."""
    return keras.Model(model.inputs, model.outputs, name=model.name) if _is_functional(model) else model


def _is_functional(model):
    return type(model).__name__ in ("Functional", "Sequential")


def _has_layer(model, name):
    return any(layer.name == name for layer in model.layers)


def _values(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _restore(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
