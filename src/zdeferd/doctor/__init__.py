"""Checks an installation: each finding comes with its remedy."""
