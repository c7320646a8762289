"""Exporting a run's network for deployment."""
