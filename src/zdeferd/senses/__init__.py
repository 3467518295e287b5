"""The readings that conditions depend on, and their changes."""
