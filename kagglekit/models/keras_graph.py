"""What Keras knows but does not make public: all uses of its private attributes are in this module.

Written for Keras 3.13 to 3.15; `tests/models/test_keras_graph.py` shows which of them a new version breaks.
"""

import contextlib
import contextvars
import random
from typing import NamedTuple

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random import seed_generator

_CONSTANT_TYPES = (int, float, str, slice, np.ndarray)


class Call(NamedTuple):
    """One call of a layer, operation or nested network in a functional graph.

    Attributes:
        inputs, outputs: Keras tensors.
        constants: the other arguments that are numbers, strings, slices or arrays.
    """

    inputs: list
    outputs: list
    constants: list


def calls(operation):
    """Return the calls of a layer, operation or nested network, oldest first: a list of `Call`.

    Keras's public `layer.input` and `layer.output` only work for a layer that was called once. The list holds the calls
    in all networks that the layer is part of.

    Example:

    >>> inputs = keras.Input((4,))
    >>> layer = keras.layers.Dense(2)
    >>> outputs = layer(inputs)
    >>> [(call.inputs[0].shape, call.outputs[0].shape) for call in calls(layer)]
    [((None, 4), (None, 2))]
    """
    all_calls = []
    for node in operation._inbound_nodes:
        values = keras.tree.flatten([node.arguments.args, node.arguments.kwargs])
        constants = [value for value in values if isinstance(value, _CONSTANT_TYPES)]
        all_calls.append(Call(list(node.input_tensors), list(node.output_tensors), constants))
    return all_calls


def source_of(tensor):
    """Return the layer or operation that a Keras tensor comes from."""
    return tensor._keras_history.operation


def has_logits(tensor):
    """Return whether Keras knows the logits behind some probabilities; it then computes a cross-entropy from them."""
    return hasattr(tensor, "_keras_logits")


def mark_average_in_network(callback):
    """Tell a `keras.callbacks.SwapEMAWeights` that the network holds the average of its weights already.

    Needed where training resumes from a checkpoint that was saved after the swap.
    """
    callback._ema_weights_in_model = True


def trained_by(optimizer):
    """Return the variables that an optimizer was built on, in order."""
    return optimizer._trainable_variables


def decays(optimizer, variable):
    """Return whether a variable decays: not if `optimizer.exclude_from_weight_decay` has excluded it."""
    return optimizer._use_weight_decay(variable)


def clear_session():
    """Clear Keras's session and keep the global dtype policy, which `keras.utils.clear_session` resets."""
    policy = keras.config.dtype_policy()
    keras.utils.clear_session()
    keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def precision(policy):
    """Set this thread's Keras dtype policy within the block; new threads and processes start with float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


_block_random = contextvars.ContextVar("kagglekit_own_seeds", default=None)


class _RandomModule:
    """Replaces Python's `random` in `keras.src.random.seed_generator`: draws as `seeds_from` says within its block."""

    def randint(self, low, high):
        return (_block_random.get() or random).randint(low, high)

    def __getattr__(self, name):
        return getattr(random, name)


@contextlib.contextmanager
def seeds_from(seed):
    """Within the block, initializers and layers without a seed of their own get one that follows from `seed` alone.

    An initializer or a Dropout that is made with `seed=None` draws one from Python's global `random`, in every version
    of Keras 3. `keras.utils.set_random_seed` seeds that, but the other threads of a process, such as those of a Dask
    worker, draw from it too, so that the same recipe gave other weights from run to run. Here the seeds come from a
    generator of this thread's own. They are those that `set_random_seed(seed)` leads to in a process of one thread.

    It works for networks of Keras and keras-hub and for your own. It does not reach layers that draw their weights from
    `numpy.random` or `tf.random` themselves.

    Args:
        seed: integer.

    Example:

    >>> def first_weight():
    ...     with seeds_from(3):
    ...         layer = keras.layers.Dense(1)
    ...         random.random()  # as another thread may, at any time
    ...         other = keras.layers.Dense(1)
    ...     other.build((None, 1))
    ...     return float(other.kernel[0, 0])
    >>> first_weight() == first_weight()
    True
    """
    if seed_generator.python_random is random:
        seed_generator.python_random = _RandomModule()  # never undone: other threads may be about to use it
    token = _block_random.set(random.Random(seed))
    # `keras.random` without a seed draws from this generator, one per thread, and makes it where there is none
    previous_generator = global_state.get_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR)
    global_state.set_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR, None)
    try:
        yield
    finally:
        global_state.set_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR, previous_generator)
        _block_random.reset(token)
