"""Reads the machine, and opens the paths on it that are safely ours."""
