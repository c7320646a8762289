"""From a recipe to Keras's objects: network, loss and optimizer."""

import keras

from kagglekit.models.heads import add_head, build_extractor
from kagglekit.models.losses import make_loss
from kagglekit.models.metadata import add_metadata
from kagglekit.models.optimizers import layer_scales, make_optimizer, make_schedule
from kagglekit.tasks import SINGLE_LABEL


def model_from_recipe(outputs, recipe, *, task=SINGLE_LABEL, offset=0.0, scale=1.0, encoder=None):
    """Build the network that a recipe describes; `task`, `offset` and `scale` as in `add_head`.

    With an encoder of `fitted_encoder` the network takes metadata beside the pixels.
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
    """Return the Keras loss of a recipe for a task; `"auto"` is ArcFace for a cosine head."""
    margin = recipe.loss == "auto" and recipe.head == "cosine"
    return make_loss("arcface" if margin else recipe.loss, task=task, label_smoothing=recipe.label_smoothing)


def optimizer_of(recipe, learning_rate, steps=None, epochs=1, *, model=None):
    """Return a recipe's optimizer.

    Args:
        recipe: a `Recipe`.
        learning_rate: peak of its schedule.
        steps, epochs: number of each that the schedule spans. Defaults to a constant rate.
        model: the network that it will train, for a rate per layer; None for one rate.
    """
    schedule = learning_rate
    if steps is not None:
        schedule = make_schedule(recipe.schedule, learning_rate, steps, warmup=recipe.warmup, epochs=epochs)
    return make_optimizer(
        recipe.optimizer,
        schedule,
        weight_decay=recipe.weight_decay,
        clip=recipe.clip or None,
        scales=None if model is None or recipe.layer_decay == 1 else layer_scales(model, recipe.layer_decay),
        ema=recipe.ema,
    )


def same_layers(model):
    """Return a network that shares the layers of a functional one but has its own optimizer and traced functions."""
    if not is_functional(model):
        return model
    inputs = model.inputs if len(model.inputs) == 1 else model.input  # `model.input` has the names
    return keras.Model(inputs, model.outputs, name=model.name)


def is_functional(model):
    return type(model).__name__ in ("Functional", "Sequential")


def has_layer(model, name):
    return any(layer.name == name for layer in model.layers)
