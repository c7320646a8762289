"""What the raw images are like: facts, duplicates, shift, a verdict, and repairs."""
