"""From a recipe to Keras's objects: network, loss, optimizer, and the stages that train them."""

from itertools import groupby
from typing import NamedTuple

import keras

from kagglekit._knobs import several
from kagglekit.models.heads import add_head, build_extractor, freeze_backbone, unfreeze_backbone
from kagglekit.models.losses import make_loss
from kagglekit.models.metadata import add_metadata
from kagglekit.models.optimizers import layer_scales, make_optimizer, make_schedule
from kagglekit.tasks import SINGLE_LABEL


class Stage(NamedTuple):
    """A stage of training: name, number of its first epoch, epochs, peak learning rate, image size, share of layers."""

    name: str
    first: int
    epochs: int
    learning_rate: float
    size: int | tuple
    share: float = 0.0


def stages(recipe, model):
    """Return the stages of a recipe, a list of `Stage`.

    Random weights, or a network without a layer `backbone`: all of it is trained from the first epoch.

    Raises:
        ValueError: if the recipe keeps activations (`cached_views`) of a network that cannot be split.
    """
    frozen, size = recipe.frozen_epochs, recipe.image_size
    if recipe.weights is None or not is_functional(model) or not has_layer(model, "backbone"):
        if recipe.cached_views:
            raise ValueError(
                "expected a functional Keras network with a layer named 'backbone' for cached_views, got "
                f"{model.name!r} without; use cached_views=0"
            )
        return _tuning("training", 0, frozen + recipe.epochs, recipe, (1.0,))
    head = [Stage("frozen", 0, frozen, recipe.frozen_learning_rate, size)] if frozen else []
    return head + _tuning("fine-tuning", frozen, recipe.epochs, recipe, several(recipe.unfrozen_layers))


def _tuning(name, first, epochs, recipe, shares):
    """A stage for each image size and share of layers; either takes equal parts of the epochs, the last the rest."""
    sizes, found = [*recipe.first_sizes, recipe.image_size], []
    of_epoch = [
        tuple(each[((epoch + 1) * len(each) - 1) // epochs] for each in (sizes, shares)) for epoch in range(epochs)
    ]
    for (size, share), run in groupby(of_epoch):
        called = name if size == recipe.image_size else f"{name} at {size}"
        called += "" if share == shares[-1] else f", the last {share:g}"
        own = len(list(run))
        found.append(Stage(called, first, own, recipe.learning_rate, size, share))
        first += own
    return found


def model_from_recipe(outputs, recipe, *, task=SINGLE_LABEL, offset=0.0, scale=1.0, encoder=None):
    """Build the network that a recipe names; `task`, `offset` and `scale` as in `add_head`.

    With an encoder of metadata, as `fitted_encoder` gives it, it takes these beside the pixels.
    """
    extractor = build_extractor(
        recipe.backbone,
        weights=recipe.weights,
        image_size=recipe.image_size,
        channels=recipe.channels,
        pooling=recipe.pooling,
        activation=recipe.activation,
        initializer=recipe.initializer,
    )
    extractor = add_metadata(extractor, encoder) if encoder else extractor
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
    """Choose the layers that a stage trains."""
    if stage.name == "frozen":
        freeze_backbone(model)
    elif has_layer(model, "backbone"):
        unfreeze_backbone(model, stage.share, batch_norm=recipe.weights is None)


def same_layers(model):
    """Return a network of the same layers with an optimizer and traced functions of its own."""
    if not is_functional(model):
        return model
    inputs = model.inputs if len(model.inputs) == 1 else model.input  # the latter knows the names
    return keras.Model(inputs, model.outputs, name=model.name)


def is_functional(model):
    return type(model).__name__ in ("Functional", "Sequential")


def has_layer(model, name):
    return any(layer.name == name for layer in model.layers)
