"""Figures of a competition's tables: labels, missing values, groups, metadata."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from kagglekit._checks import first_few
from kagglekit.audit.repair import as_numbers, missing_cells
from kagglekit.audit.thumbnails import label_values, rows_of_class
from kagglekit.competition.tables import as_series
from kagglekit.reports.drawing import COLOUR, PART_COLOURS, SECOND_COLOUR, shorten, show_message


def plot_class_counts(comp, *, most=40, ax=None):
    """Draw what the labels are: images per class, a histogram of targets, or the mean distribution.

    Args:
        comp: a `Competition`.
        most: largest number of classes to show; of more, half of those shown are the most frequent, half the rarest.
        ax: Axes to draw on. Defaults to a new figure.

    Returns:
        matplotlib Axes.
    """
    if comp.task.labels_plot == "histogram":
        return _draw_targets(comp, ax)
    images = f"{len(comp.train)} images of {len(comp.class_names)} classes"
    if comp.task.labels_plot == "shares":
        values = pd.Series(comp.targets.mean(axis=0, dtype=np.float64), index=comp.class_names)
        title, x_label, number_format = f"{images}: mean distribution", "mean share", "%.3f"
    else:
        values = comp.class_counts()
        rarest = values.iloc[-1]
        ratio = f"most frequent : rarest = {values.iloc[0] / rarest:.1f}" if rarest else "the rarest has none"
        title, x_label, number_format = f"{images}; {ratio}", "training images", "%d"
    if not values.any():
        return show_message(ax, "no training image has a label")
    if len(values) == 1:
        only_class, count = shorten(values.index[0]), values.iloc[0]
        return show_message(ax, f"one class alone: {count:g} of {len(comp.train)} training images are {only_class}")
    shown = values if len(values) <= most else pd.concat([values.iloc[: most // 2], values.iloc[-(most // 2) :]])
    ax = ax or plt.subplots(figsize=(7, 0.8 + 0.24 * len(shown)), layout="constrained")[1]
    positions = np.arange(len(shown))
    ax.bar_label(ax.barh(positions, shown, color=COLOUR), fmt=number_format, padding=3, fontsize=8)
    ax.set_yticks(positions, [shorten(name) for name in shown.index])
    if len(shown) < len(values):
        title += f"\n{len(values) - len(shown)} classes between not shown"
        ax.axhline(most // 2 - 0.5, color="grey", linestyle="--", linewidth=0.8)
    ax.set(title=title, xlabel=x_label, ylim=(len(shown) - 0.4, -0.6))
    ax.margins(x=0.1)
    sns.despine(ax=ax)
    return ax


def plot_missing(comp, *, ax=None):
    """Draw the share of missing cells (empty text) of each metadata column and of `group`, train against test."""
    columns = [*comp.metadata_columns, *(["group"] if "group" in comp.train else [])]
    tables = {"train": comp.train, "test": comp.test} if len(comp.test) else {"train": comp.train}
    shares = pd.DataFrame(
        {
            part: {column: 100 * missing_cells(table[column]).mean() for column in columns if column in table}
            for part, table in tables.items()
        },
        index=columns,
        dtype=float,
    )
    shown = shares[shares.fillna(0).max(axis=1) > 0]
    if shown.empty:
        message = f"no value missing in {first_few(columns)}" if columns else "images and labels alone: no metadata"
        return show_message(ax, message)
    ax = ax or plt.subplots(figsize=(7, 1.2 + 0.45 * len(shown)), layout="constrained")[1]
    for number, part in enumerate(tables):
        positions = np.arange(len(shown)) + 0.4 * (number - (len(tables) - 1) / 2)
        bars = ax.barh(positions, shown[part].fillna(0), height=0.38, color=PART_COLOURS[part], label=part)
        bar_labels = ["not in test" if np.isnan(value) else f"{value:.1f}%" for value in shown[part]]
        ax.bar_label(bars, bar_labels, padding=3, fontsize=8)
    ax.set_yticks(np.arange(len(shown)), [shorten(name) for name in shown.index])
    ax.set(
        title=f"Missing values: {len(shown)} of {len(columns)} columns have some",
        xlabel="missing, % of rows",
        ylim=(len(shown) - 0.4, -0.6),
    )
    ax.margins(x=0.15)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    sns.despine(ax=ax)
    return ax


def plot_group_sizes(comp, groups=None, *, ax=None):
    """Draw how many groups have how many training images.

    Args:
        comp: a `Competition`.
        groups: a Series of group names by image_id, such as the duplicates. Defaults to the column `group` of the
            competition.
        ax: Axes to draw on. Defaults to a new figure.
    """
    if groups is None and "group" not in comp.train:
        return show_message(ax, "no groups: every image is on its own")
    group_names = comp.train["group"] if groups is None else as_series(groups, comp.train["image_id"], "groups")
    # An empty name is unknown: a group of its own
    sizes = group_names.where(group_names != "", np.arange(len(group_names))).value_counts()
    if len(sizes) == 1:
        return show_message(
            ax, f"one group alone: all {len(group_names)} training images belong to {shorten(sizes.index[0])}"
        )
    if sizes.max() == sizes.min():
        size = "one training image" if sizes.max() == 1 else f"{sizes.max()} training images"
        return show_message(ax, f"{len(sizes)} groups, each of {size}")
    ax = ax or plt.subplots(figsize=(7, 3.2), layout="constrained")[1]
    if sizes.max() <= 25:
        counts = sizes.value_counts().sort_index()
        ax.bar_label(ax.bar(counts.index, counts, color=COLOUR), padding=2, fontsize=8)
        ax.xaxis.get_major_locator().set_params(integer=True)
    else:
        ax.hist(sizes, bins=25, color=COLOUR)
    ax.set(
        title=f"{len(sizes)} groups of {sizes.min()} to {sizes.max()} images, median {sizes.median():g}",
        xlabel="training images in a group",
        ylabel="groups",
    )
    ax.margins(y=0.1)
    sns.despine(ax=ax)
    return ax


def plot_metadata(comp, column, *, most=12, ax=None):
    """Draw a metadata column against the label: does it say something about the class?

    Numbers become a box for each class; text, and numbers with at most 10 different values, the share of each class
    among the rows with that value; against numeric targets, dots or boxes. Rows without a value are left out.

    Args:
        comp: a `Competition`.
        column: name of the column in `comp.train`.
        most: largest number of classes and of values to show; the most frequent are.
        ax: Axes to draw on. Defaults to a new figure.

    Raises:
        ValueError: if there is no such column.
    """
    if column not in comp.metadata_columns:
        available = first_few(comp.metadata_columns, most=20) or "none"
        raise ValueError(f"no metadata column {column!r}; there are {available}")
    cells = comp.train[column].reset_index(drop=True)
    has_value = ~missing_cells(cells)
    if cells[has_value].nunique() < 2:
        subject = "every row" if has_value.all() else f"every row that has a value ({has_value.mean():.0%})"
        message = f"{subject} says {shorten(cells[has_value].iloc[0])}" if has_value.any() else "no row has a value"
        return show_message(ax, f"{shorten(column)}: {message}")
    numeric_cells = as_numbers(cells)
    numeric = numeric_cells is not None and numeric_cells.nunique() > 10
    title = f"{shorten(column)}: {has_value.mean():.0%} of the rows have a value"
    if not comp.task.has_classes:
        return _draw_against_targets(comp, column, numeric_cells if numeric else cells, has_value, most, title, ax)
    rows_by_class = {
        name: class_rows[has_value.to_numpy()[class_rows]]
        for name, class_rows in list(rows_of_class(comp).items())[:most]
    }
    short_names = [shorten(name) for name in rows_by_class]
    if numeric:
        ax = ax or plt.subplots(figsize=(7, 1.4 + 0.3 * len(rows_by_class)), layout="constrained")[1]
        _draw_boxes(ax, [numeric_cells.iloc[class_rows] for class_rows in rows_by_class.values()], short_names, title)
        ax.set_xlabel(shorten(column))
        return ax
    values = cells[has_value].value_counts().index[:most]
    counts = pd.DataFrame(
        {name: cells.iloc[class_rows].value_counts() for name, class_rows in rows_by_class.items()}
    ).reindex(values)
    # Shares of all rows with the value, so that classes beyond `most` count too
    shares = 100 * counts.fillna(0).div(cells[has_value].value_counts().reindex(values), axis=0).T
    ax = ax or plt.subplots(figsize=(4.5 + 0.55 * len(values), 2.2 + 0.3 * len(rows_by_class)), layout="constrained")[1]
    sns.heatmap(
        shares.set_axis(short_names), annot=True, fmt=".0f", cmap="Blues", vmin=0, ax=ax, linewidths=0.5,
        xticklabels=[f"{shorten(value, 16)} ({(cells == value).sum()})" for value in values],
        cbar=False,
    )  # fmt: skip
    ax.set(title=f"{title}\n% of the rows with this value", xlabel=f"{shorten(column)} (rows)", ylabel="")
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(axis="y", rotation=0)
    return ax


def _draw_targets(comp, ax):
    values = label_values(comp)
    if np.ptp(values) == 0:
        return show_message(ax, f"all {len(values)} targets are {values[0]:.4g}")
    ax = ax or plt.subplots(figsize=(7, 3.2), layout="constrained")[1]
    ax.hist(values, bins=min(40, max(10, len(np.unique(values)))), color=COLOUR)
    for value, linestyle, name in ((values.mean(), "-", "mean"), (np.median(values), "--", "median")):
        ax.axvline(value, color=SECOND_COLOUR, linestyle=linestyle, linewidth=1.2, label=f"{name} {value:.4g}")
    ax.set(
        title=f"{len(values)} targets from {values.min():.4g} to {values.max():.4g}",
        xlabel=comp.class_names[0],
        ylabel="training images",
    )
    ax.legend(frameon=False)
    sns.despine(ax=ax)
    return ax


def _draw_against_targets(comp, column, cells, has_value, most, title, ax):
    targets = pd.Series(label_values(comp))
    target_name = comp.task.value_name(comp.class_names)
    if np.ptp(targets) == 0:
        return show_message(
            ax, f"{shorten(column)} says nothing about {target_name}, which is {targets[0]:.4g} everywhere"
        )
    if cells.dtype == float:
        ax = ax or plt.subplots(figsize=(7, 4), layout="constrained")[1]
        ax.scatter(cells[has_value], targets[has_value], s=12, alpha=0.4, color=COLOUR)
        correlation = cells[has_value].rank().corr(targets[has_value].rank())
        ax.set(title=f"{title}\nrank correlation {correlation:.2f}", xlabel=shorten(column), ylabel=target_name)
    else:
        frequent = cells[has_value].value_counts().index[:most]
        ax = ax or plt.subplots(figsize=(7, 1.4 + 0.3 * len(frequent)), layout="constrained")[1]
        labels = [f"{shorten(name)} ({(cells == name).sum()})" for name in frequent]
        _draw_boxes(ax, [targets[has_value & (cells == name)] for name in frequent], labels, title)
        ax.set_xlabel(target_name)
    sns.despine(ax=ax)
    return ax


def _draw_boxes(ax, samples, names, title):
    """Quartile boxes in rows. Drawn by hand: between 3.9 and 3.11 matplotlib changed the
    argument for horizontal boxes."""
    for position, sample in enumerate(samples):
        if len(sample):
            low, left, middle, right, high = np.quantile(sample, [0.05, 0.25, 0.5, 0.75, 0.95])
            ax.hlines(position, low, high, color="grey", linewidth=0.8)
            ax.barh(position, right - left, left=left, height=0.6, color="#c6d7e8", edgecolor=COLOUR)
            ax.vlines(middle, position - 0.3, position + 0.3, color=SECOND_COLOUR, linewidth=2)
    ax.set_yticks(np.arange(len(names)), names)
    ax.set(title=f"{title}\nbox: middle half; red: median; line: 5% to 95%", ylim=(len(names) - 0.4, -0.6))
    sns.despine(ax=ax)
