"""What may run, and where it is declared."""
