"""How zdeferd gets onto a machine, and off it."""
