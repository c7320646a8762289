"""One file that predicts what the run's network predicts, on a phone or a server without this library."""

import contextlib
import logging
import shutil
import warnings
from pathlib import Path

import keras
import numpy as np

from kagglekit._checks import check_choice
from kagglekit._files import written_whole
from kagglekit.inference.traced import inference
from kagglekit.pipeline.datasets import eval_dataset
from kagglekit.pipeline.metadata import check_pixels_alone

FORMATS = {"litert": ".tflite", "keras": ".keras"}


def export(run, path=None, *, format="litert", fold=None):
    """Write one network of a run as a file for deployment: raw pixels in `[0, 255]` in, probabilities out.

    Args:
        run: a `Run` with a finished fold.
        path: file to write. Defaults to `export/<run>-fold<k>.tflite` (`-refit`, `.keras`) in the run's folder.
        format: `"litert"` (for phones and CPUs, formerly TensorFlow Lite) or `"keras"`.
        fold: whose network: a fold's number, or `"refit"` for the one that `kk.refit` trained on all rows. Defaults to
            the fold with the best held-out score.

    Returns:
        Path of the file. The class names stand beside it in a `.txt`, one a line, in the order of the outputs.

    Raises:
        ValueError: for an unknown format, a path with another extension, or a network that takes metadata.
    """
    check_choice("format", format, FORMATS)
    check_pixels_alone(run.recipe, "export")
    fold = run.best_fold if fold is None else fold
    path = Path(path or run.folder / "export" / f"{run.name}-{run.fold_folder(fold).name}{FORMATS[format]}")
    if path.suffix != FORMATS[format]:
        raise ValueError(f"expected a path that ends with {FORMATS[format]} for format {format!r}, got {path}")
    with written_whole(path) as temporary:
        if format == "keras":
            shutil.copyfile(run.fold_folder(fold) / "model.keras", temporary)
        else:
            with _quiet_tensorflow():
                run.model(fold).export(str(temporary), format="litert", verbose=False)
    with written_whole(path.with_suffix(".txt")) as temporary:
        temporary.write_text("\n".join(run.info["class_names"]) + "\n", encoding="utf-8")
    return path


def check_export(run, path, *, fold, most=64):
    """Compare an exported file with the network that it came from, on images of the run: held-out ones of a fold.

    Args:
        run: the `Run`.
        path: file that `export` wrote.
        fold: whose network it is, as `export` takes it.
        most: number of images.

    Returns:
        Dict with `images`, `same_class` (share of images with the same most probable class), `largest_difference` (of
        probabilities) and `megabytes` of the file.

    Raises:
        ValueError: if a class differs or a probability by more than 0.01, or for a network that takes metadata.
    """
    check_pixels_alone(run.recipe, "check_export")
    recipe = run.recipe.replace(batch_size=min(most, 16))
    records = run.records()
    part = records.folds[0] if fold == "refit" else fold  # any images do for a comparison
    dataset = eval_dataset(records, recipe, part).take(-(-most // recipe.batch_size))
    images = np.concatenate([batch.numpy() for batch, _, _ in dataset])[:most]
    expected = inference(run.model(fold))(images).numpy()
    found = _predict(Path(path), images)
    result = {
        "images": len(images),
        "same_class": float((expected.argmax(axis=1) == found.argmax(axis=1)).mean()),
        "largest_difference": float(np.abs(expected - found).max()),
        "megabytes": round(Path(path).stat().st_size / 2**20, 2),
    }
    allowed = 0.01 * max(1, float(np.abs(expected).max()))  # a regression may predict thousands
    if result["same_class"] < 1 or result["largest_difference"] > allowed:
        whose = "the refit" if fold == "refit" else f"fold {fold}"
        raise ValueError(f"{path} does not predict what the network of {whose} does: {result}; do not ship it")
    return result


@contextlib.contextmanager
def _quiet_tensorflow():
    """Hold back TensorFlow's line for every file of the saved model that it writes in between."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _predict(path, images):
    if path.suffix == ".keras":
        return inference(keras.saving.load_model(path, compile=False, safe_mode=True))(images).numpy()
    interpreter = _interpreter(path)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target["index"])[0])
    return np.stack(rows)


def _interpreter(path):
    """The LiteRT package's interpreter where it is installed, else TensorFlow's own, which 2.20 and 2.21 still have."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow.lite.python.interpreter import Interpreter
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated.*")
        return Interpreter(str(path))
