"""Draws what stays on a screen or a page: the live picture of `top`, the pages of `--html`."""
