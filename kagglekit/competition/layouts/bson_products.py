"""Layout: `train.bson` and `test.bson`, a document per product with its category and its images (Cdiscount).

The images are read in place: an index says where each one's bytes are.
"""

from kagglekit.competition.layouts.assemble import assemble, read_sample
from kagglekit.competition.layouts.base import Layout
from kagglekit.competition.layouts.index import container_index
from kagglekit.tasks import SINGLE_LABEL

LARGEST_DOCUMENT = 2**28  # bytes; MongoDB's own limit is 16 MB


def recognises(folder, preset):
    return (folder / "train.bson").is_file()


def read(folder, preset):
    """Read the layout; needs the package pymongo (`pip install kagglekit[bson]`).

    Raises:
        ModuleNotFoundError: if pymongo is not installed.
        ValueError: naming the file and the document that is damaged.
    """
    id_column, label_column = preset.id_column or "_id", preset.label_column or "category_id"
    tables = []
    for name in ("train.bson", "test.bson"):
        path = folder / name
        if not path.is_file():
            tables.append(tables[0].iloc[:0] if tables else None)
            continue
        scan = _scanner(path, id_column, label_column)
        tables.append(container_index(folder, path, scan, version=1))
    if tables[0] is None:
        raise FileNotFoundError(f"no {folder / 'train.bson'}; expected the products with their categories")
    train, test = tables
    sample, _ = read_sample(folder)
    cells = train[["label"]].rename(columns={"label": label_column})
    return assemble(
        folder,
        preset,
        train.drop(columns="label")[["image_id", "id", "source"]],
        test.drop(columns="label")[["image_id", "id", "source"]],
        cells=cells,
        sample=sample,
        columns=(id_column, label_column),
        task=SINGLE_LABEL,
    )


def _scanner(path, id_column, label_column):
    try:
        import bson
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{path} needs the package pymongo: pip install 'kagglekit[bson]'") from error

    def scan(file):
        start = 0
        while head := file.read(4):
            size = int.from_bytes(head, "little")
            body = file.read(size - 4) if 5 <= size <= LARGEST_DOCUMENT else b""
            document = head + body
            try:
                product = bson.decode(document)
                images = [image["image"] for image in product["imgs"]]
                identifier, label = str(product[id_column]), str(product.get(label_column, ""))
                if not images or not all(isinstance(image, bytes) and image for image in images):
                    raise KeyError(f"an image of {id_column} {identifier}")
            except (bson.errors.BSONError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}: the document at byte {start} is damaged or lacks {id_column!r} or 'imgs' ({error!r}); "
                    "unpack or download the file again"
                ) from error
            rows, after = [], 0
            for number, image in enumerate(images):  # the bytes are stored unchanged, in this order
                place = document.index(image, after)
                after = place + len(image)
                rows.append((f"{identifier}_{number}", identifier, label, start + place, len(image)))
            start += size
            yield start, rows

    return scan


LAYOUT = Layout(recognises, read, "train.bson", unused=("group_column", "image_column"))
