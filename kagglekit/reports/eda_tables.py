"""Figures of a competition's tables: labels, missing values, groups, metadata."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from kagglekit._checks import first_few
from kagglekit.audit.repair import as_numbers, missing_cells
from kagglekit.audit.thumbnails import label_values, rows_of_class
from kagglekit.competition.tables import as_series
from kagglekit.reports.drawing import COLOUR, PARTS, SECOND, say, short


def plot_class_counts(comp, *, most=40, ax=None):
    """Draw what the labels are: images per class, or a histogram of targets, or the mean distribution.

    Args:
        comp: a `Competition`.
        most: classes to show; of more, the rarest half and the most frequent half of them are shown.
        ax: Axes to draw on. Defaults to a new figure.

    Returns:
        matplotlib Axes.
    """
    if comp.task.labels_plot == "histogram":
        return _targets(comp, ax)
    images = f"{len(comp.train)} images of {len(comp.class_names)} classes"
    if comp.task.labels_plot == "shares":
        values = pd.Series(comp.targets.mean(axis=0, dtype=np.float64), index=comp.class_names)
        title, label, form = f"{images}: mean distribution", "mean share", "%.3f"
    else:
        values = comp.class_counts()
        least = values.iloc[-1]
        ratio = f"most frequent : rarest = {values.iloc[0] / least:.1f}" if least else "the rarest has none"
        title, label, form = f"{images}; {ratio}", "training images", "%d"
    if not values.any():
        return say(ax, "no training image has a label")
    if len(values) == 1:
        name, number = short(values.index[0]), values.iloc[0]
        return say(ax, f"one class alone: {number:g} of {len(comp.train)} training images are {name}")
    shown = values if len(values) <= most else pd.concat([values.iloc[: most // 2], values.iloc[-(most // 2) :]])
    ax = ax or plt.subplots(figsize=(7, 0.8 + 0.24 * len(shown)), layout="constrained")[1]
    places = np.arange(len(shown))
    ax.bar_label(ax.barh(places, shown, color=COLOUR), fmt=form, padding=3, fontsize=8)
    ax.set_yticks(places, [short(name) for name in shown.index])
    if len(shown) < len(values):
        title += f"\n{len(values) - len(shown)} classes between not shown"
        ax.axhline(most // 2 - 0.5, color="grey", linestyle="--", linewidth=0.8)
    ax.set(title=title, xlabel=label, ylim=(len(shown) - 0.4, -0.6))
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
        what = f"no value missing in {first_few(columns)}" if columns else "images and labels alone: no metadata"
        return say(ax, what)
    ax = ax or plt.subplots(figsize=(7, 1.2 + 0.45 * len(shown)), layout="constrained")[1]
    for number, part in enumerate(tables):
        places = np.arange(len(shown)) + 0.4 * (number - (len(tables) - 1) / 2)
        bars = ax.barh(places, shown[part].fillna(0), height=0.38, color=PARTS[part], label=part)
        known = ["not in test" if np.isnan(value) else f"{value:.1f}%" for value in shown[part]]
        ax.bar_label(bars, known, padding=3, fontsize=8)
    ax.set_yticks(np.arange(len(shown)), [short(name) for name in shown.index])
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
        groups: a Series of group names by image_id, such as the duplicates. Defaults to the competition's own column
            `group`.
        ax: Axes to draw on. Defaults to a new figure.
    """
    if groups is None and "group" not in comp.train:
        return say(ax, "no groups: every image stands for itself")
    names = comp.train["group"] if groups is None else as_series(groups, comp.train["image_id"], "groups")
    sizes = names.where(names != "", np.arange(len(names))).value_counts()  # empty: unknown, a group of its own
    if len(sizes) == 1:
        return say(ax, f"one group alone: all {len(names)} training images belong to {short(sizes.index[0])}")
    if sizes.max() == sizes.min():
        each = "one training image" if sizes.max() == 1 else f"{sizes.max()} training images"
        return say(ax, f"{len(sizes)} groups, each of {each}")
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

    Numbers become a box for each class; text, and numbers of at most 10 values, the share of each class among the rows
    with that value; against numeric targets, dots or boxes. Rows without a value are left out.

    Args:
        comp: a `Competition`.
        column: name of the column in `comp.train`.
        most: classes, and values of text, to show: the most frequent.
        ax: Axes to draw on. Defaults to a new figure.

    Raises:
        ValueError: if there is no such column.
    """
    if column not in comp.metadata_columns:
        known = first_few(comp.metadata_columns, most=20) or "none"
        raise ValueError(f"no metadata column {column!r}; there are {known}")
    cells = comp.train[column].reset_index(drop=True)
    given = ~missing_cells(cells)
    if cells[given].nunique() < 2:
        rows = "every row" if given.all() else f"every row that has a value ({given.mean():.0%})"
        said = f"{rows} says {short(cells[given].iloc[0])}" if given.any() else "no row has a value"
        return say(ax, f"{short(column)}: {said}")
    numbers = as_numbers(cells)
    numeric = numbers is not None and numbers.nunique() > 10
    title = f"{short(column)}: {given.mean():.0%} of the rows have a value"
    if not comp.task.has_classes:
        return _against_values(comp, column, numbers if numeric else cells, given, most, title, ax)
    rows = {name: part[given.to_numpy()[part]] for name, part in list(rows_of_class(comp).items())[:most]}
    names = [short(name) for name in rows]
    if numeric:
        ax = ax or plt.subplots(figsize=(7, 1.4 + 0.3 * len(rows)), layout="constrained")[1]
        _boxes(ax, [numbers.iloc[part] for part in rows.values()], names, title)
        ax.set_xlabel(short(column))
        return ax
    values = cells[given].value_counts().index[:most]
    table = pd.DataFrame({name: cells.iloc[part].value_counts() for name, part in rows.items()}).reindex(values)
    # Of all rows with the value, so that classes beyond `most` count too
    shares = 100 * table.fillna(0).div(cells[given].value_counts().reindex(values), axis=0).T
    ax = ax or plt.subplots(figsize=(4.5 + 0.55 * len(values), 2.2 + 0.3 * len(rows)), layout="constrained")[1]
    sns.heatmap(
        shares.set_axis(names), annot=True, fmt=".0f", cmap="Blues", vmin=0, ax=ax, linewidths=0.5,
        xticklabels=[f"{short(value, 16)} ({(cells == value).sum()})" for value in values],
        cbar=False,
    )  # fmt: skip
    ax.set(title=f"{title}\n% of the rows with this value", xlabel=f"{short(column)} (rows)", ylabel="")
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(axis="y", rotation=0)
    return ax


def _targets(comp, ax):
    values = label_values(comp)
    if np.ptp(values) == 0:
        return say(ax, f"all {len(values)} targets are {values[0]:.4g}")
    ax = ax or plt.subplots(figsize=(7, 3.2), layout="constrained")[1]
    ax.hist(values, bins=min(40, max(10, len(np.unique(values)))), color=COLOUR)
    for value, style, name in ((values.mean(), "-", "mean"), (np.median(values), "--", "median")):
        ax.axvline(value, color=SECOND, linestyle=style, linewidth=1.2, label=f"{name} {value:.4g}")
    ax.set(
        title=f"{len(values)} targets from {values.min():.4g} to {values.max():.4g}",
        xlabel=comp.class_names[0],
        ylabel="training images",
    )
    ax.legend(frameon=False)
    sns.despine(ax=ax)
    return ax


def _against_values(comp, column, cells, given, most, title, ax):
    values = pd.Series(label_values(comp))
    target = comp.task.value_name(comp.class_names)
    if np.ptp(values) == 0:
        return say(ax, f"{short(column)} says nothing of {target}, which is {values[0]:.4g} everywhere")
    if cells.dtype == float:
        ax = ax or plt.subplots(figsize=(7, 4), layout="constrained")[1]
        ax.scatter(cells[given], values[given], s=12, alpha=0.4, color=COLOUR)
        rank = cells[given].rank().corr(values[given].rank())
        ax.set(title=f"{title}\nrank correlation {rank:.2f}", xlabel=short(column), ylabel=target)
    else:
        names = cells[given].value_counts().index[:most]
        ax = ax or plt.subplots(figsize=(7, 1.4 + 0.3 * len(names)), layout="constrained")[1]
        labels = [f"{short(name)} ({(cells == name).sum()})" for name in names]
        _boxes(ax, [values[given & (cells == name)] for name in names], labels, title)
        ax.set_xlabel(target)
    sns.despine(ax=ax)
    return ax


def _boxes(ax, samples, names, title):
    """Quartile boxes in rows. By hand: matplotlib changed the argument for horizontal ones between 3.9 and 3.11."""
    for place, sample in enumerate(samples):
        if len(sample):
            low, left, middle, right, high = np.quantile(sample, [0.05, 0.25, 0.5, 0.75, 0.95])
            ax.hlines(place, low, high, color="grey", linewidth=0.8)
            ax.barh(place, right - left, left=left, height=0.6, color="#c6d7e8", edgecolor=COLOUR)
            ax.vlines(middle, place - 0.3, place + 0.3, color=SECOND, linewidth=2)
    ax.set_yticks(np.arange(len(names)), names)
    ax.set(title=f"{title}\nbox: middle half; red: median; line: 5% to 95%", ylim=(len(names) - 0.4, -0.6))
    sns.despine(ax=ax)
