"""What became of an attempt."""
