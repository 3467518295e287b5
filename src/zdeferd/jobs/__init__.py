"""The jobs that may run, and their declarations."""
