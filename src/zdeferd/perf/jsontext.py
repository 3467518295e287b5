"""Lays out JSON documents for people who read them with grep and sed.

One top-level key a line; an object of objects, or a list of objects, one of them a line; all
else inline. Fractions have two decimals, but for values that stand as they were read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


class AsRead(list[float]):
    """Numbers that keep all of their digits."""


def layout(document: Document) -> str:
    """Return the text of a document, with its last newline."""
    lines = [f"  {_dumped(key)}: {_block(value)}" for key, value in document.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n" if lines else "{}\n"


def _block(value: object) -> str:
    if isinstance(value, dict) and value and all(isinstance(one, dict) for one in value.values()):
        lines = [f"    {_dumped(key)}: {inline(one)}" for key, one in value.items()]
        return "{\n" + ",\n".join(lines) + "\n  }"
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return "[\n" + ",\n".join(f"    {inline(one)}" for one in value) + "\n  ]"
    return inline(value)


def inline(value: object) -> str:
    """Return a value as JSON on one line; ValueError for what JSON cannot hold."""
    if isinstance(value, AsRead):
        return _dumped(list(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_dumped(k)}: {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"no number: {value}")
        return decimals(value)
    return _dumped(value)


def _dumped(value: object) -> str:
    import json  # takes as long as three of our modules, and `--help` writes none

    return json.dumps(value, allow_nan=False)


def decimals(value: float) -> str:
    """Return a number with two decimals, and no minus sign before zeros."""
    return f"{round(value, 2) + 0.0:.2f}"


def signed(percent: float) -> str:
    """Return a percentage with two decimals and its sign: +1.20, -3.00, +0.00."""
    return f"{round(percent, 2) + 0.0:+.2f}"
