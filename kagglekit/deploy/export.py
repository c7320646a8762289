"""One file that predicts what the run's network predicts, on a phone or a server without this library."""

from pathlib import Path

import numpy as np

from kagglekit._checks import check_choice
from kagglekit._files import written_whole
from kagglekit.deploy.formats import FORMATS
from kagglekit.inference.traced import inference
from kagglekit.pipeline.datasets import eval_dataset
from kagglekit.pipeline.metadata import check_no_metadata


def export(run, path=None, *, format="litert", fold=None):
    """Write one network of a run as a file for deployment: raw pixels in `[0, 255]` in, probabilities out.

    Args:
        run: a `Run` with a finished fold.
        path: file to write. Defaults to `export/<run>-fold<k>.tflite` (`-refit`, `.keras`) in the run's folder.
        format: key of `kagglekit.deploy.formats.FORMATS`: `"litert"` (for phones and CPUs, formerly TensorFlow Lite) or
            `"keras"`.
        fold: whose network: a fold's number, or `"refit"` for the one that `kk.refit` trained on all rows. Defaults to
            the fold with the best held-out score.

    Returns:
        Path of the file. The class names stand beside it in a `.txt`, one a line, in the order of the outputs.

    Raises:
        ValueError: for an unknown format, a path with another extension, or a network that takes metadata.
    """
    check_choice("format", format, FORMATS)
    check_no_metadata(run.recipe, "export")
    chosen, fold = FORMATS[format], run.best_fold if fold is None else fold
    path = Path(path or run.folder / "export" / f"{run.name}-{run.fold_folder(fold).name}{chosen.suffix}")
    if path.suffix != chosen.suffix:
        raise ValueError(f"expected a path that ends with {chosen.suffix} for format {format!r}, got {path}")
    with written_whole(path) as temporary:
        chosen.write(run.model_file(fold), temporary)
    with written_whole(path.with_suffix(".txt")) as temporary:
        temporary.write_text("\n".join(run.info["class_names"]) + "\n", encoding="utf-8")
    return path


def check_export(run, path, *, fold, most=64):
    """Compare an exported file with the network that it came from, on images of the run: held-out ones of a fold.

    Args:
        run: the `Run`.
        path: file that `export` wrote; its ending tells the format.
        fold: whose network it is, as `export` takes it.
        most: number of images.

    Returns:
        Dict with `images`, `same_class` (share of images with the same most probable class), `largest_difference` (of
        probabilities) and `megabytes` of the file.

    Raises:
        ValueError: if a class differs or a probability by more than 0.01, for a network that takes metadata, or a path
            with the ending of no format.
    """
    check_no_metadata(run.recipe, "check_export")
    path, formats = Path(path), {known.suffix: known for known in FORMATS.values()}
    check_choice("the ending of path", path.suffix, formats)
    recipe = run.recipe.replace(batch_size=min(most, 16))
    records = run.records()
    part = records.folds[0] if fold == "refit" else fold  # any images do for a comparison
    dataset = eval_dataset(records, recipe, part).take(-(-most // recipe.batch_size))
    images = np.concatenate([batch.numpy() for batch, _, _ in dataset])[:most]
    expected = inference(run.model(fold))(images).numpy()
    found = formats[path.suffix].predict(path, images)
    result = {
        "images": len(images),
        "same_class": float((expected.argmax(axis=1) == found.argmax(axis=1)).mean()),
        "largest_difference": float(np.abs(expected - found).max()),
        "megabytes": round(path.stat().st_size / 2**20, 2),
    }
    allowed = 0.01 * max(1, float(np.abs(expected).max()))  # a regression may predict thousands
    if result["same_class"] < 1 or result["largest_difference"] > allowed:
        whose = "the refit" if fold == "refit" else f"fold {fold}"
        raise ValueError(f"{path} does not predict what the network of {whose} does: {result}; do not ship it")
    return result
