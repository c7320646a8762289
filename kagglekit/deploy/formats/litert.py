"""LiteRT, formerly TensorFlow Lite: for phones and CPUs."""

import contextlib
import logging
import warnings

import keras
import numpy as np

from kagglekit.deploy.formats.base import Format


def write(model_file, path):
    """Convert a saved `.keras` file."""
    model = keras.saving.load_model(model_file, compile=False, safe_mode=True)
    with _quiet_tensorflow():
        model.export(str(path), format="litert", verbose=False)


def predict(path, images):
    """Predict one image at a time with the format's interpreter."""
    interpreter = _interpreter(path)
    interpreter.allocate_tensors()
    input_details, output_details = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    predictions = []
    for image in images:
        interpreter.set_tensor(input_details["index"], image[None])
        interpreter.invoke()
        predictions.append(interpreter.get_tensor(output_details["index"])[0])
    return np.stack(predictions)


@contextlib.contextmanager
def _quiet_tensorflow():
    """Suppress the line that TensorFlow logs for every file of the intermediate saved model."""
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
