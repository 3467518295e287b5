"""What shells and zdeferctl send, and how it arrives."""
