"""What stands on Keras's private attributes: that they stand in one file, and that Keras still means what it meant."""

import ast
import functools
import random
import re
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

import kagglekit
from kagglekit.models.heads import add_head, build_extractor
from kagglekit.models.keras_graph import calls, has_logits, mark_average_in_network, seeds_from, source_of
from kagglekit.models.optimizers import make_optimizer

# Protected names that Keras's own documentation of writing an optimizer uses, and those that named tuples document.
DOCUMENTED = {"_get_variable_index", "_fields", "_make", "_asdict", "_replace"}


@functools.cache
def private_names_of_keras():
    """Names with one underscore in front that objects of Keras carry, from objects of each kind that we handle."""
    layer = keras.layers.Dense(2)
    outputs = layer(keras.Input((3,)))
    optimizer = keras.optimizers.Adam(use_ema=True, gradient_accumulation_steps=2)
    optimizer.build(layer.trainable_variables)
    model = keras.Model(layer.input, outputs)
    model.compile(optimizer, loss="mse")
    things = [
        layer, outputs, layer._inbound_nodes[0], optimizer, model, layer.kernel, keras.losses.Huber(),
        keras.callbacks.SwapEMAWeights(), keras.initializers.HeNormal(), keras.random.SeedGenerator(0),
    ]  # fmt: skip
    found = {name for thing in things for name in [*dir(thing), *vars(thing)]}
    return {name for name in found if re.fullmatch(r"_[a-z]\w*", name)} | {"_keras_logits", "_keras_history"}


def private_uses(path, own_objects):
    """Lines of a file that use a private attribute of another object, or one of Keras's of `self`, or `keras.src`."""
    private, found = private_names_of_keras() - DOCUMENTED, []
    tree = ast.parse(path.read_text("utf-8"))
    methods = [part for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for part in node.body]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.fullmatch(r"_[a-z]\w*", node.attr):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if node.attr not in DOCUMENTED and (not own or (own_objects and node.attr in private)):
                found.append((path.name, node.lineno, node.attr))
        elif isinstance(node, ast.FunctionDef) and node in methods and own_objects and node.name in private:
            found.append((path.name, node.lineno, node.name))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras.src"):
            found.append((path.name, node.lineno, node.module))
    return found


def test_private_attributes_of_keras_are_used_in_one_file():
    package = Path(kagglekit.__file__).parent
    graph = package / "models" / "keras_graph.py"
    assert {"_inbound_nodes", "_ema_weights_in_model"} <= {name for _, _, name in private_uses(graph, True)}
    paths = sorted(set(package.rglob("*.py")) - {graph})
    # Classes of ours that are Keras's as well stand in models/ and in callbacks.py
    ours = [path.parts[len(package.parts)] == "models" or path.name == "callbacks.py" for path in paths]
    assert [use for path, own in zip(paths, ours, strict=True) for use in private_uses(path, own)] == []


def test_calls_are_those_of_the_graph_with_their_plain_arguments():
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(3, 3, padding="same")
    outputs = layer(layer(inputs))[:, 2:] * 0.5
    first, second = calls(layer)
    assert first.inputs[0] is inputs
    assert second.inputs[0] is first.outputs[0]
    assert first.constants == []
    assert source_of(second.outputs[0]) is layer
    product = source_of(outputs)
    assert calls(product)[0].constants == [0.5]
    assert any(isinstance(value, slice) for value in calls(source_of(calls(product)[0].inputs[0]))[0].constants)
    (start,) = calls(source_of(inputs))
    assert start.inputs == []


def test_keras_remembers_the_logits_of_a_softmax():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends do not")
    logits = keras.ops.convert_to_tensor([[1.0, 2.0]])
    assert has_logits(keras.activations.softmax(logits))
    assert has_logits(keras.activations.sigmoid(logits))
    assert not has_logits(keras.ops.exp(logits))


def test_training_goes_on_with_the_average_in_the_network():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(make_optimizer("sgd", 0.0, ema=0.5), loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer._model_variables_moving_average[0].assign([[5.0]])  # the weight itself, after a swap
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    mark_average_in_network(swap)
    seen, kernel = [], model.layers[0].kernel
    watch = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda *_, **__: seen.append(float(kernel[0, 0])))
    model.fit(np.ones((1, 1)), np.ones((1, 1)), callbacks=[swap, watch], verbose=0)
    assert seen == [5.0]


def network(between):
    """A network of our layers and Keras's, with something done between them, and its dropout's seeds."""
    extractor = build_extractor("small_cnn", weights=None, image_size=16)
    between()
    model = add_head(extractor, 3, head={"multi_dropout": 2})
    between()
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3, kernel_initializer=lambda shape, dtype: keras.random.normal(shape, dtype=dtype))(inputs)
    between()
    x = keras.layers.GaussianNoise(0.1)(x)
    own = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="orthogonal")(x))
    return [weight.numpy() for weight in [*model.variables, *own.variables]]


def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_initial_weights_depend_on_the_seed_alone_whatever_other_threads_draw():
    def built(seed, between=lambda: None):
        with seeds_from(seed):
            return network(between)

    expected = built(3)
    for between in (random.random, lambda: in_a_thread(random.random), lambda: in_a_thread(lambda: built(5))):
        for one, other in zip(expected, built(3, between), strict=True):
            np.testing.assert_array_equal(one, other)
    assert sum(not np.array_equal(one, other) for one, other in zip(expected, built(4), strict=True)) > 10


def test_seeds_are_those_that_keras_gives_a_process_of_one_thread():
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    expected = network(lambda: None)
    keras.utils.clear_session()
    with seeds_from(7):
        found = network(lambda: None)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_outside_of_the_block_keras_draws_as_ever():
    def drawn():
        return keras.initializers.HeNormal().seed, float(keras.random.uniform(()))

    keras.utils.set_random_seed(1)
    expected = [drawn(), drawn()]
    keras.utils.set_random_seed(1)
    first = drawn()
    with seeds_from(0):
        inside = drawn()
    assert [first, drawn()] == expected
    assert inside not in expected
