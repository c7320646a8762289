"""Layout: one folder of images per class, below train/ or at the top, with or without a folder test/."""

import pandas as pd

from kagglekit._checks import check_unique
from kagglekit.competition.layouts.csv_folder import find_sample
from kagglekit.competition.layouts.image_files import check_inside, find_sources, list_images
from kagglekit.competition.tables import Competition, read_text_csv


def recognises(folder):
    return len(_classes(folder)) >= 2


def read(folder, *, metric="accuracy"):
    """Read the layout. The image_id is the path below the class folders' parent, `<class>/<file>`."""
    top = _top(folder)
    train = pd.DataFrame(
        [
            {"image_id": image.removeprefix(f"{top}/"), "source": image, "label": name}
            for name in _classes(folder)
            for image in list_images(folder, below=f"{top}/{name}" if top else name)
        ],
        dtype=object,
    )
    train["id"] = train["image_id"]
    sample_path = find_sample(folder)
    sample = read_text_csv(sample_path) if sample_path else None
    images = list_images(folder, below="test") if (folder / "test").is_dir() else []
    check_inside([*train["source"], *images], folder)
    if sample is not None:
        check_unique(f"{sample.columns[0]} in {sample_path}", sample.iloc[:, 0])
        ids = sample.iloc[:, 0].tolist()
        sources = find_sources(ids, images, ("test",), csv=sample_path, root=folder)
    else:
        ids, sources = [image.removeprefix("test/") for image in images], images
    test = pd.DataFrame({"image_id": ids, "id": ids, "source": sources}, dtype=object)
    return Competition(
        name=folder.name,
        root=folder,
        train=train,
        test=test,
        sample_submission=sample,
        id_column="id" if sample is None else sample.columns[0],
        label_column=sample.columns[1] if sample is not None and len(sample.columns) == 2 else "label",
        metric=metric,
    )


def _top(folder):
    return "train" if (folder / "train").is_dir() else ""


def _classes(folder):
    """Names of the folders that hold an image directly or deeper, without hidden ones and a `test` at the top."""
    top = _top(folder)
    parent = folder / top
    names = sorted(path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [name for name in names if (top or name != "test") and list_images(parent, below=name)]
