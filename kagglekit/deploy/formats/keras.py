"""Keras's own format: a copy of the file that the run saved."""

import shutil

from kagglekit.deploy.formats.base import Format
from kagglekit.inference.traced import inference


def predict(path, images):
    """Predict with the network as Keras loads it."""
    import keras

    return inference(keras.saving.load_model(path, compile=False, safe_mode=True))(images).numpy()


FORMAT = Format(".keras", shutil.copyfile, predict)
