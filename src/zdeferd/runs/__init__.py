"""What becomes of runs: the daemon's loop."""
