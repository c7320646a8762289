"""Images that occur more than once: exact copies, and those that look the same."""

import pandas as pd

from kagglekit.audit import similarity
from kagglekit.audit.scan import scan
from kagglekit.competition import sources


def duplicate_groups(comp):
    """Return a group for every training image: images that look the same share one.

    Use the result as `groups=` of `assign_folds`, so that a fold never validates on an image that it was trained on.
    Two images are an exact pair if their upright pixels are equal, whatever the files look like (another compression
    level of a PNG), and a near pair if one looks like a resized, recompressed or slightly cropped copy of the other:
    a hash of 256 signs proposes the pairs, and grey thumbnails of 32x32 pixels confirm each. Images whose shorter side
    has less than 32 pixels are only compared exactly, since at that size different images look alike; so are images
    without contrast.

    Args:
        comp: a `Competition` of any task. Where several files make one image, all of them count.

    Returns:
        Series of group names indexed by train `image_id`; an image without a duplicate is a group of its own. Images
        are in one group if confirmed pairs join them, also through a test image. Names and `attrs` do not depend on
        the order of rows. `attrs` holds

        - `pairs`: a list of `(id_a, id_b, kind, similarity, part_a, part_b)`, most similar first. `kind` is `"exact"`
          (similarity 1) or `"near"` (the correlation of the thumbnails' local contrast, 0.95 to 1), a part is `"train"`
          or `"test"`. Of several exact copies, each later one is paired with the first.
        - `duplicates`: groups of two or more training images, each a list of ids;
        - `conflicts`: those of them whose labels differ;
        - `leaks`: pairs of a train and a test id of one group;
        - `verdict`: a sentence.

    Raises:
        ValueError: naming the files that cannot be read.

    Example:

    >>> import kagglekit as kk
    >>> groups = kk.duplicate_groups(kk.load_competition("digits"))
    >>> groups.nunique(), groups.attrs["duplicates"]
    (1437, [])
    >>> groups.attrs["verdict"]
    'no two images show the same; 1797 images of less than 32 pixels were compared exactly only'
    """
    images = [
        (part, *row)
        for part, table in (("train", comp.train), ("test", comp.test))
        for row in sorted(table[["image_id", "source"]].itertuples(index=False, name=None))
    ]
    names = [image[:2] for image in images]
    all_facts = scan(comp, [source for *_, source in images])
    distinct = _first_of_each(comp, images, all_facts)
    first = {}
    pairs = []
    for number, facts in enumerate(all_facts):
        if first.setdefault(facts.pixel_hash, number) != number:
            pairs.append((first[facts.pixel_hash], number, "exact", 1.0))
    near, scores = similarity.near_pairs([all_facts[number].greys for number in distinct])
    near = ((distinct[a], distinct[b]) for a, b in near.tolist())
    pairs += [(*pair, "near", value) for pair, value in zip(near, scores.tolist(), strict=True)]
    pairs.sort(key=lambda pair: (-pair[3], pair[2], pair[:2]))
    roots = _components(len(images), pairs)
    group = {name: all_facts[root].pixel_hash[:16] for name, root in zip(names, roots, strict=True)}
    groups = pd.Series(
        [group["train", identifier] for identifier in comp.train["image_id"]],
        index=comp.train["image_id"].tolist(),
        name="group",
        dtype=object,
    )
    groups.attrs = _attributes(comp, names, roots)
    groups.attrs["pairs"] = [
        (names[a][1], names[b][1], kind, value, names[a][0], names[b][0]) for a, b, kind, value in pairs
    ]
    groups.attrs["verdict"] = _verdict(groups.attrs, sum(not len(facts.greys) for facts in all_facts))
    return groups


def _first_of_each(comp, images, all_facts):
    """Return the numbers of the images that are the first of their pixels and large enough to look alike.

    Raises:
        ValueError: naming the files that cannot be decoded.
    """
    errors = [
        f"{comp.root / sources.name_of(source)} cannot be read ({facts.error})"
        for (*_, source), facts in zip(images, all_facts, strict=True)
        if facts.error
    ]
    if errors:
        more = f" and {len(errors) - 5} more" if len(errors) > 5 else ""
        raise ValueError("; ".join(errors[:5]) + more + "; see kk.check_images(comp)")
    first = {}
    for number, facts in enumerate(all_facts):
        first.setdefault(facts.pixel_hash, number)
    return [number for number in first.values() if len(all_facts[number].greys)]


def _components(count, pairs):
    """Return for each image the smallest number among those that pairs join it to."""
    roots = list(range(count))

    def root(number):
        while roots[number] != number:
            roots[number] = number = roots[roots[number]]
        return number

    for a, b, *_ in pairs:
        a, b = root(a), root(b)
        roots[max(a, b)] = min(a, b)
    return [root(number) for number in range(count)]


def _attributes(comp, names, roots):
    members = {}
    for (part, identifier), root in zip(names, roots, strict=True):
        members.setdefault(root, {"train": [], "test": []})[part].append(identifier)
    labels = dict(zip(comp.train["image_id"], comp.train["label"], strict=True))
    duplicates = [ids["train"] for ids in members.values() if len(ids["train"]) > 1]
    return {
        "duplicates": duplicates,
        "conflicts": [ids for ids in duplicates if len({labels[identifier] for identifier in ids}) > 1],
        "leaks": [(train, test) for ids in members.values() for train in ids["train"] for test in ids["test"]],
    }


def _verdict(attributes, small):
    kinds = [pair[2] for pair in attributes["pairs"]]
    summary = (
        f"{kinds.count('exact')} exact and {kinds.count('near')} near pairs: {len(attributes['duplicates'])} groups of "
        f"training images, {len(attributes['conflicts'])} of them with different labels, and "
        f"{len({test for _, test in attributes['leaks']})} test images that training shows"
        if kinds
        else "no two images show the same"
    )
    side = similarity.SIDE
    return summary + (f"; {small} images of less than {side} pixels were compared exactly only" if small else "")
