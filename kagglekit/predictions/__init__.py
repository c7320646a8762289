"""Predictions keyed by id: blends, submissions and their scores. No TensorFlow here."""
