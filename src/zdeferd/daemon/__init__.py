"""How the process starts, serves and leaves."""
