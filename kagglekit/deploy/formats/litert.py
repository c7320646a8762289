"""LiteRT, formerly TensorFlow Lite: for phones and CPUs."""

import contextlib
import logging
import warnings

import keras
import numpy as np

from kagglekit.deploy.formats.base import Format


def write(saved, path):
    """Convert a saved network."""
    model = keras.saving.load_model(saved, compile=False, safe_mode=True)
    with _quiet_tensorflow():
        model.export(str(path), format="litert", verbose=False)


def predict(path, images):
    """Predict one image after another with the format's interpreter."""
    interpreter = _interpreter(path)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target["index"])[0])
    return np.stack(rows)


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


def _interpreter(path):
    """The LiteRT package's interpreter where it is installed, else TensorFlow's own, which 2.20 and 2.21 still have."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow.lite.python.interpreter import Interpreter
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated.*")
        return Interpreter(str(path))


FORMAT = Format(".tflite", write, predict)
