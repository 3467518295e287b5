"""What can be shown without asking the daemon."""
