"""Schedules in worked numbers, what decays, and how fast which layer learns."""

import keras
import numpy as np
import pytest

from kagglekit.models.heads import build_classifier
from kagglekit.models.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    Lookahead,
    WeightAverage,
    layer_scales,
    make_optimizer,
    make_schedule,
    precision_for,
)


def rates(steps, name="cosine", **options):
    """Learning rate of every step, and of the one after the last."""
    schedule = make_schedule(name, 0.1, steps, **options)
    return np.array([float(schedule(step)) for step in range(steps + 1)])


@pytest.mark.parametrize(
    ("steps", "warmup", "expected"),
    [
        # 10 steps up, 90 along 0.05 (1 + cos(pi t / 90)): the middle is 10 + 45, a third 10 + 30 (cos 60 degrees = 1/2)
        (100, 0.1, {0: 0.0, 5: 0.05, 10: 0.1, 40: 0.075, 55: 0.05, 70: 0.025, 100: 0.0}),
        (100, 0.0, {0: 0.1, 50: 0.05, 100: 0.0}),
        (60, 0.5, {0: 0.0, 15: 0.05, 30: 0.1, 40: 0.075, 60: 0.0}),
        (4, 0.1, {0: 0.1, 2: 0.05, 4: 0.0}),  # round(0.4) = 0 steps up
        (10, 1.0, {0: 0.0, 5: 0.05, 10: 0.1}),
        (1, 0.1, {0: 0.1, 1: 0.0}),
    ],
)
def test_the_rate_rises_linearly_and_falls_along_half_a_cosine(steps, warmup, expected):
    values = rates(steps, warmup=warmup)
    np.testing.assert_allclose([values[step] for step in expected], list(expected.values()), atol=1e-7)


@pytest.mark.parametrize("steps", [7, 100])
def test_the_rate_peaks_once_and_equals_the_formula(steps):
    values, rise = rates(steps, warmup=0.3), round(0.3 * steps)
    falling = np.arange(steps + 1 - rise) / (steps - rise)
    reference = np.concatenate([0.1 * np.arange(rise) / rise, 0.05 * (1 + np.cos(np.pi * falling))])
    np.testing.assert_allclose(values, reference, atol=1e-7)
    assert values.argmax() == rise


def test_kernels_decay_and_biases_scales_and_shifts_do_not():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(3, 3, name="beta_block"),  # only a weight's own name counts
            keras.layers.DepthwiseConv2D(3, name="bias"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="gamma"),
        ]
    )
    for weight in model.trainable_weights:
        weight.assign(np.full(weight.shape, 2.0))
    optimizer = make_optimizer("adamw", 0.1, weight_decay=0.5)
    # Without a gradient the decay alone is left: 2 (1 - rate x decay) = 2 (1 - 0.1 x 0.5) = 1.9
    optimizer.apply([weight * 0 for weight in model.trainable_weights], model.trainable_weights)
    expected = {"kernel": 1.9, "bias": 2.0, "gamma": 2.0, "beta": 2.0}
    assert {weight.name for weight in model.trainable_weights} == set(expected)
    for weight in model.trainable_weights:
        np.testing.assert_allclose(weight, np.full(weight.shape, expected[weight.name]), atol=1e-6, err_msg=weight.path)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("layer", "decays"), [("gem_power", False), ("ordinal_steps", False), ("dense", True)])
def test_a_pooling_s_power_and_cut_points_do_not_decay(name, layer, decays):
    with keras.name_scope(layer):
        weight = keras.Variable(np.full((3, 1), 2.0, "float32"), name="kernel")
    optimizer = make_optimizer(name, 0.1, weight_decay=0.5)
    optimizer.apply([keras.ops.zeros((3, 1))], [weight])
    np.testing.assert_allclose(weight, np.full((3, 1), 1.9 if decays else 2.0), atol=1e-6)


def test_the_first_step_is_the_learning_rate_against_the_gradients_sign():
    # Adam's first step, bias-corrected, is lr g / (|g| + eps) whatever g is (https://arxiv.org/abs/1412.6980)
    weight = keras.Variable([1.0, 1.0, 1.0], name="bias")
    optimizer = make_optimizer("adamw", 0.1)
    optimizer.apply([keras.ops.convert_to_tensor([4.0, -0.5, 0.0])], [weight])
    np.testing.assert_allclose(weight, [0.9, 1.1, 1.0], atol=1e-5)


def test_adamw_is_keras_own_to_the_last_bit():
    def trained(optimizer):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), keras.layers.LayerNormalization()])
        optimizer.build(model.trainable_variables)
        rng = np.random.default_rng(0)
        for _ in range(7):
            gradients = [rng.normal(size=weight.shape).astype("float32") for weight in model.trainable_variables]
            optimizer.apply([keras.ops.convert_to_tensor(value) for value in gradients])
        return model.get_weights()

    schedule = keras.optimizers.schedules.CosineDecay(0.0, 9, warmup_target=0.1, warmup_steps=1)
    plain = keras.optimizers.AdamW(schedule, weight_decay=0.01)
    plain.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    ours = make_optimizer("adamw", make_schedule("cosine", 0.1, steps=10), weight_decay=0.01)
    for expected, value in zip(trained(plain), trained(ours), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_the_melanoma_schedule_is_its_published_function():
    def published(epoch):  # C. Deotte, "Triple Stratified KFold with TFRecords", with 8 replicas of 32 images
        start, highest, lowest, ramp, decay = 0.000005, 0.00000125 * 8 * 32, 0.000001, 5, 0.8
        if epoch < ramp:
            return (highest - start) / ramp * epoch + start
        return (highest - lowest) * decay ** (epoch - ramp) + lowest

    schedule = make_schedule("exponential", 1.25e-6 * 8 * 32, steps=12 * 7, warmup=5 / 12, epochs=12)
    expected = [published(step // 7) for step in range(84)]
    np.testing.assert_allclose([float(schedule(step)) for step in range(84)], expected, rtol=1e-5)


def test_steps_and_one_cycle_in_worked_numbers():
    # 10 steps up, then a tenth after 30 and after 60 of the other 90
    steps = rates(100, "step", warmup=0.1)
    np.testing.assert_allclose(
        steps[[0, 5, 10, 39, 40, 69, 70, 99]], [0, 0.05, 0.1, 0.1, 1e-2, 1e-2, 1e-3, 1e-3], rtol=1e-5
    )
    cycle = rates(100, "one_cycle", warmup=0.3)
    np.testing.assert_allclose(cycle[[0, 15, 30, 65]], [0.004, 0.052, 0.1, 0.05], rtol=1e-3)
    assert cycle[100] == pytest.approx(0.1 / 25 / 1e4, abs=1e-8)
    np.testing.assert_allclose(rates(10, "constant", warmup=0.5), [0, 0.02, 0.04, 0.06, 0.08, *[0.1] * 6], rtol=1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.1), (7, 0.0), (7, 0.3), (40, 1.0)])
def test_no_schedule_passes_its_peak_or_falls_below_zero(name, steps, warmup):
    schedule = make_schedule(name, 0.1, steps, warmup=warmup, epochs=2)
    values = [schedule if isinstance(schedule, float) else float(schedule(step)) for step in range(steps + 3)]
    assert min(values) >= 0
    assert max(values) <= 0.1 + 1e-8
    if not isinstance(schedule, float):
        again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
        assert [float(again(step)) for step in range(steps + 3)] == values


def test_a_constant_rate_can_be_lowered_on_a_plateau():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(make_optimizer("sgd", make_schedule("constant", 0.1, 10, warmup=0.0)), loss="mse")
    lower = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=0, min_delta=1e9)
    model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=3, callbacks=[lower], verbose=0)
    assert float(model.optimizer.learning_rate) < 0.05


def weights_after(name, scales, steps=3, weight_decay=0.1):
    """Two equal weights after the same gradients; the first has the path `low/kernel`."""
    pair = []
    for layer in ("low", "high"):
        with keras.name_scope(layer):
            pair.append(keras.Variable(np.full((3, 2), 2.0, "float32"), name="kernel"))
    optimizer = make_optimizer(name, 0.01, weight_decay=weight_decay, scales=scales)
    for step in range(steps):
        gradient = keras.ops.convert_to_tensor(np.random.default_rng(step).normal(size=(3, 2)).astype("float32"))
        optimizer.apply([gradient, gradient], pair)
    return [np.asarray(weight) for weight in pair]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_scaled_layer_takes_the_scaled_step_and_decay(name):
    moved = [weight - 2 for weight in weights_after(name, {"low/kernel": 0.25}, steps=1)]
    # The first step starts from the same state: update and decay are both a quarter. Decay comes before the update, and
    # LAMB's and the decay's sizes follow the weight, which has moved less: second order in the rate.
    np.testing.assert_allclose(moved[0], 0.25 * moved[1], rtol=2e-3)
    still = weights_after(name, {"low/kernel": 0.0})
    assert (still[0] == 2).all()
    assert (still[1] != 2).any()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_scales_of_one_change_no_bit(name):
    plain, scaled = weights_after(name, None), weights_after(name, {"low/kernel": 1.0})
    np.testing.assert_array_equal(plain, scaled)


def test_scales_that_name_nothing_are_refused():
    with pytest.raises(
        ValueError, match="it names none of the 2, for example 'low/kernel'; take them from layer_scales"
    ):
        weights_after("adamw", {"backbone/kernel": 0.5})


def test_layers_learn_slower_the_nearer_they_are_to_the_pixels():
    model = build_classifier(3, backbone="small_cnn", weights=None, image_size=16)
    scales = layer_scales(model, 0.9)
    kernels = [weight.path for weight in model.trainable_weights if weight.path.endswith("kernel")]
    values = [scales[path] for path in kernels]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0.9**12)
    assert scales["probabilities/kernel"] == scales["probabilities/bias"] == 1
    assert set(scales) == {weight.path for weight in model.weights}
    with pytest.raises(ValueError, match="decay above 0 and at most 1, got 0"):
        layer_scales(model, 0)


def test_clipping_bounds_the_norm_of_all_gradients_together():
    pair = [keras.Variable([0.0, 0.0]), keras.Variable([0.0])]
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=1.0)
    ours = make_optimizer("sgd", 1.0, clip=1.0)
    assert ours.global_clipnorm == optimizer.global_clipnorm
    ours.momentum, ours.nesterov = 0.0, False
    ours.build(pair)
    ours.apply([keras.ops.convert_to_tensor([6.0, 0.0]), keras.ops.convert_to_tensor([8.0])])
    np.testing.assert_allclose(np.concatenate([np.asarray(weight) for weight in pair]), [-0.6, 0, -0.8], atol=1e-6)


def test_accumulated_batches_make_one_update_of_their_mean():
    weights = [keras.Variable(np.ones(3, "float32"), name="kernel") for _ in range(2)]
    gradients = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    by_two, whole = make_optimizer("adamw", 0.1, accumulate=2), make_optimizer("adamw", 0.1)
    for number in range(0, 6, 2):
        for gradient in gradients[number : number + 2]:
            by_two.apply([keras.ops.convert_to_tensor(gradient)], weights[:1])
        whole.apply([keras.ops.convert_to_tensor(gradients[number : number + 2].mean(axis=0))], weights[1:])
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-6)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_moving_average_counts_updates(accumulate):
    weight, path = keras.Variable([1.0], name="kernel"), [1.0]
    optimizer = make_optimizer("sgd", 0.1, ema=0.5, accumulate=accumulate)
    for _ in range(4 * accumulate):
        optimizer.apply([keras.ops.convert_to_tensor([1.0])], [weight])
        path.append(float(weight[0]))
    updates = path[accumulate::accumulate] if accumulate > 1 else path[1:]
    average = updates[0]
    for value in updates[1:]:
        average = 0.5 * average + 0.5 * value
    found = float(optimizer._model_variables_moving_average[0][0])
    if accumulate == 1:
        assert found == pytest.approx(average, abs=1e-6)
    else:  # the batches that an update still waits for have not moved the average towards it
        assert updates[-1] < found < path[0]
        assert optimizer.ema_momentum**accumulate == pytest.approx(0.5)


def test_averaged_weights_are_validated_and_saved(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 2)).astype("float32"), rng.normal(size=(32, 1)).astype("float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(make_optimizer("sgd", 0.05, ema=0.9), loss="mse", jit_compile=False)
    seen = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()[0].copy()))
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    model.fit(x, y, epochs=3, batch_size=8, callbacks=[swap, watch], verbose=0)
    average = np.asarray(model.optimizer._model_variables_moving_average[0])
    np.testing.assert_array_equal(seen[-1], average)
    np.testing.assert_array_equal(model.get_weights()[0], average)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(again.get_weights()[0], average)


def test_a_weight_average_is_the_mean_and_gives_the_own_weights_back():
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dense(2)])
    rng, average, moments = np.random.default_rng(0), WeightAverage(), []
    for _ in range(4):
        moments.append([rng.normal(size=weight.shape).astype("float32") for weight in model.get_weights()])
        model.set_weights(moments[-1])
        average.add(model)
    with average.in_place(model):
        for number, weight in enumerate(model.get_weights()):
            np.testing.assert_allclose(weight, np.mean([moment[number] for moment in moments], axis=0), atol=1e-6)
    for weight, own in zip(model.get_weights(), moments[-1], strict=True):
        np.testing.assert_array_equal(weight, own)
    with pytest.raises(ValueError, match="average is empty"), WeightAverage().in_place(model):
        pass


def test_lookahead_starts_from_the_weights_that_training_starts_from():
    # It may be built for one fold and used for the next, whose weights were set in the meantime.
    weight = keras.Variable([5.0])
    optimizer = Lookahead(make_optimizer("sgd", 0.1), sync_period=1, slow_step_size=0.5)
    optimizer.build([weight])
    weight.assign([1.0])
    optimizer.apply([keras.ops.convert_to_tensor([1.0])])
    # Nesterov's first step is 0.1 x (1 + 0.9); half of it stays
    assert float(weight[0]) == pytest.approx(1 - 0.19 / 2)


def test_precision_follows_the_device():
    assert precision_for("cpu") == "float32"
    assert precision_for("tpu") == "mixed_bfloat16"
    assert [precision_for("gpu", compute_capability=c) for c in (None, (6, 0), (7, 0), (12, 0))] == [
        "float32", "float32", "mixed_float16", "mixed_float16",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="expected device to be one of"):
        precision_for("npu")


def test_an_unknown_optimizer_or_schedule_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'adamw'"):
        make_optimizer("adamww", 0.1)
    with pytest.raises(ValueError, match="Did you mean 'cosine'"):
        make_schedule("cosin", 0.1, 10)


def test_lookahead_keeps_a_weight_s_constraint():
    # The half-way point of two vectors of length 1 is shorter.
    layer = keras.layers.Dense(1, use_bias=False, kernel_constraint=keras.constraints.UnitNorm(axis=0))
    layer.build((None, 2))
    layer.kernel.assign([[1.0], [0.0]])
    optimizer = Lookahead(make_optimizer("sgd", 1.0), sync_period=1)
    optimizer.apply([keras.ops.convert_to_tensor([[0.0], [1.0]])], [layer.kernel])
    assert float(keras.ops.norm(layer.kernel)) == pytest.approx(1, abs=1e-5)


NAMES = [*OPTIMIZERS, "lookahead"]


def any_optimizer(name, rate=0.1, **options):
    if name == "lookahead":
        return Lookahead(make_optimizer("adamw", rate, **options), sync_period=2)
    return make_optimizer(name, rate, **options)


def pair_of_kernels(shape=(3, 2)):
    """Two equal variables with the paths `low/kernel` and `high/table`."""
    pair = []
    for layer, own in (("low", "kernel"), ("high", "table")):
        with keras.name_scope(layer):
            pair.append(keras.Variable(np.full(shape, 2.0, "float32"), name=own))
    return pair


def by_rows(values, rows):
    """A gradient as that of an embedding comes: a part for each row that the batch saw."""
    import tensorflow as tf

    return tf.IndexedSlices(tf.constant(values), tf.constant(rows), dense_shape=tf.constant([4, 2]))


@pytest.mark.parametrize("name", NAMES)
def test_an_embedding_takes_the_step_of_its_whole_gradient(name):
    scales = {"low/kernel": 0.5}
    for options in ({}, {"clip": 0.1}, {"ema": 0.5}, {"accumulate": 2}, {"scales": scales}, {"weight_decay": 0.1}):
        pairs, states = [], []
        for dense in (False, True):
            rng, pair = np.random.default_rng(0), pair_of_kernels((4, 2))
            optimizer = any_optimizer(name, **options)
            for _ in range(4):
                rows = rng.integers(0, 3, 5)  # some twice, the last never
                gradient = by_rows(rng.normal(size=(5, 2)).astype("float32"), rows)
                other = keras.ops.convert_to_tensor(rng.normal(size=(4, 2)).astype("float32"))
                if dense:
                    gradient = np.stack([gradient.values.numpy()[rows == row].sum(axis=0) for row in range(4)])
                optimizer.apply([keras.ops.convert_to_tensor(gradient) if dense else gradient, other], pair)
            pairs.append([np.asarray(weight) for weight in pair])
            states.append([np.asarray(value) for value in optimizer.variables])
        np.testing.assert_allclose(*pairs, atol=1e-5, err_msg=str(options))
        for one, other in zip(*states, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=str(options))


# A traced step takes seconds: the one that crashed every day.
@pytest.mark.parametrize(
    ("name", "policy"),
    [("radam", "float32"), *[pytest.param(name, "mixed_float16", marks=pytest.mark.slow) for name in NAMES]],
)
def test_a_network_with_an_embedding_learns(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((), dtype="int32")
        x = keras.layers.Embedding(4, 3)(inputs)
        model = keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(x))
        rate = {"sgd": 0.01, "lion": 0.02}.get(name, 0.05)
        model.compile(any_optimizer(name, rate, weight_decay=1e-4, clip=1.0), loss="mse", jit_compile=False)
        numbers = np.arange(32) % 4
        history = model.fit(numbers, 1.0 * numbers, batch_size=16, epochs=30, verbose=0).history["loss"]
        average = WeightAverage()
        average.add(model)
        with average.in_place(model):
            assert float(model.evaluate(numbers, 1.0 * numbers, verbose=0)) < history[0]
    finally:
        keras.config.set_dtype_policy("float32")
    assert history[-1] < 0.7 * history[0]


@pytest.mark.parametrize("name", NAMES)
def test_variables_that_are_excluded_from_weight_decay_do_not_decay(name):
    for chosen, expected in [
        ({}, [1.9, 1.9]),
        ({"var_names": ["tab"]}, [1.9, 2.0]),
        ({"var_names": ["kernel", "table"]}, [2.0, 2.0]),
        ({"var_list": [0]}, [2.0, 1.9]),
        ({"var_list": [0], "var_names": ["table"]}, [2.0, 2.0]),
    ]:
        pair = pair_of_kernels()
        if "var_list" in chosen:
            chosen = chosen | {"var_list": [pair[number] for number in chosen["var_list"]]}
        optimizer = any_optimizer(name, weight_decay=0.5)
        if chosen:
            optimizer.exclude_from_weight_decay(**chosen)
        optimizer.apply([keras.ops.zeros((3, 2))] * 2, pair)
        for weight, value in zip(pair, expected, strict=True):
            np.testing.assert_allclose(weight, np.full((3, 2), value), atol=1e-6, err_msg=str(chosen))
        with pytest.raises(ValueError, match="came after the optimizer was built; call it before training"):
            optimizer.exclude_from_weight_decay(var_names=["kernel"])


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_variable_of_tensorflow_takes_the_step_of_one_of_keras(name):
    import tensorflow as tf

    for own, shape in [("kernel", (3, 2)), ("bias", (3,))]:
        gradient = tf.constant(np.random.default_rng(0).normal(size=shape).astype("float32"))
        plain = tf.Variable(np.full(shape, 2.0, "float32"), name=own)
        optimizer = any_optimizer(name, weight_decay=0.5, clip=1.0)
        if name == "muon" and len(shape) == 2:  # Keras's looks for embeddings by their path
            with pytest.raises(AttributeError, match="path"):
                keras.optimizers.Muon(0.1).build([plain])
            continue
        weight = keras.Variable(np.full(shape, 2.0, "float32"), name=own)
        other = any_optimizer(name, weight_decay=0.5, clip=1.0)
        for _ in range(2):
            optimizer.apply([gradient], [plain])
            other.apply([gradient], [weight])
        np.testing.assert_array_equal(plain, weight, err_msg=own)


def test_lookahead_hands_on_what_belongs_to_the_optimizer_inside():
    weight = keras.Variable([1.0], name="kernel")
    optimizer = Lookahead(make_optimizer("sgd", 0.1, ema=0.5, accumulate=2), sync_period=2)
    path = []
    for _ in range(8):
        optimizer.apply([keras.ops.convert_to_tensor([1.0])], [weight])
        path.append(float(weight[0]))
    # Pulled half-way back to the start after the second and the fourth update, which are the 4th and 8th batch
    inside = make_optimizer("sgd", 0.1, accumulate=2)
    other, slow, expected = keras.Variable([1.0], name="kernel"), 1.0, []
    for batch in range(8):
        inside.apply([keras.ops.convert_to_tensor([1.0])], [other])
        if batch in (3, 7):
            slow = (slow + float(other[0])) / 2
            other.assign([slow])
        expected.append(float(other[0]))
    np.testing.assert_allclose(path, expected, atol=1e-6)
    assert int(optimizer.iterations) == 4
    optimizer.finalize_variable_values([weight])
    assert float(weight[0]) > path[-1]  # the average, as at the end of a fit
    scaled = Lookahead(keras.optimizers.SGD(0.1, loss_scale_factor=8.0))
    assert float(scaled.scale_loss(keras.ops.convert_to_tensor(2.0))) == 16
