"""Which ops of a policy take away what tells the classes apart: a network is asked before and after each."""

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from kagglekit.augment import OPS, check_policy
from kagglekit.inference.traced import inference
from kagglekit.pipeline.metadata import check_no_metadata
from kagglekit.pipeline.samples import Samples

_TRIES = 16  # draws until an op with a chance does something
_FEWEST = 5  # images of a class before it is judged
_TURNED = 0.3  # share of a class that becomes one other class
_HARD = 0.15  # loss of confidence, or share of changed predictions


def label_safety(run, *, policy=None, fold=None, rows=500, seed=0):
    """Ask a run's network what held-out images are before and after each op of a policy, each op by itself.

    An op that turns images of one class into another (left and right hands under `flip_horizontal`, ripe and unripe
    fruit under `hue`, 6 and 9 under a half turn) teaches wrong labels. One that only makes the network less sure may
    be just unfamiliar. The answer is plainest from a run that was trained without the op: a network that was trained
    with it has been taught not to see the difference.

    Args:
        run: a `Run` with a finished fold, of one label a row.
        policy: key of `kagglekit.augment.POLICIES`, or a list of `(op, strength)` pairs. Defaults to that of the
            run's recipe, times its `augment_strength`. Ops that have a chance are applied to every image.
        fold: number of the fold whose held-out images are shown to its network. Defaults to the first finished one.
        rows: images to ask about, at most, evenly spread over the fold.
        seed: integer that fixes what is drawn.

    Returns:
        DataFrame with a line for each op: `op`, `strength`, `rows` (images that it changed), `confidence_before` and
        `confidence_after` (mean probability of the true class), `changed` (share of the images whose predicted class
        is another one), `worst_class` (that loses most confidence, of those with 5 images or more) with
        `worst_before` and `worst_after`, `becomes` (`"6 -> 9"`: what images of one class, right before, turn into
        more often than the other classes do) with its share `turned`, and `verdict`. `attrs["verdict"]` sums up.

    Raises:
        ValueError: if the run has no finished fold, another task or columns of metadata, the policy is empty, or the
            images have changed.
    """
    recipe, info = run.recipe, run.info
    if not run.task.one_label:
        raise ValueError(f"label_safety is for one label a row, {run.name} is of the task {run.task!r}")
    check_no_metadata(recipe, "label_safety")
    fold = run.finished_folds[0] if fold is None and run.finished_folds else fold
    if fold not in run.finished_folds:
        raise ValueError(f"{run.name} has no network of fold {fold}; finished folds: {run.finished_folds}")
    ops = check_policy(recipe.policy if policy is None else policy)
    strength = recipe.augment_strength if policy is None else 1.0
    if not ops or not strength:
        raise ValueError(
            "the policy changes nothing, so nothing can be checked; pass policy='standard' or a list of ops"
        )
    samples, infer, names = Samples(run.records(), recipe, fold), inference(run.model(fold)), info["class_names"]
    numbers = samples.spread(rows)
    before, after = _answers(samples, infer, numbers, (ops, strength), seed)
    labels, lines = samples.index["label"][numbers], []
    for (op, value), answers in zip(ops, after, strict=True):
        kept = ~np.isnan(answers[:, 0])
        about = {"op": op, "strength": OPS[op].scaled(value, strength), "rows": int(kept.sum())}
        if kept.any():
            about |= _compared(before[kept], answers[kept], labels[kept], names)
        about["verdict"] = _verdict(about)
        lines.append(about)
    table = pd.DataFrame(lines)
    said = [line["verdict"].partition(": ") for line in lines]
    unsafe = [
        f"{line['op']} ({why})" for line, (what, _, why) in zip(lines, said, strict=True) if what.startswith("leave")
    ]
    hard = [line["op"] for line, (what, *_) in zip(lines, said, strict=True) if what.startswith("hard")]
    summary = f"leave out or lower {', '.join(unsafe)}" if unsafe else "no op turns one class into another"
    table.attrs["verdict"] = summary + (f"; hard on this network: {', '.join(hard)}" if hard else "")
    return table


def _answers(samples, infer, numbers, policy, seed):
    """Probabilities of some rows, `(rows, classes)`; and `(ops, rows, classes)`, NaN where an op changes nothing."""
    ops, strength = policy
    before, after = [], [[] for _ in ops]
    rngs = [np.random.default_rng(seed) for _ in ops]
    size = samples.recipe.batch_size
    for start in tqdm(range(0, len(numbers), size), desc="asking about each op", unit="batch", leave=False):
        part = numbers[start : start + size]
        plain = np.stack([samples.evaluated(number) for number in part])
        before.append(infer(plain).numpy())
        for op, rng, answers in zip(ops, rngs, after, strict=True):
            images = [_changed(samples, *pair, [op], rng, strength) for pair in zip(part, plain, strict=True)]
            changed = [number for number, image in enumerate(images) if image is not None]
            answers.append(np.full_like(before[-1], np.nan))
            if changed:
                answers[-1][changed] = infer(np.stack([images[number] for number in changed])).numpy()
    return np.concatenate(before), np.stack([np.concatenate(answers) for answers in after])


def _changed(samples, number, plain, ops, rng, strength):
    """The image after an op, or None where no draw changes it."""
    for _ in range(_TRIES):
        image = samples.augmented(number, ops, rng, strength)
        if samples.differ(image, plain):
            return image
    return None


def _compared(before, after, labels, names):
    """What an op did to the probabilities `(rows, classes)` of images with these labels."""
    rows, classes = np.arange(len(labels)), len(names)
    counts = np.bincount(labels, minlength=classes)
    means = [
        np.bincount(labels, values[rows, labels], minlength=classes) / np.maximum(counts, 1)
        for values in (before, after)
    ]
    loss = np.where(counts >= _FEWEST, means[0] - means[1], -np.inf)
    worst = int(loss.argmax())
    was, now = before.argmax(axis=1), after.argmax(axis=1)
    right = was == labels
    turns = np.zeros((classes, classes))
    np.add.at(turns, (labels[right], now[right]), 1)
    np.fill_diagonal(turns, 0)
    known = np.bincount(labels[right], minlength=classes)
    shares = turns / np.maximum(known, _FEWEST)[:, None]
    # A class that all the others become is where the network puts what it does not know
    elsewhere = (shares.sum(axis=0) - shares) / max(np.count_nonzero(known) - 2, 1)
    one, other = np.unravel_index((shares - elsewhere).argmax(), shares.shape)
    judged = np.isfinite(loss[worst])
    return {
        "confidence_before": float(before[rows, labels].mean()),
        "confidence_after": float(after[rows, labels].mean()),
        "changed": float((was != now).mean()),
        "worst_class": names[worst] if judged else "",
        "worst_before": float(means[0][worst]) if judged else np.nan,
        "worst_after": float(means[1][worst]) if judged else np.nan,
        "becomes": f"{names[one]} -> {names[other]}" if shares[one, other] else "",
        "turned": float(shares[one, other]),
        "beyond": float(shares[one, other] - elsewhere[one, other]),
    }


def _verdict(about):
    if not about["rows"]:
        return "did nothing to these images"
    if about.pop("beyond") >= _TURNED:
        return f"leave it out or lower it: {about['turned']:.0%} of {about['becomes'].replace(' -> ', ' become ')}"
    if max(about["confidence_before"] - about["confidence_after"], about["changed"]) >= _HARD:
        return f"hard on this network: {about['changed']:.0%} change their class, of no class in particular"
    return "good"
