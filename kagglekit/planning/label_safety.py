"""Which ops of a policy remove what tells the classes apart: a network predicts images before and after each."""

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from kagglekit.augment import OPS, check_policy
from kagglekit.inference.traced import inference
from kagglekit.pipeline.metadata import check_no_metadata
from kagglekit.pipeline.samples import Samples

_TRIES = 16  # draws until an op that is applied by chance changes the image
_MIN_IMAGES = 5  # a class with fewer images is not judged
_TURNED_SHARE = 0.3  # share of a class that turns into one other class
_HARD_SHARE = 0.15  # loss of confidence, or share of changed predictions


def label_safety(run, *, policy=None, fold=None, rows=500, seed=0):
    """Compare a run's predictions of held-out images before and after each op of a policy, one op at a time.

    An op that turns images of one class into another (left and right hands under `flip_horizontal`, ripe and unripe
    fruit under `hue`, 6 and 9 under a half turn) teaches wrong labels. One that only makes the network less sure may
    just be unfamiliar. The answer is clearest from a run that was trained without the op: a network that was trained
    with it has been taught not to see the difference.

    Args:
        run: a `Run` with a finished fold, of one label a row.
        policy: key of `kagglekit.augment.POLICIES`, or a list of `(op, strength)` pairs. Defaults to that of the
            run's recipe, times its `augment_strength`. Ops that have a chance are applied to every image.
        fold: number of the fold whose held-out images its network predicts. Defaults to the first finished one.
        rows: largest number of images, evenly spread over the fold.
        seed: integer that fixes what is drawn.

    Returns:
        DataFrame with a line for each op: `op`, `strength`, `rows` (images that it changed), `confidence_before` and
        `confidence_after` (mean probability of the true class), `changed` (share of the images whose predicted class
        changes), `worst_class` (the one that loses most confidence, of those with 5 images or more) with
        `worst_before` and `worst_after`, `becomes` (`"6 -> 9"`: the class that correctly predicted images of one class
        turn into, more often than those of other classes do) with its share `turned`, and `verdict`.
        `attrs["verdict"]` sums up.

    Raises:
        ValueError: if the run has no finished fold, another task or metadata columns, if the policy is empty, or if the
            images have changed.
    """
    recipe, info = run.recipe, run.info
    if not run.task.one_label:
        raise ValueError(f"label_safety needs one label a row, but {run.name} has the task {run.task!r}")
    check_no_metadata(recipe, "label_safety")
    fold = run.finished_folds[0] if fold is None and run.finished_folds else fold
    if fold not in run.finished_folds:
        raise ValueError(f"{run.name} has no network of fold {fold}; finished folds: {run.finished_folds}")
    ops = check_policy(recipe.policy if policy is None else policy)
    strength = recipe.augment_strength if policy is None else 1.0
    if not ops or not strength:
        raise ValueError(
            "the policy changes nothing, so there is nothing to check; pass policy='standard' or a list of ops"
        )
    samples, infer, class_names = Samples(run.records(), recipe, fold), inference(run.model(fold)), info["class_names"]
    row_numbers = samples.spread(rows)
    before, after = _probabilities_before_and_after(samples, infer, row_numbers, (ops, strength), seed)
    labels, lines = samples.index["label"][row_numbers], []
    for (op, value), probabilities in zip(ops, after, strict=True):
        changed = ~np.isnan(probabilities[:, 0])
        line = {"op": op, "strength": OPS[op].scaled(value, strength), "rows": int(changed.sum())}
        if changed.any():
            line |= _compare_probabilities(before[changed], probabilities[changed], labels[changed], class_names)
        line["verdict"] = _verdict(line)
        lines.append(line)
    table = pd.DataFrame(lines)
    verdicts = [line["verdict"].partition(": ") for line in lines]
    unsafe = [
        f"{line['op']} ({why})"
        for line, (kind, _, why) in zip(lines, verdicts, strict=True)
        if kind.startswith("leave")
    ]
    hard = [line["op"] for line, (kind, *_) in zip(lines, verdicts, strict=True) if kind.startswith("hard")]
    summary = f"leave out or lower {', '.join(unsafe)}" if unsafe else "no op turns one class into another"
    table.attrs["verdict"] = summary + (f"; hard on this network: {', '.join(hard)}" if hard else "")
    return table


def _probabilities_before_and_after(samples, infer, row_numbers, policy, seed):
    """Probabilities of the plain rows `(rows, classes)`, and after each op `(ops, rows, classes)`, NaN if unchanged."""
    ops, strength = policy
    before, after = [], [[] for _ in ops]
    rngs = [np.random.default_rng(seed) for _ in ops]
    size = samples.recipe.batch_size
    for start in tqdm(range(0, len(row_numbers), size), desc="checking each op", unit="batch", leave=False):
        batch = row_numbers[start : start + size]
        plain = np.stack([samples.evaluated(position) for position in batch])
        before.append(infer(plain).numpy())
        for op, rng, probabilities in zip(ops, rngs, after, strict=True):
            images = [
                _changed_image(samples, *row_and_plain, [op], rng, strength)
                for row_and_plain in zip(batch, plain, strict=True)
            ]
            changed = [position for position, image in enumerate(images) if image is not None]
            probabilities.append(np.full_like(before[-1], np.nan))
            if changed:
                probabilities[-1][changed] = infer(np.stack([images[position] for position in changed])).numpy()
    return np.concatenate(before), np.stack([np.concatenate(probabilities) for probabilities in after])


def _changed_image(samples, number, plain, ops, rng, strength):
    """The image after the ops, or None if no draw changes it."""
    for _ in range(_TRIES):
        image = samples.augmented(number, ops, rng, strength)
        if samples.differ(image, plain):
            return image
    return None


def _compare_probabilities(before, after, labels, class_names):
    """Measure what an op did to the probabilities `(rows, classes)` of images with these labels."""
    rows, classes = np.arange(len(labels)), len(class_names)
    counts = np.bincount(labels, minlength=classes)
    class_means = [
        np.bincount(labels, values[rows, labels], minlength=classes) / np.maximum(counts, 1)
        for values in (before, after)
    ]
    confidence_loss = np.where(counts >= _MIN_IMAGES, class_means[0] - class_means[1], -np.inf)
    worst_class = int(confidence_loss.argmax())
    predicted_before, predicted_after = before.argmax(axis=1), after.argmax(axis=1)
    right = predicted_before == labels
    turn_counts = np.zeros((classes, classes))
    np.add.at(turn_counts, (labels[right], predicted_after[right]), 1)
    np.fill_diagonal(turn_counts, 0)
    right_counts = np.bincount(labels[right], minlength=classes)
    shares = turn_counts / np.maximum(right_counts, _MIN_IMAGES)[:, None]
    # A class that all others turn into is only where the network puts images that it does not recognise
    elsewhere = (shares.sum(axis=0) - shares) / max(np.count_nonzero(right_counts) - 2, 1)
    origin, destination = np.unravel_index((shares - elsewhere).argmax(), shares.shape)
    has_judged_class = np.isfinite(confidence_loss[worst_class])
    return {
        "confidence_before": float(before[rows, labels].mean()),
        "confidence_after": float(after[rows, labels].mean()),
        "changed": float((predicted_before != predicted_after).mean()),
        "worst_class": class_names[worst_class] if has_judged_class else "",
        "worst_before": float(class_means[0][worst_class]) if has_judged_class else np.nan,
        "worst_after": float(class_means[1][worst_class]) if has_judged_class else np.nan,
        "becomes": f"{class_names[origin]} -> {class_names[destination]}" if shares[origin, destination] else "",
        "turned": float(shares[origin, destination]),
        "beyond": float(shares[origin, destination] - elsewhere[origin, destination]),
    }


def _verdict(line):
    if not line["rows"]:
        return "did nothing to these images"
    if line.pop("beyond") >= _TURNED_SHARE:
        return f"leave it out or lower it: {line['turned']:.0%} of {line['becomes'].replace(' -> ', ' become ')}"
    if max(line["confidence_before"] - line["confidence_after"], line["changed"]) >= _HARD_SHARE:
        return f"hard on this network: {line['changed']:.0%} change their class, of no class in particular"
    return "good"
