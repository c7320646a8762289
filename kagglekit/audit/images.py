"""What the files are like, and which of them cannot be read, before a run stops at them."""

import numpy as np
import pandas as pd

from kagglekit._checks import first_few
from kagglekit.audit.facts import Facts
from kagglekit.audit.scan import scan
from kagglekit.competition import sources


def check_images(comp):
    """Decode every image once and report what was found.

    What later steps need of the pixels (`duplicate_groups`, `describe_data`, mean images) is taken from the same decode
    and cached in the workspace, about 7 KB an image. A second call decodes only the files that have changed since.

    Args:
        comp: a `Competition`.

    Returns:
        DataFrame with one line per image, train then test:

        - `image_id`, `part` (`"train"` or `"test"`) and `source` (text; the files of one image joined by " + ");
        - `width` and `height` as stored, in pixels, 0 when the image cannot be read;
        - `channels` that the kit reads: 1 for grey, 3 for colour (alpha left out), one a file where an image has
          several; `mode` (PIL's); `bytes` as stored;
        - `problem`: empty text when there is none. One that begins with "unreadable" stops a run: empty, truncated or
          corrupt, missing, over `sources.MAX_PIXELS` pixels, files of one image that differ in size. Others are for
          you to judge, several joined by "; ": the wrong extension, palette, alpha, CMYK, 16-bit,
          EXIF-rotated, extreme aspect (over 10 to 1);
        - `mean_0`, `mean_1`, ... and `std_0`, `std_1`, ...: mean and standard deviation of each channel in grey levels
          of 0 to 255 (16 bits divided by 257); NaN where an image has no such channel or cannot be read. They are
          those of the image reduced by averaging squares of 8, 4 or 2 pixels, the largest that leave its short
          side 16: means hardly change by that, and detail finer than a square is not part of the deviation.

        `attrs["verdict"]` sums up.

    Example:

    >>> import kagglekit as kk
    >>> report = kk.check_images(kk.load_competition("digits"))
    >>> report.attrs["verdict"]
    '1797 images read, no problem found'
    """
    rows = [("train", *row) for row in comp.train[["image_id", "source"]].itertuples(index=False)]
    rows += [("test", *row) for row in comp.test[["image_id", "source"]].itertuples(index=False)]
    all_facts = scan(comp)
    facts = pd.DataFrame([facts[:6] for facts in all_facts], columns=Facts._fields[:6])
    report = pd.DataFrame(
        {
            "image_id": pd.Series([row[1] for row in rows], dtype=object),
            "part": [row[0] for row in rows],
            "source": [sources.name_of(row[2]) for row in rows],
        }
    )
    report = pd.concat([report, facts, _statistics([facts.statistics for facts in all_facts])], axis=1)
    bad = report[report["problem"] != ""]
    report.attrs["verdict"] = f"{len(report)} images read, " + (
        f"{len(bad)} with a problem: " + first_few(bad["source"] + " (" + bad["problem"] + ")")
        if len(bad)
        else "no problem found"
    )
    return report


def _statistics(statistics):
    """Return the `(2, channels)` means and deviations of all images as columns."""
    channels = max((values.shape[1] for values in statistics), default=1) or 1
    table = np.full((len(statistics), 2, channels), np.nan)
    for row, values in enumerate(statistics):
        table[row, :, : values.shape[1]] = values
    names = [f"{name}_{channel}" for name in ("mean", "std") for channel in range(channels)]
    return pd.DataFrame(table.reshape(len(statistics), 2 * channels), columns=names)
