"""Draws pictures: the live one of `top`, the pages of `--html`."""
