"""Arithmetic on probabilities keyed by id: metrics, ensembles, submissions. No TensorFlow here."""
