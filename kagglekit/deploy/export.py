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
    """Write one network of a run as a file for deployment: it takes raw pixels in `[0, 255]` and gives probabilities.

    Args:
        run: a `Run` with a finished fold.
        path: file to write. Defaults to `export/<run>-fold<k>.tflite` (`-refit`, `.keras`) in the run's folder.
        format: key of `kagglekit.deploy.formats.FORMATS`: `"litert"` (for phones and CPUs, formerly TensorFlow Lite) or
            `"keras"`.
        fold: number of the fold whose network to write, or `"refit"` for the one that `kk.refit` trained on all rows.
            Defaults to the fold with the best held-out score.

    Returns:
        Path of the file. A `.txt` next to it holds the class names, one per line, in the order of the outputs.

    Raises:
        ValueError: for an unknown format, a path with another extension, or a network that takes metadata.
    """
    check_choice("format", format, FORMATS)
    check_no_metadata(run.recipe, "export")
    export_format, fold = FORMATS[format], run.best_fold if fold is None else fold
    path = Path(path or run.folder / "export" / f"{run.name}-{run.fold_folder(fold).name}{export_format.suffix}")
    if path.suffix != export_format.suffix:
        raise ValueError(f"expected a path that ends with {export_format.suffix} for format {format!r}, got {path}")
    with written_whole(path) as temporary:
        export_format.write(run.model_file(fold), temporary)
    with written_whole(path.with_suffix(".txt")) as temporary:
        temporary.write_text("\n".join(run.info["class_names"]) + "\n", encoding="utf-8")
    return path


def check_export(run, path, *, fold, most=64):
    """Compare an exported file with the network that it came from, on held-out images of a fold of the run.

    Args:
        run: the `Run`.
        path: file that `export` wrote; its suffix tells the format.
        fold: the fold or `"refit"` that it was exported from, as in `export`.
        most: largest number of images.

    Returns:
        Dict with `images`, `same_class` (share of images with the same most probable class), `largest_difference` (of
        probabilities) and `megabytes` of the file.

    Raises:
        ValueError: if a predicted class differs, or a probability by more than 0.01; for a network that takes metadata;
            or if no format has the suffix of `path`.
    """
    check_no_metadata(run.recipe, "check_export")
    path, format_of_suffix = Path(path), {export_format.suffix: export_format for export_format in FORMATS.values()}
    check_choice("the suffix of path", path.suffix, format_of_suffix)
    recipe = run.recipe.replace(batch_size=min(most, 16))
    records = run.records()
    records_fold = records.folds[0] if fold == "refit" else fold  # any images will do for a comparison
    dataset = eval_dataset(records, recipe, records_fold).take(-(-most // recipe.batch_size))
    images = np.concatenate([batch.numpy() for batch, _, _ in dataset])[:most]
    expected = inference(run.model(fold))(images).numpy()
    predicted = format_of_suffix[path.suffix].predict(path, images)
    report = {
        "images": len(images),
        "same_class": float((expected.argmax(axis=1) == predicted.argmax(axis=1)).mean()),
        "largest_difference": float(np.abs(expected - predicted).max()),
        "megabytes": round(path.stat().st_size / 2**20, 2),
    }
    tolerance = 0.01 * max(1, float(np.abs(expected).max()))  # a regression may predict thousands
    if report["same_class"] < 1 or report["largest_difference"] > tolerance:
        network_name = "the refit" if fold == "refit" else f"fold {fold}"
        raise ValueError(f"{path} does not predict what the network of {network_name} does: {report}; do not deploy it")
    return report
