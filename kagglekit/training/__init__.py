"""Folds to runs on disk."""
