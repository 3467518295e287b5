"""The lines that other programs read."""
