"""Networks in keras and keras.ops alone: they run on the TensorFlow and the JAX backend."""
