"""Where there is but one value, or none, every figure says so in words: no empty panels."""

import dataclasses

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

import kagglekit as kk

ROWS = 12


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def column(values):
    return pd.Series(list(values), dtype=object)


def competition(kind):
    """Return a competition without any variety, or with hardly any."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (ROWS, 40, 36, 3), np.uint8) if kind == "one size" else np.full((ROWS, 8, 8), 50)
    pixels = pixels.astype(np.uint8)
    test = None if kind == "no test" else pixels[:4]
    comp = kk.from_arrays(pixels, ["a", "b"] * (ROWS // 2), test, name=kind.replace(" ", "-"))
    meta = {"constant": "7", "empty": "", "gaps": ["yes", ""] * (ROWS // 2), "group": "g"}
    train = comp.train.assign(**meta)
    test = comp.test.assign(**{name: "7" for name in meta})
    changes = {
        "one label": {"task": "multi_label", "label": column([("a",), ()] * 6), "classes": ("a",)},
        "no label": {"task": "multi_label", "label": column([()] * ROWS), "classes": ("a", "b")},
        "one target": {"task": "regression", "label": column([2.5] * ROWS), "classes": None},
        "one distribution": {"task": "distribution", "label": column([(0.5, 0.5)] * ROWS), "classes": ("1", "2")},
    }.get(kind, {})
    if changes:
        train["label"] = changes.pop("label")
    return dataclasses.replace(comp, train=train, test=test, metric=None, **changes)


KINDS = ("one size", "one colour", "no test", "one label", "no label", "one target", "one distribution", "unreadable")


@pytest.fixture(params=KINDS)
def degenerate(request):
    comp = competition(request.param)
    report = kk.check_images(comp)
    if request.param == "unreadable":
        for path in comp.root.glob("*.pngs"):
            path.write_bytes(bytes(path.stat().st_size))
        report = kk.check_images(comp)
        assert (report["width"] == 0).all()
    return comp, report


def shows_something(ax):
    drawn = [image.get_array().size for image in ax.images]
    drawn += [np.prod(patch.get_extents().size) for patch in ax.patches]
    drawn += [len(dots.get_offsets()) if dots.get_offsets().any() else len(dots.get_paths()) for dots in ax.collections]
    drawn += [len(line.get_xdata()) for line in ax.lines]
    drawn += [len(text.get_text()) > 5 for text in ax.texts]
    return any(drawn)


def test_every_figure_shows_something_or_says_why_not(degenerate):
    comp, report = degenerate
    groups = pd.Series(["one"] * ROWS, index=comp.train["image_id"])
    figures = {
        "plot_class_counts": kk.plot_class_counts(comp),
        "plot_images": kk.plot_images(comp, per_class=2),
        "plot_mean_images": kk.plot_mean_images(comp),
        "plot_image_sizes": kk.plot_image_sizes(report),
        "plot_file_statistics": kk.plot_file_statistics(report),
        "plot_channels": kk.plot_channels(report),
        "plot_missing": kk.plot_missing(comp),
        "plot_group_sizes": kk.plot_group_sizes(comp),
        "plot_group_sizes of groups": kk.plot_group_sizes(comp, groups),
    }
    figures |= {f"plot_metadata of {name}": kk.plot_metadata(comp, name) for name in comp.metadata_columns}
    if not report["problem"].str.startswith("unreadable").any():
        figures["plot_duplicates"] = kk.plot_duplicates(comp, kk.duplicate_groups(comp))
    if len(comp.test):
        figures["plot_shift"] = kk.plot_shift(kk.adversarial_validation(comp, report))
    assert [name for name, axes in figures.items() if not all(map(shows_something, np.ravel(axes)))] == []


def said(ax):
    assert not [*ax.images, *ax.patches, *ax.collections]
    assert not ax.axison
    return ax.texts[0].get_text()


def test_one_value_is_said_in_words():
    comp = competition("one colour")
    report = kk.check_images(comp)
    assert said(kk.plot_image_sizes(report)) == "all 16 images have one size: 8 x 8 pixels"
    assert [said(ax) for ax in kk.plot_channels(report).ravel()] == ["50 in every image", "0 in every image"]
    assert said(kk.plot_group_sizes(comp)) == "one group alone: all 12 training images belong to g"
    assert said(kk.plot_metadata(comp, "constant")) == "constant: every row says 7"
    assert said(kk.plot_metadata(comp, "empty")) == "empty: no row has a value"
    assert said(kk.plot_metadata(comp, "gaps")) == "gaps: every row that has a value (50%) says yes"
    thirds = pd.Series([str(number // 3) for number in range(ROWS)], index=comp.train["image_id"])
    assert said(kk.plot_group_sizes(comp, thirds)) == "4 groups, each of 3 training images"
    alone = pd.Series([str(number) for number in range(ROWS)], index=comp.train["image_id"])
    assert said(kk.plot_group_sizes(comp, alone)) == "12 groups, each of one training image"
    one = competition("one label")
    assert said(kk.plot_class_counts(one)) == "one class alone: 6 of 12 training images are a"
    assert said(kk.plot_images(competition("no label"))[0, 0]) == "no training image has a label"
    target = competition("one target")
    assert said(kk.plot_class_counts(target)) == "all 12 targets are 2.5"
    varied = target.train.assign(age=[str(number) for number in range(ROWS)])
    ax = kk.plot_metadata(dataclasses.replace(target, train=varied), "age")
    assert said(ax) == "age says nothing about label, which is 2.5 everywhere"


def test_a_constant_channel_leaves_the_others_their_ticks():
    comp = competition("one size")
    report = kk.check_images(comp).assign(mean_1=20.0)
    axes = kk.plot_channels(report)
    axes[0, 0].figure.canvas.draw()
    assert said(axes[0, 1]) == "20 in every image"
    assert all(ax.axison and len(ax.get_xticks()) > 1 for ax in axes[0, [0, 2]])
