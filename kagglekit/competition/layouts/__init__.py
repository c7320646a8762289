"""Readers: whatever lies on disk becomes a `Competition`."""

from kagglekit.competition import digits, environment
from kagglekit.competition.layouts import class_folders, csv_folder


def load_competition(name, *, id_column=None, label_column=None, group_column=None, metric="accuracy"):
    """Read a competition into clean tables, whatever its layout.

    Reads two layouts: `train.csv` beside folders of images, and one folder of images per class. Ids and labels stay
    text exactly as in the files (`00012` is not 12). Nothing below the folder is written to.

    Args:
        name: `"digits"` (built in), the path of a folder, the name of a folder in `data/raw`, or on Kaggle the slug
            of an attached competition or data set.
        id_column: name of the column with the image's id. Defaults to the sample submission's first column.
        label_column: name of the column with the class. Defaults to the one that the sample submission asks for.
        group_column: name of a column whose rows must stay in one fold (patient, site). Defaults to none.
        metric: name of the metric that the competition is scored by.

    Returns:
        A `Competition`.

    Raises:
        FileNotFoundError: if the folder is missing, or a row names an image that is not there.
        ValueError: if a column is missing, an id stands twice or a path leads out of the folder.

    Example:

    >>> load_competition("digits")
    Competition 'digits': 1437 training images of 10 classes, 360 test images, metric accuracy
    """
    folder = digits.folder() if str(name) == "digits" else environment.find_folder(name)
    columns = {"id_column": id_column, "label_column": label_column, "group_column": group_column}
    if csv_folder.recognises(folder):
        return csv_folder.read(folder, metric=metric, **columns)
    if class_folders.recognises(folder):
        if any(columns.values()):
            raise ValueError(f"{folder} has one folder per class and no train.csv, so columns cannot be chosen")
        return class_folders.read(folder, metric=metric)
    raise ValueError(
        f"{folder} has neither train.csv nor one folder of images per class; found "
        f"{sorted(path.name for path in folder.iterdir())[:10]}. Expected train.csv with an id and a label column "
        "beside folders of images, or train/<class>/<image files>."
    )
