"""What is wrong with the images, before a run finds out at hour eleven."""
