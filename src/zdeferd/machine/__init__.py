"""What the machine says, and what is safely ours on it."""
