"""What the data are like and what is wrong with them, before a run finds out at hour eleven."""
