"""How what users write in TOML is read and refused."""
