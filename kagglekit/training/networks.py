"""From a recipe to Keras's objects: network, loss, optimizer, and the stages that train them."""

from typing import NamedTuple

import keras

from kagglekit.models.heads import add_head, build_extractor, freeze_backbone, unfreeze_backbone
from kagglekit.models.losses import make_loss
from kagglekit.models.optimizers import layer_scales, make_optimizer, make_schedule


class Stage(NamedTuple):
    """A stage of training: its name, the number of its first epoch, its epochs, peak learning rate and image size."""

    name: str
    first: int
    epochs: int
    learning_rate: float
    size: int | tuple


def stages(recipe, model):
    """Return the stages of a recipe, a list of `Stage`.

    Random weights, or a network without a layer `backbone`: one stage for all of it.
    """
    frozen, size = recipe.frozen_epochs, recipe.image_size
    if recipe.weights is None or not is_functional(model) or not has_layer(model, "backbone"):
        return _by_size("training", 0, frozen + recipe.epochs, recipe)
    head = [Stage("frozen", 0, frozen, recipe.frozen_learning_rate, size)] if frozen else []
    return head + _by_size("fine-tuning", frozen, recipe.epochs, recipe)


def _by_size(name, first, epochs, recipe):
    """A stage for each image size, with equal parts of the epochs; the last sizes get what is left over."""
    found, sizes = [], [*recipe.first_sizes, recipe.image_size]
    for number, size in enumerate(sizes):
        own = (epochs * (number + 1)) // len(sizes) - (epochs * number) // len(sizes)
        called = name if size == recipe.image_size else f"{name} at {size}"
        if own:
            found.append(Stage(called, first, own, recipe.learning_rate, size))
        first += own
    return found


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
    """Return the Keras loss of a task, ArcFace for a cosine head; label smoothing where targets are certain."""
    margin = recipe.loss == "auto" and recipe.head == "cosine"
    return make_loss("arcface" if margin else recipe.loss, task=task, label_smoothing=recipe.label_smoothing)


def optimizer_of(recipe, stage, steps, model):
    """Return a stage's optimizer.

    Args:
        recipe: a `Recipe`.
        stage: a `Stage`.
        steps: number of steps of the whole stage.
        model: the network whose variables it will train.
    """
    return make_optimizer(
        recipe.optimizer,
        make_schedule(recipe.schedule, stage.learning_rate, steps, warmup=recipe.warmup, epochs=stage.epochs),
        weight_decay=recipe.weight_decay,
        clip=recipe.clip or None,
        scales=None if recipe.layer_decay == 1 else layer_scales(model, recipe.layer_decay),
        ema=recipe.ema,
    )


def set_trainable(model, stage, recipe):
    """Choose the layers that a stage (its name) trains."""
    if stage == "frozen":
        freeze_backbone(model)
    elif has_layer(model, "backbone"):
        unfreeze_backbone(model, recipe.unfrozen_layers, batch_norm=recipe.weights is None)


def same_layers(model):
    """Return a network of the same layers with an optimizer and traced functions of its own."""
    return keras.Model(model.inputs, model.outputs, name=model.name) if is_functional(model) else model


def is_functional(model):
    return type(model).__name__ in ("Functional", "Sequential")


def has_layer(model, name):
    return any(layer.name == name for layer in model.layers)
