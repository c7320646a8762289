"""What people look at; each plot returns its Axes."""
