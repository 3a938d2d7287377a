"""A run's network as one file for other programs, checked before it counts as done."""
