"""Measures, judges and records how long shells take to start."""
