"""Shows runs, jobs and health without asking the daemon."""
