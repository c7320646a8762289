"""Discriminative learning rates: each variable has a factor on its update and on its decay.

Keras 3.13 has no MultiOptimizer, and 3.15's clips each group by a norm of its own. A factor on the learning rate that a
step gets is the same as one on the step itself for all optimizers here, as none of them divides by it; a factor on the
gradients would be divided away by Adam.
"""

import re

import keras
from keras import ops

from kagglekit.models.backbones import flat_layers
from kagglekit.models.keras_graph import decays, trained_by

# Only the last part of a path: a layer may be named `bias`, and `unbiased_block/kernel` contains "bias". A pooling's
# power and cut points are no better for being small.
NO_DECAY = r"(^|/)(bias|gamma|beta|gem_power/kernel|ordinal_steps/kernel)$"


class LayerRates:
    """Mixin for Keras's optimizers: factors by the variables' paths, no decay of biases and norms, dense gradients.

    Both are settled in `build`, where variables still have paths (on TensorFlow `update_step` gets a bare
    `tf.Variable`), and the factors come back from the configuration. `exclude_from_weight_decay` excludes further
    variables, as in Keras; as there, it comes before `build` and is not part of the configuration.

    The gradient of an embedding names the rows that a batch saw. Keras squares such a gradient before it adds up the
    parts of a row that was seen twice, in Adam's second moments and in the norm that clips, so the steps are not those
    of the whole gradient (3.13, 3.15). Here it is added up first.

    Args:
        scales: mapping from a variable's path to the factor on its updates and its decay; 1 for the others. A
            Sequential network has other paths once it is loaded from a file; a functional one keeps them.
    """

    def __init__(self, *args, scales=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.scales = dict(scales or {})

    def build(self, variables):
        if self.built:
            return
        paths = [path_of(variable) for variable in variables]
        if self.scales and not any(path in self.scales for path in paths):
            raise ValueError(
                f"expected scales to name variables, but it names none of the {len(paths)}, for example {paths[0]!r}; "
                "take them from layer_scales(model, decay)"
            )
        self._scales = [self.scales.get(path, 1.0) for path in paths]
        self._decays = [
            (self.weight_decay or 0.0) if decays(self, variable) and not re.search(NO_DECAY, path) else 0.0
            for variable, path in zip(variables, paths, strict=True)
        ]
        super().exclude_from_weight_decay(var_names=[""])  # all: `update_step` applies the decay with its factor
        super().build(variables)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Exclude variables, or those whose names contain one of some strings, from decay, besides biases and norms.

        Raises:
            ValueError: once the optimizer is built.
        """
        if self.built:
            raise ValueError("exclude_from_weight_decay came after the optimizer was built; call it before training")
        super().exclude_from_weight_decay(var_list, var_names)

    def apply(self, grads, trainable_variables=None):
        variables = trained_by(self) if trainable_variables is None else list(trainable_variables)
        # Adds up the parts of a row; other gradients do not change by a bit. Keras refuses a wrong number of gradients.
        pairs = zip(grads, variables, strict=False) if len(grads) == len(variables) else []
        dense = [
            ops.add(gradient, ops.zeros_like(variable)) if hasattr(gradient, "indices") else gradient
            for gradient, variable in pairs
        ]
        super().apply(dense or grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        learning_rate = ops.cast(learning_rate, "float32") * self._scales[index]
        if self._decays[index]:
            decay, rate = ops.cast(self._decays[index], variable.dtype), ops.cast(learning_rate, variable.dtype)
            self.assign_sub(variable, variable * decay * rate)  # Keras's order of factors, for the same bits
        self.step(gradient, variable, learning_rate)

    def step(self, gradient, variable, learning_rate):
        """The optimizer's own update."""
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return super().get_config() | {"scales": self.scales}


def path_of(variable):
    """Return the path of a variable; a plain `tf.Variable` has only a name, such as `bias:0`."""
    return getattr(variable, "path", None) or variable.name.partition(":")[0]


def _with_rates(name):
    kind = type(f"{name}LayerRates", (LayerRates, getattr(keras.optimizers, name)), {"__module__": __name__})
    return keras.saving.register_keras_serializable("kagglekit")(kind)


# Keras's optimizers with factors by layer.
WITH_RATES = {name: _with_rates(name) for name in ("Adam", "AdamW", "SGD", "Lamb", "Lion", "Muon")}


def layer_scales(model, decay, groups=12):
    """Return the factor of each weight: 1 in the head, falling by `decay` from group to group towards the pixels.

    The backbone's layers that have weights are cut into `groups` groups of equal size, whatever the network: the twelve
    blocks of a ViT-B, for which rates by depth are usually quoted, serve as a common measure.

    Args:
        model: a network with a layer `backbone`; without one, all its layers are cut into groups.
        decay: factor from a group to the one below it, more than 0 and at most 1; 0.9 is mild, 0.65 strong.
        groups: number of groups.

    Returns:
        Dict from a variable's path to its factor.

    Example:

    >>> from kagglekit.models.heads import build_classifier
    >>> model = build_classifier(3, backbone="small_cnn", weights=None, image_size=16)
    >>> scales = layer_scales(model, 0.5, groups=2)
    >>> scales["stage0_conv1/kernel"], scales["stage2_conv2/kernel"], scales["probabilities/kernel"]
    (0.25, 0.5, 1.0)

    Reference: Howard, Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018, section 3.2.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"expected decay above 0 and at most 1, got {decay}")
    backbone = next((layer for layer in model.layers if layer.name == "backbone"), model)
    layers = [layer for layer in flat_layers(backbone) if layer.weights]
    scales = {weight.path: 1.0 for weight in model.weights}
    for number, layer in enumerate(layers):
        depth = groups - number * groups // len(layers)
        scales |= {weight.path: decay**depth for weight in layer.weights}
    return scales
