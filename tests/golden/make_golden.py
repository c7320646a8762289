"""Write what tensorflow-addons 0.23.0 computes into addons.npz, for tests of the kit's equivalents.

tensorflow-addons ended in May 2024 and does not import beside Keras 3, so it gets an environment of its own:

    python3.11 -m venv golden
    golden/bin/pip install tensorflow==2.15.1 tensorflow-addons==0.23.0 "numpy<2"
    golden/bin/python tests/golden/make_golden.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

STEPS = 14
RNG = np.random.default_rng(0)
SGD, ADAM = tf.keras.optimizers.legacy.SGD, tf.keras.optimizers.legacy.Adam


def losses_and_metrics():
    logits = (2 * RNG.normal(size=(30, 6))).astype("float32")
    numbers = RNG.integers(0, 6, 30)
    hot, soft = np.eye(6, dtype="float32")[numbers], RNG.dirichlet(np.ones(6), 30).astype("float32")
    labels = RNG.integers(0, 2, (30, 6)).astype("float32")
    probabilities = tf.nn.softmax(logits).numpy()
    certainties = tf.sigmoid(logits).numpy()
    rows = tf.keras.losses.Reduction.NONE
    kappa = {}
    for weightage in ("linear", "quadratic"):
        metric = tfa.metrics.CohenKappa(6, weightage=weightage, sparse_labels=True)
        metric.update_state(numbers, probabilities)
        kappa[f"kappa_{weightage}"] = metric.result().numpy()
    scores = {}
    for average in ("macro", "micro", None):
        metric = tfa.metrics.F1Score(6, average=average)
        metric.update_state(hot, probabilities)
        scores[f"f1_{average}"] = metric.result().numpy()
        metric = tfa.metrics.F1Score(6, average=average, threshold=0.5)
        metric.update_state(labels, certainties)
        scores[f"f1_labels_{average}"] = metric.result().numpy()
    return {
        "logits": logits, "numbers": numbers, "soft": soft, "labels": labels,
        "sparsemax": tfa.activations.sparsemax(logits).numpy(),
        "sparsemax_loss_hard": tfa.losses.SparsemaxLoss(reduction=rows)(hot, logits).numpy(),
        "sparsemax_loss_soft": tfa.losses.SparsemaxLoss(reduction=rows)(soft, logits).numpy(),
        "focal": tfa.losses.SigmoidFocalCrossEntropy()(labels, certainties).numpy(),
        "focal_logits": tfa.losses.SigmoidFocalCrossEntropy(from_logits=True, alpha=0.4, gamma=1.5)(
            labels, logits).numpy(),
        "kappa_loss": tfa.losses.WeightedKappaLoss(6)(hot, probabilities).numpy(),
        **kappa, **scores,
    }  # fmt: skip


def trained(make, weights, gradients, after=None):
    """Return the weights after every step with the recorded gradients: (steps, ...) for each weight."""
    variables = [tf.Variable(weight, name=f"weight{number}") for number, weight in enumerate(weights)]
    optimizer, path = make(variables), []
    for step in gradients:
        optimizer.apply_gradients(zip(map(tf.constant, step), variables, strict=True))
        path.append([variable.numpy() for variable in variables])
    if after:
        after(optimizer, variables)
        return [variable.numpy() for variable in variables]
    return [np.stack(values) for values in zip(*path, strict=True)]


def several(variables):
    """A slow optimizer for the first weight and a fast one for the second, as its own layers-and-optimizers list."""
    optimizer = tfa.optimizers.MultiOptimizer(
        [(ADAM(1e-3), tf.keras.layers.Layer()), (ADAM(1e-2), tf.keras.layers.Layer())]
    )
    for spec, variable in zip(optimizer.optimizer_specs, variables, strict=True):
        spec["weights"] = [variable.name]
    return optimizer


def optimizers():
    weights = [RNG.normal(size=(4, 3)).astype("float32"), RNG.normal(size=(3,)).astype("float32")]
    gradients = [[RNG.normal(size=weight.shape).astype("float32") for weight in weights] for _ in range(STEPS)]
    made = {
        "lamb": trained(lambda _: tfa.optimizers.LAMB(0.01), weights, gradients),
        "radam": trained(lambda _: tfa.optimizers.RectifiedAdam(0.01), weights, gradients),
        "lookahead": trained(lambda _: tfa.optimizers.Lookahead(SGD(0.1), sync_period=4), weights, gradients),
        "lookahead_adam": trained(lambda _: tfa.optimizers.Lookahead(ADAM(0.01)), weights, gradients),
        "swa": trained(
            lambda _: tfa.optimizers.SWA(SGD(0.1), start_averaging=4, average_period=3), weights, gradients,
            after=lambda optimizer, variables: optimizer.assign_average_vars(variables),
        ),
        "multi": trained(several, weights, gradients),
    }  # fmt: skip
    made |= {"weights": weights, "gradients": [np.stack(values) for values in zip(*gradients, strict=True)]}
    return {f"{name}_{number}": values for name, both in made.items() for number, values in enumerate(both)}


def pictures():
    """Operations on one 24x32 picture of waves, uint8; bilinear where it applies, zeros from outside."""
    y, x = np.mgrid[0:24, 0:32] / 5
    picture = np.stack([np.sin(x + y), np.cos(x - 2 * y), np.sin(3 * x)], axis=-1)
    picture = np.clip(120 + 80 * picture + 10 * RNG.normal(size=picture.shape), 0, 255).astype("uint8")
    tensor, smooth = tf.constant(picture), {"interpolation": "bilinear"}
    return {
        "picture": picture,
        "rotate": tfa.image.rotate(tensor, np.deg2rad(20.0), **smooth).numpy(),  # counter-clockwise
        "rotate_nearest": tfa.image.rotate(tensor, np.deg2rad(20.0)).numpy(),
        "translate": tfa.image.translate(tensor, [5.0, -3.0]).numpy(),  # 5 to the right, 3 up
        "translate_part": tfa.image.translate(tensor, [2.5, 1.25], **smooth).numpy(),
        "shear_x": tfa.image.shear_x(tensor, 0.3, 0).numpy(),
        "shear_y": tfa.image.shear_y(tensor, 0.3, 0).numpy(),
        "cutout": tfa.image.cutout(tensor[None], (8, 6), offset=(10, 20), constant_values=7).numpy()[0],
        "equalize": tfa.image.equalize(tensor).numpy(),
        "sharpness": tfa.image.sharpness(tensor, 1.8).numpy(),
        "blur": tfa.image.sharpness(tensor, 0.0).numpy(),
    }


if __name__ == "__main__":
    target = Path(__file__).with_name("addons.npz")
    np.savez_compressed(target, **losses_and_metrics(), **optimizers(), **pictures())
    print(f"{target}: {target.stat().st_size} bytes")
