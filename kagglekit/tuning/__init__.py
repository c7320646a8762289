"""Search for better knobs."""
