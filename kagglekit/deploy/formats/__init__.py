"""The formats that a network is exported to, one file each."""

from kagglekit.deploy.formats import keras, litert

FORMATS = {"litert": litert.FORMAT, "keras": keras.FORMAT}
