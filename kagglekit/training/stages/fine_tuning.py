"""Fine-tuning from images: the head and the last layers of a backbone, or a whole network from random weights."""

from functools import partial
from itertools import groupby

import keras

from kagglekit._knobs import several
from kagglekit.inference.traced import predict_rows
from kagglekit.models.heads import freeze_backbone, unfreeze_backbone
from kagglekit.pipeline.datasets import eval_dataset, train_dataset
from kagglekit.training.callbacks import HeldOut, Progress, Reseed, swap_averages
from kagglekit.training.networks import has_layer, loss_of, optimizer_of, same_layers
from kagglekit.training.progress import advance
from kagglekit.training.setup import restore, seed_of, values_of
from kagglekit.training.stages.base import Cost, Stage


class FineTuning(Stage):
    """Trains layers of the network with Keras's `fit`, on augmented images.

    Args:
        setup, name, first, epochs, learning_rate: as in `Stage`.
        size: image size to train at.
        share: share of the backbone's layers, counted from the head, that are trained; 0 for the head alone.
    """

    def __init__(self, setup, name, *, first, epochs, learning_rate, size, share):
        super().__init__(setup, name, first=first, epochs=epochs, learning_rate=learning_rate)
        self.size, self.share = size, share
        self.patience = setup.recipe.patience
        self._compiled = None

    @classmethod
    def plan(cls, setup):
        recipe = setup.recipe
        if not setup.pretrained:
            return cls.progressive_stages(setup, "training", 0, recipe.frozen_epochs + recipe.epochs, (1.0,))
        head_stages = []
        if recipe.frozen_epochs and not setup.has_features:
            head_stages = [cls.head_stage(setup)]
        if recipe.cached_views:
            return head_stages
        shares = several(recipe.unfrozen_layers)
        return head_stages + cls.progressive_stages(setup, "fine-tuning", recipe.frozen_epochs, recipe.epochs, shares)

    @classmethod
    def head_stage(cls, setup, **options):
        """Return the stage that trains the head on the frozen backbone."""
        recipe = setup.recipe
        rate, size = recipe.frozen_learning_rate, recipe.image_size
        return cls(
            setup, "frozen", first=0, epochs=recipe.frozen_epochs, learning_rate=rate, size=size, share=0.0, **options
        )  # fmt: skip

    @classmethod
    def progressive_stages(cls, setup, name, first, epochs, shares, **options):
        """Return a stage for each image size and share of layers: equal parts of the epochs, the last the rest."""
        recipe = setup.recipe
        sizes, stages = [*recipe.first_sizes, recipe.image_size], []
        settings = [
            tuple(values[((epoch + 1) * len(values) - 1) // epochs] for values in (sizes, shares))
            for epoch in range(epochs)
        ]
        for (size, share), group in groupby(settings):
            stage_name = name if size == recipe.image_size else f"{name} at {size}"
            stage_name += "" if share == shares[-1] else f", the last {share:g}"
            stage = cls(
                setup, stage_name, first=first, epochs=len(list(group)), learning_rate=recipe.learning_rate, size=size,
                share=share, **options,
            )  # fmt: skip
            stages.append(stage)
            first += stage.epochs
        return stages

    def ending_after(self, epoch):
        shorter = super().ending_after(epoch)
        shorter.patience = 0
        return shorter

    def cost(self, timing):
        self.choose_layers(self.setup.model)
        seconds, tracing = timing.training_step(self.setup.model, timing.images)
        seconds *= timing.relative_pixels(self.size)  # time follows pixels
        minutes = (timing.training_steps * self.epochs * seconds + tracing) / 60
        return Cost(minutes, validated_epochs=self.epochs)

    def steps(self, fold):
        return self.setup.steps_per_epoch(fold) * (self.end - self.first)

    def choose_layers(self, model):
        if not has_layer(model, "backbone"):
            return
        if not self.share:
            freeze_backbone(model)
        else:
            unfreeze_backbone(model, self.share, batch_norm=self.setup.recipe.weights is None)

    def fit(self, fold, checkpoint):
        setup = self.setup
        model, network = setup.network(self.size), self._network()
        if model is not setup.model:
            restore(model.variables, values_of(setup.model.variables))
        watcher = HeldOut(setup, self.predictor(fold), self.name, patience=self.patience)
        first, averages = self.first, swap_averages(setup.recipe.ema, resumed=bool(checkpoint.arrays))
        if checkpoint.arrays:
            restore(model.variables, checkpoint.arrays["network"])
            restore(network.optimizer.variables, checkpoint.arrays["optimizer"])
            watcher.resume(checkpoint.arrays, checkpoint.values)
            first += len(watcher.rows)
            advance(setup.steps_per_epoch(fold) * len(watcher.rows))

        def save(epoch, logs=None):
            arrays = {"network": values_of(model.variables), "optimizer": values_of(network.optimizer.variables)}
            checkpoint.save(arrays | watcher.arrays(), watcher.values())
            network.stop_training = watcher.ended

        if not watcher.ended and first < self.end:
            network.fit(
                self.batches(fold)(first),
                steps_per_epoch=setup.steps_per_epoch(fold),
                initial_epoch=first,
                epochs=self.end,
                callbacks=[
                    Progress(self.name),
                    Reseed(setup.recipe.seed, seed_of(fold, setup.records.folds)),
                    *averages,  # before the watcher, so that the average is what it sees and what stays in the network
                    watcher,
                    keras.callbacks.LambdaCallback(on_epoch_end=save),
                ],
                shuffle=False,
                verbose=0,
            )
        if watcher.weights:
            network.set_weights(watcher.weights)
        if model is not setup.model:
            restore(setup.model.variables, values_of(model.variables))
        return watcher.rows, watcher.last

    def trained_part(self):
        """Return the network that `fit` compiles: the whole one, or the part that takes the batches."""
        return self.setup.network(self.size)

    def batches(self, fold):
        """Return a function from the number of the first epoch to endless batches of all rows but a fold's."""
        setup, recipe = self.setup, self.setup.recipe.at_size(self.size)
        return lambda first: train_dataset(setup.records, recipe, setup.training_folds(fold), start_epoch=first)

    def predictor(self, fold):
        """Return a function without arguments that predicts a fold's rows as `predict_rows` does."""
        setup = self.setup
        if not setup.holds_out(fold):
            return setup.no_predictions
        dataset = eval_dataset(setup.records, self.setup.recipe.at_size(self.size), fold, cache=True)
        return partial(predict_rows, setup.infer(self.size), dataset)

    def _network(self):
        """Return the compiled network with a new optimizer state; its traced functions are reused."""
        setup, recipe = self.setup, self.setup.recipe
        # Each time: a stage that was resumed after its last epoch is compiled, but not traced before another fold's
        self.choose_layers(setup.network(self.size))
        if self._compiled is None:
            network = same_layers(self.trained_part())
            steps = setup.max_steps * self.epochs
            model = setup.network(self.size)
            network.compile(
                optimizer=optimizer_of(recipe, self.learning_rate, steps, self.epochs, model=model),
                loss=loss_of(setup.task, recipe),
                metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")] if setup.task.one_label else [],
                jit_compile=False,  # XLA is twenty times slower on a CPU
            )
            network.optimizer.build(network.trainable_variables)
            self._compiled = network, values_of(network.optimizer.variables)
        network, optimizer_values = self._compiled
        restore(network.optimizer.variables, optimizer_values)
        return network
