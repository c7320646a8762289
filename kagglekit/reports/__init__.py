"""Figures; each function returns its Axes."""
