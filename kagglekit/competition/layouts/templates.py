"""Paths of images from a template and the columns of a table: `"train/{id}_{channel}.png"`."""

import string

from kagglekit._checks import first_few, nearest
from kagglekit.competition.layouts.image_files import check_inside, check_plain, missing_images


def fill_template(template, table, preset, *, csv, root, images, part):
    """Return, for every row, its images: a dict of image name (`""` for the only one) -> source.

    Args:
        template: path below `root` with columns in braces; `{channel}`, `{image}` and `{part}` stand for the preset's.
        table: DataFrame of text.
        preset: a `Preset`: `channels` and `images` are used.
        csv: path of the table, for errors.
        root: folder of the competition.
        images: the files below the root, as `list_images` gives them.
        part: `"train"` or `"test"`.

    Raises:
        ValueError: if a field is not a column, or a cell leads out of the folder.
        FileNotFoundError: if a file is not there.
    """
    fields = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    choices = {"channel": preset.channels, "image": preset.images}
    for field, values in choices.items():
        if field in fields and not values:
            raise ValueError(f"the template {template!r} has {{{field}}}: name its values with {field}s=(...)")
    columns = sorted(fields - {"channel", "image", "part"})
    for column in columns:
        if column not in table:
            raise ValueError(
                f"the template {template!r} asks for {column!r}, which is not a column of {csv}."
                f"{nearest(column, table.columns)} Its columns are {list(table.columns)}"
            )
    names = preset.images if "image" in fields else ("",)
    channels = preset.channels if "channel" in fields else ("",)
    existing, missing, row_images = set(images), [], []
    for cells in table[columns].itertuples(index=False, name=None):
        values = dict(zip(columns, cells, strict=True), part=part)
        for cell in cells:
            check_plain(cell, csv, root)
        row = {}
        for name in names:
            paths = tuple(template.format(**values, image=name, channel=channel) for channel in channels)
            missing += [path for path in paths if path not in existing]
            row[name] = paths if "channel" in fields else paths[0]
        row_images.append(row)
    if missing:
        raise missing_images(csv, len(missing), len(table), first_few(missing), root)
    check_inside([source for row in row_images for source in row.values()], root)
    return row_images
