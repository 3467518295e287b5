"""How one attempt runs, away from the daemon. Standard library only."""
