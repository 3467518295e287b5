"""Records and reads the durable state."""
