"""Which processes belong to an attempt, and what they use. Standard library only."""
