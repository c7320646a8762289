"""Layout: the pixels themselves in a CSV, `label,pixel0,pixel1,...`, an image per line. It is read in place."""

import math
import re

import pandas as pd

from kagglekit.competition import sources
from kagglekit.competition.layouts.assemble import assemble, metadata, plain_rows, read_sample
from kagglekit.competition.layouts.base import Layout
from kagglekit.competition.layouts.csv_folder import existing_train_table, find_test_table, train_table
from kagglekit.competition.layouts.image_files import list_images

_PIXEL = re.compile(r"(?:pixel[_-]?)?\d+(?:x\d+)?", re.IGNORECASE)
LEAST_PIXELS = 64


def recognises(folder, preset):
    path = train_table(folder, preset)
    if path is None or path.suffix != ".csv" or _pixels(names := _header(path))[1] < LEAST_PIXELS:
        return False
    # Columns named by bare numbers may be the classes of images in files
    return not names[-1].isdecimal() or not list_images(folder)


def read(folder, preset):
    """Read the layout. Ids are the sample submission's, line by line, else the numbers of the lines from 0."""
    path = existing_train_table(folder, preset)
    table, train_sources = _scan(path)
    sample, sample_path = read_sample(folder)
    sample_column = sample.columns[1] if sample is not None and len(sample.columns) == 2 else None
    id_column = preset.id_column or ("id" if sample is None else sample.columns[0])
    others = [column for column in table if column not in (id_column, preset.group_column)]
    label_column = preset.label_column or (
        sample_column if sample_column in table else others[0] if len(others) == 1 else None
    )
    if label_column not in table:
        raise ValueError(
            f"{path} has the columns {list(table.columns)} before its pixels; name the label's with label_column="
        )
    if preset.group_column is not None and preset.group_column not in table:
        raise ValueError(
            f"{path} has no column {preset.group_column!r} before its pixels; it has {list(table.columns)}"
        )
    test_path = find_test_table(folder, preset)
    test_table, test_sources = _scan(test_path) if test_path else (pd.DataFrame(), [])
    if test_path and _header(test_path)[-1] != _header(path)[-1]:
        raise ValueError(f"the pixels of {test_path} are in another order than those of {path}")
    train_ids = table[id_column] if id_column in table else [f"train_{number}" for number in range(len(table))]
    ids = [str(number) for number in range(len(test_sources))]
    if id_column in test_table:
        ids = test_table[id_column]
    elif sample is not None:
        if len(sample) != len(test_sources):
            raise ValueError(f"{sample_path} has {len(sample)} rows and {test_path} has {len(test_sources)}")
        ids = sample.iloc[:, 0].tolist()
    train, test = plain_rows(train_ids, train_sources), plain_rows(ids, test_sources)
    if preset.group_column is not None:
        train["group"] = table[preset.group_column]
    used = {id_column, label_column, preset.group_column}
    train = pd.concat([train, metadata(table, used)], axis=1)
    test = pd.concat([test, metadata(test_table, used)], axis=1)
    return assemble(folder, preset, train, test, cells=table, sample=sample, columns=(id_column, label_column))


def _header(path):
    with open(path, encoding="utf-8-sig", errors="replace") as file:  # the table's own reader names a wrong encoding
        return [name.strip().strip('"') for name in file.readline().rstrip("\r\n").split(",")]


def _pixels(names):
    """Return the number of columns before the pixels and of the pixels, which are the last columns."""
    first = len(names)
    while first and _PIXEL.fullmatch(names[first - 1]):
        first -= 1
    return first, len(names) - first


def _scan(path):
    """Return the cells before the pixels as a DataFrame of text, and the source of each line's pixels."""
    names = _header(path)
    first, pixels = _pixels(names)
    shape = _shape(pixels, path)
    rows, row_sources, offset = [], [], 0
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            if number and line.strip():
                cells = line.split(b",", first)
                length = len(cells[-1].rstrip(b"\r\n"))
                if len(cells) != first + 1 or cells[-1].count(b",") != pixels - 1 or b'"' in line:
                    raise ValueError(
                        f"{path}, line {number + 1}: expected {first + pixels} numbers between commas without quotes"
                    )
                rows.append([cell.decode("utf-8") for cell in cells[:first]])
                start = offset + len(line) - len(cells[-1])
                row_sources.append(sources.stretch(path.name, start, length, shape))
            offset += len(line)
    return pd.DataFrame(rows, columns=names[:first], dtype=object), row_sources


def _shape(pixels, path):
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if side * side * channels == pixels:
            return side, side, channels
    raise ValueError(f"{path} has {pixels} pixels a line, which is no square image of 1 or 3 channels")


LAYOUT = Layout(recognises, read, "a CSV with the columns pixel0, pixel1, ...")
