"""The written verdict: what the data are like, and what follows for training."""

import itertools

import numpy as np
import pandas as pd

from kagglekit._checks import first_few
from kagglekit.audit.repair import has_problem, missing_cells, problems_of
from kagglekit.audit.thumbnails import label_values, members, rows_of_class, sample_thumbnails
from kagglekit.competition.sources import parts

_MOST_LOOKED_AT = 5000
_SIDE = 8  # pixels of the thumbnails: colours and coarse shape, no detail
_EASY_SHARE, _EASY_LEAST = 0.15, 3
_TINY = 32  # pixels; below, a network that halves five times has nothing left
_STRIDE = 32  # of the last feature map of nearly every pretrained network


def describe_data(comp, report, groups=None):
    """Say in plain words what the data are like and what follows for training.

    At most 5,000 training images, spread over the classes, are used, as thumbnails of 8 x 8 pixels.

    Args:
        comp: a `Competition`.
        report: what `kk.check_images(comp)` returned.
        groups: what `kk.duplicate_groups(comp)` returned. Defaults to not judging duplicates.

    Returns:
        DataFrame of text with the columns `topic`, `finding` and `advice`. `attrs["easy_first"]` lists image_ids, class
        by class: the 15% of each class (of those looked at), and at least 3, that are most like the mean of their
        class. A network that cannot memorise these has a fault.

    Raises:
        ValueError: if no training image can be read.

    Example:

    >>> import kagglekit as kk
    >>> comp = kk.load_competition("digits")
    >>> table = kk.describe_data(comp, kk.check_images(comp))
    >>> print(table.loc[table["topic"] == "balance", "finding"].item())
    most frequent : rarest class = 149 : 133 = 1.1
    >>> len(table.attrs["easy_first"])
    215
    """
    rows = rows_of_class(comp)
    positions, thumbnails = sample_thumbnails(comp, rows, _SIDE, most=_MOST_LOOKED_AT, least=_EASY_LEAST)
    classes = members(rows, positions)
    easy = _easy_first(classes, thumbnails)
    readable = report[(report["part"] == "train") & (report["width"] > 0)]
    lines = [
        *_labels(comp, rows),
        _resolution(readable),
        _look_alike(comp, members(rows, positions, alone=True), thumbnails),
        _colours(comp, thumbnails),
        _files(comp, report),
        *_duplicates(groups),
        *_groups(comp),
        *_missing(comp),
        _test(comp),
        (
            "easy first",
            f"{len(easy)} images are most like the mean of their class: attrs['easy_first'] of this table",
            "overfit them first, without augmentation: a training accuracy below 1 means a fault, not a hard problem",
        ),
    ]
    table = pd.DataFrame(lines, columns=["topic", "finding", "advice"])
    table.attrs["easy_first"] = comp.train["image_id"].iloc[positions[easy]].tolist()
    return table


def _colours(comp, thumbnails):
    channels, files = thumbnails.shape[-1], len(parts(comp.train["source"].iloc[0]))
    if files > 1 or channels not in (1, 3):
        return (
            "colour",
            f"{channels} channels, from {files} files an image",
            f"a network with {channels} input channels",
        )
    grey = np.ptp(thumbnails, axis=-1).max(axis=(1, 2)) <= 8  # what JPEG adds to a grey image
    if grey.all():
        stored = "" if channels == 1 else ", though stored as colour"
        return (
            "colour",
            f"all grey{stored}",
            "1 channel from scratch; pretrained weights want 3 equal ones. No colour augmentation",
        )
    if grey.mean() > 0.01:
        return (
            "colour",
            f"{grey.mean():.0%} grey, the others in colour",
            "check that grey does not give a class or the test images away; else augment by taking colour out",
        )
    return "colour", "in colour", "3 channels; mild colour augmentation unless the colour itself is the class"


def _easy_first(classes, thumbnails):
    easy = {}
    for places in classes:
        distance = ((thumbnails[places] - thumbnails[places].mean(axis=0)) ** 2).mean(axis=(1, 2, 3))
        number = max(_EASY_LEAST, round(_EASY_SHARE * len(places)))
        easy |= dict.fromkeys(places[np.argsort(distance, kind="stable")[:number]].tolist())
    return list(easy)


def _labels(comp, rows):
    images = f"{len(comp.train)} training images"
    if not comp.task.has_classes:
        values = label_values(comp)
        low, middle, high = np.quantile(values, [0, 0.5, 1])
        what = comp.task.values_are
        spread = f"{what} from {low:.4g} to {high:.4g}, median {middle:.4g}, standard deviation {values.std():.4g}"
        advice = "score a constant first (mean or median): a model has to beat it; stratify the folds by quantiles"
        enough = "hundreds of images at least with pretrained weights" if len(values) < 500 else "fine for a baseline"
        return [("data size", images, enough), ("targets", spread, advice)]
    counts = comp.class_counts()
    middle = float(counts.median())
    several = "" if comp.task.one_label else f", {comp.train['label'].map(len).mean():.2f} labels an image"
    size = f"{images} of {len(counts)} classes, median {middle:g} a class{several}"
    lines = [("data size", size, _size_advice(middle)), _balance(counts)]
    few = [counts[counts < number] for number in (10, 20)]
    if len(few[1]):
        lines.append((
            "few-shot",
            f"{len(few[0])} classes have fewer than 10 images, {len(few[1])} fewer than 20: {first_few(few[1].index)}",
            "pretrained weights and a frozen backbone first, strong augmentation, fewer folds than the rarest class "
            "has images; for fewer than 10, compare with a nearest-neighbour search on the backbone's features",
        ))  # fmt: skip
    without = len(comp.train) - len(np.unique(np.concatenate(list(rows.values()))))
    if without:
        lines.append(("labels", f"{without} images have no label at all", "a valid answer: keep them, as negatives"))
    return lines


def _size_advice(middle):
    # 10-20 images a class suffice with pretrained weights, 100-200 without: the field's rule of thumb
    if middle < 10:
        return "few even for pretrained weights (10-20 a class suffice there, 100-200 without): look for more images"
    if middle < 100:
        return "use pretrained weights: 10-20 a class suffice with them, 100-200 are needed without"
    if middle < 200:
        return "enough with pretrained weights (10-20 a class), just enough without (100-200)"
    return "enough even without pretrained weights (100-200 a class); with them training is shorter"


def _balance(counts):
    most, least = int(counts.iloc[0]), int(counts.iloc[-1])
    finding = f"most frequent : rarest class = {most} : {least}" + (f" = {most / least:.1f}" if least else "")
    if least and most < 1.5 * least:
        return "balance", finding, "balanced: nothing to do"
    if least and most <= 10 * least:
        return "balance", finding, "uneven: stratified folds, and look at the recall of each class"
    return "balance", finding, (
        "strongly uneven: balanced sampling or label shuffling, tried against plain training; a metric that sees rare "
        "classes (macro F1, balanced accuracy); stratified folds"
    )  # fmt: skip


def _resolution(readable):
    short = readable[["width", "height"]].min(axis=1)
    if short.empty:
        return "resolution", "unknown: the report names no readable image", "run kk.check_images(comp)"
    side = int(short.median())
    finding = f"median short side {side} pixels (from {short.min():g} to {short.max():g})"
    if side < _TINY:
        size = max(16, -(-side // 4) * 4)
        return "resolution", finding, (
            f"tiny: at stride {_STRIDE} not even one cell would be left; a small network from scratch: input {size} "
            f"at stride 4 gives {size // 4}x{size // 4}"
        )  # fmt: skip
    # A final feature map of 3x3 to 7x7 is the field's rule; 224 is what weights were mostly trained at.
    size = int(np.clip(round(side / _STRIDE) * _STRIDE, 96, 224))
    cells = size // _STRIDE
    larger = ""
    if side >= 1.25 * 224:
        large = int(min(384, side // _STRIDE * _STRIDE))
        larger = f"; if details decide, compare with {large} ({large // _STRIDE}x{large // _STRIDE})"
    return "resolution", finding, (
        f"input {size}: a final feature map of {cells}x{cells} at stride {_STRIDE} (3x3 to 7x7 is the rule){larger}"
    )  # fmt: skip


def _look_alike(comp, classes, thumbnails):
    """Compare nearest class means on thumbnails, each image left out of its own class's mean, with chance."""
    classes = [places for places in classes if len(places) > 1]
    if len(classes) < 2:
        return "fine-grained", "not measured: fewer than 2 classes have 2 images of their own", "look at the images"
    vectors = thumbnails.reshape(len(thumbnails), -1)
    means = np.stack([vectors[places].mean(axis=0) for places in classes])
    recalls = []
    for number, places in enumerate(classes):
        distances = (vectors[places] ** 2).sum(1)[:, None] - 2 * vectors[places] @ means.T + (means**2).sum(1)
        # Leaving x out of a mean of n moves it away: |x - mean'| = n / (n - 1) |x - mean|
        distances[:, number] *= (len(places) / (len(places) - 1)) ** 2
        recalls.append((distances.argmin(axis=1) == number).mean())
    accuracy, chance = float(np.mean(recalls)), 1 / len(classes)
    above = (accuracy - chance) / (1 - chance)
    what = "class" if comp.task.has_classes else "fifth of the targets"
    finding = (
        f"colour and coarse shape alone (8x8 pixels) find the right {what} for {accuracy:.0%}, chance {chance:.0%}"
    )
    if above < 0.15:
        return "fine-grained", f"{finding}: they look alike at a glance", (
            "details decide: train the whole network, at a larger input, crop to the object where it is small; mild "
            "augmentation, and check the labels of look-alikes"
        )  # fmt: skip
    if above < 0.5:
        return "fine-grained", f"{finding}: partly told apart at a glance", "the usual recipe; details decide the rest"
    return "fine-grained", f"{finding}: told apart at a glance", (
        "a small network will do. If classes were photographed in different ways, it learns the background: look at "
        "the mean images"
    )  # fmt: skip


def _files(comp, report):
    kinds = report["problem"].map(problems_of).explode().dropna().str.split(":").str[0].value_counts()
    if kinds.empty:
        return "files", f"all {len(report)} can be read, nothing odd", "nothing to do"
    finding = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    stopping = report[has_problem(report, "unreadable") & (report["part"] == "train")]
    return "files", finding, (
        "comp = kk.quarantine(comp, report) before the folds; ask the organiser for the files"
        if stopping["image_id"].isin(comp.train["image_id"]).any() else
        "look at some of them: kk.quarantine(comp, report, problems=...) takes them out where they are useless"
    )  # fmt: skip


def _duplicates(groups):
    if groups is None:
        return [("duplicates", "not looked for", "groups = kk.duplicate_groups(comp)")]
    duplicates, conflicts, leaks = (groups.attrs.get(name, []) for name in ("duplicates", "conflicts", "leaks"))
    images = len(set(itertools.chain(*duplicates)))
    keep = "kk.assign_folds(comp, groups=groups) keeps each group in one fold"
    finding = (
        f"{images} training images in groups of duplicates: {len(duplicates)}"
        if duplicates
        else "none among the training images"
    )
    lines = [("duplicates", finding, keep if duplicates else "nothing to do")]
    if conflicts:
        examples = first_few([" = ".join(ids) for ids in conflicts], most=3)
        advice = "look at them: correct the label or leave them out; as they are, one of them is always wrong"
        lines.append(("conflicts", f"groups of duplicates with different labels: {len(conflicts)}, {examples}", advice))
    if leaks:
        test = len({test_id for _, test_id in leaks})
        advice = "they flatter the leaderboard, not the model; read the rules before using them"
        lines.append(("leaks", f"{test} test images have a duplicate among the training images", advice))
    return lines


def _groups(comp):
    if "group" not in comp.train:
        return []
    known = comp.train["group"] != ""  # an image of an unknown group is a group of its own
    sizes = comp.train["group"].where(known, np.arange(len(known))).value_counts()
    finding = f"{len(sizes)} groups of {sizes.min()} to {sizes.max()} images, median {sizes.median():g}"
    largest = sizes.iloc[0] / len(comp.train)
    return [("groups", finding, (
        f"the largest holds {largest:.0%} of the images: folds will be uneven" if largest > 0.2 else
        "kk.assign_folds(comp) keeps each in one fold"
    ))]  # fmt: skip


def _missing(comp):
    columns = [*comp.metadata_columns, *(["group"] if "group" in comp.train else [])]
    shares = {column: float(missing_cells(comp.train[column]).mean()) for column in columns}
    shares = {column: share for column, share in shares.items() if share}
    if not shares:
        return []
    finding = ", ".join(f"{column} {share:.1%}" for column, share in shares.items())
    return [("missing values", finding, "kk.fill_missing(comp, column, ['marker', 'median']), or 'unknown' for text")]


def _test(comp):
    if comp.test.empty:
        return "test images", "none", "out-of-fold scores are all there is; keep a holdout that is looked at once"
    ratio = len(comp.test) / len(comp.train)
    advice = "kk.adversarial_validation(comp, report) says whether they look alike"
    if ratio > 3:
        advice += "; many more than training images: pseudo-labels may help, and mind the time that predicting takes"
    return "test images", f"{len(comp.test)}, {ratio:.2g} for each training image", advice
