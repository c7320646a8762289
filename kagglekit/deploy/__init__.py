"""A run leaves the notebook."""
