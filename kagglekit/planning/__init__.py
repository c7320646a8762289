"""What to train, what it costs, and whether it can learn."""
