"""What is true, and how it is recorded."""
