"""Figures of the files, train against test: what `kk.check_images` measured, and what tells them apart."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from kagglekit.audit.shift import TELLING
from kagglekit.reports.drawing import COLOUR, PART_COLOURS, SECOND_COLOUR, shorten, show_message

_CHANNEL_NAMES = {1: ["grey"], 3: ["red", "green", "blue"]}


def plot_image_sizes(report, *, ax=None):
    """Draw width against height of train and test images; the area of a dot shows how many images have that size.

    Args:
        report: what `kk.check_images` returned.
        ax: Axes to draw on. Defaults to a new figure.

    Returns:
        matplotlib Axes.
    """
    readable = report[report["width"] > 0]
    if readable.empty:
        return show_message(ax, "no image can be read")
    sizes = readable.groupby(["part", "width", "height"]).size().rename("images").reset_index()
    if len(sizes[["width", "height"]].drop_duplicates()) == 1:
        width, height = sizes.loc[0, ["width", "height"]]
        return show_message(ax, f"all {len(readable)} images have one size: {width} x {height} pixels")
    ax = ax or plt.subplots(figsize=(6, 4.5), layout="constrained")[1]
    # Test as a ring around train's disc: both stay visible where their image sizes are the same.
    for part, style in (
        ("train", {"alpha": 0.6, "color": COLOUR}),
        ("test", {"facecolor": "none", "edgecolor": SECOND_COLOUR}),
    ):
        rows = sizes[sizes["part"] == part]
        if len(rows):
            areas = (30 + 300 * rows["images"] / sizes["images"].max()) * (1.6 if part == "test" else 1.0)
            label = f"{part} ({rows['images'].sum()} images)"
            ax.scatter(rows["width"], rows["height"], s=areas, label=label, **style)
    widths_and_heights = readable[["width", "height"]].to_numpy()
    ax.set(
        title=f"Image sizes: {len(sizes[['width', 'height']].drop_duplicates())} different, median "
        f"{int(np.median(widths_and_heights[:, 0]))} x {int(np.median(widths_and_heights[:, 1]))}",
        xlabel="width, pixels",
        ylabel="height, pixels",
        xlim=(0, widths_and_heights[:, 0].max() * 1.15),
        ylim=(0, widths_and_heights[:, 1].max() * 1.15),
    )
    ax.legend(frameon=False, loc="lower right")
    sns.despine(ax=ax)
    return ax


def plot_file_statistics(report):
    """Draw how width, height, aspect and file size are distributed, train against test.

    Args:
        report: what `kk.check_images` returned.

    Returns:
        Array of 4 Axes.
    """
    readable = report[report["width"] > 0]
    columns = {
        "width, pixels": readable["width"],
        "height, pixels": readable["height"],
        "aspect, width / height": readable["width"] / readable["height"],
        "file size, kilobytes": readable["bytes"] / 1000,
    }
    figure, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
    for ax, (name, values) in zip(axes, columns.items(), strict=True):
        _draw_histograms(ax, values, readable["part"])
        ax.set_title(name)
    figure.suptitle("Size of the images and of their files, % of the images")
    return axes


def plot_channels(report):
    """Draw the mean and the standard deviation of each channel, image by image, train against test.

    A difference between train and test here means a difference in light or camera.

    Args:
        report: what `kk.check_images` returned; its columns `mean_0`, `std_0` and so on are in grey levels, 0 to 255.

    Returns:
        Array of Axes `(2, channels)`; of more than 6 channels the first 6.
    """
    num_channels = sum(column.startswith("mean_") for column in report)
    if not num_channels:
        return np.array([[show_message(None, "the report holds no means of channels")]])
    names = _CHANNEL_NAMES.get(num_channels, [f"channel {number}" for number in range(num_channels)])[:6]
    figure, axes = plt.subplots(
        2, len(names), figsize=(max(6, 4 * len(names)), 5), squeeze=False, sharex="row", layout="constrained"
    )
    for axes_row, (statistic, statistic_name) in zip(
        axes, (("mean", "mean"), ("std", "standard deviation")), strict=True
    ):
        for number, (ax, name) in enumerate(zip(axes_row, names, strict=True)):
            values = report[f"{statistic}_{number}"]
            _draw_histograms(ax, values, report["part"])
            part_means = values.groupby(report["part"]).mean().reindex(PART_COLOURS).dropna()
            means = ", ".join(f"{value:.0f} {part}" for part, value in part_means.items())
            ax.set_title(f"{name}, {statistic_name}: {means}" if means else f"{name}, {statistic_name}", fontsize=10)
        for ax in axes_row:
            ax.set_xlabel("grey levels, 0 to 255")
    figure.suptitle("Channels of the images, % of the images")
    return axes


def plot_shift(shift, *, most=12, ax=None):
    """Draw what tells train from test.

    Args:
        shift: what `kk.adversarial_validation` returned.
        most: largest number of columns to show.
        ax: Axes to draw on. Defaults to a new figure.
    """
    shown = shift.head(most)
    if shown.empty:
        return show_message(ax, shift.attrs["verdict"])
    ax = ax or plt.subplots(figsize=(7, 2.0 + 0.28 * len(shown)), layout="constrained")[1]
    positions = np.arange(len(shown) + 1)
    values = [shift.attrs["auc"], *shown["auc"]]
    colours = [SECOND_COLOUR if value > TELLING else COLOUR for value in values]
    bar_ends = np.maximum(values, 0.5)
    bars = ax.barh(positions, bar_ends - 0.5, left=0.5, color=colours)
    ax.bar_label(bars, [f"{value:.2f}" for value in values], padding=3, fontsize=8)
    ax.axvline(TELLING, color="grey", linestyle="--", linewidth=0.8)
    ax.text(TELLING, -0.65, " gives it away", color="grey", fontsize=8, va="bottom")
    ax.set_yticks(positions, ["all columns together", *(f"{shorten(name)} alone" for name in shown["column"])])
    ax.get_yticklabels()[0].set_fontweight("bold")
    ax.set(xlim=(0.5, 1.06), ylim=(len(shown) + 0.6, -1.2), xlabel="area under the ROC curve (0.5: chance, 1: certain)")
    verdict = "look alike" if shift.attrs["verdict"].startswith("train and test look alike") else "differ"
    ax.set_title(f"Can a model tell train from test? They {verdict}")
    sns.despine(ax=ax)
    return ax


def _draw_histograms(ax, values, parts):
    """Histograms of train and test in percent, on the same 30 bins; values beyond the last bin are counted in it."""
    measured = values.notna()
    values, parts = values[measured].astype(float), parts[measured]
    if values.nunique() < 2:
        return show_message(ax, f"{values.iloc[0]:.4g} in every image" if len(values) else "no image can be read")
    # Up to the 99th percentile, so that one outlier does not squeeze all others into one bar
    high = np.quantile(values, 0.99) if values.max() > 3 * np.quantile(values, 0.99) else values.max()
    edges = np.linspace(values.min(), max(high, values.min() + 1e-9), 31)
    for part, colour in PART_COLOURS.items():
        part_values = values[parts == part].clip(upper=edges[-1])
        if len(part_values):
            weights = np.full(len(part_values), 100 / len(part_values))
            style = {"alpha": 0.45} if part == "train" else {"histtype": "step", "linewidth": 1.5}
            ax.hist(part_values, edges, weights=weights, color=colour, label=f"{part} ({len(part_values)})", **style)
    ax.legend(frameon=False, fontsize=8)
    sns.despine(ax=ax)
    return ax
