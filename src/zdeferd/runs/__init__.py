"""Starts, follows and ends runs: the daemon's loop."""
