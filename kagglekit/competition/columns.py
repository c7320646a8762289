"""The columns of the table that mean something to the kit; every other column is metadata, named by the organiser.

| column | holds |
|---|---|
| `image_id` | unique text |
| `id` | text, the submission row that the image belongs to; several images may share one |
| `source` | where the image's bytes are, see `kagglekit.competition.sources` |
| `label` | what is to be predicted, in the form of the task; only in train |
| `group` | what must not cross folds, where given; empty text: unknown |
| `copy_of` | in what `kk.expand` returned: the `image_id` that the row is a copy of, else empty text |
"""

RESERVED = ("image_id", "id", "source", "label", "group", "copy_of")


def metadata_columns(table):
    """Return the names of a table's columns that are metadata, in order.

    Example:

    >>> import pandas as pd
    >>> metadata_columns(pd.DataFrame(columns=["image_id", "age", "copy_of", "site"]))
    ['age', 'site']
    """
    return [column for column in table.columns if column not in RESERVED]
