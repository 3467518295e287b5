"""Reads durations, instants, sizes and paths as people write them.

`20s`, `5m`, `1.5h`, `90d`; `64KiB`, `1MiB`; `~/x`, `$HOME/x`.
"""

import math
import re
from collections.abc import Mapping

SECONDS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
BYTES = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
LONGEST_S = 100 * 365 * 86400
"""A duration of more than a century is a mistake in its unit."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])", re.ASCII)
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?", re.ASCII)
_NUMBER_UNIT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]*)", re.ASCII)


def parse_duration(value: object) -> float:
    """Return seconds, from a text with a unit or a number of seconds; ValueError otherwise."""
    seconds = _amount(value, SECONDS)
    if not 0 <= seconds <= LONGEST_S:
        raise ValueError(f"not a duration: {value!r}")
    return seconds


def parse_size(value: object) -> int:
    """Return bytes, from a text with a unit or a number of bytes; ValueError otherwise."""
    size = _amount(value, BYTES)
    if not 0 <= size < 1 << 50 or size != int(size):
        raise ValueError(f"not a size: {value!r}")
    return int(size)


def parse_path(value: object, home: str) -> str:
    """Return an absolute path, from one that may begin with the home folder. ValueError."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("not a path")
    text = value
    for prefix in ("~", "$HOME", "${HOME}"):
        if text == prefix or text.startswith(f"{prefix}/"):
            text = home + text[len(prefix) :]
    if not text.startswith("/"):
        raise ValueError("not an absolute path")
    return text.rstrip("/") or "/"


def parse_instant(text: str, now: float) -> float:
    """Return the instant that a text means, in seconds since the epoch. ValueError.

    A duration means so long before `now`; dates and times are those of the local calendar, a
    time without a date of today.
    """
    from datetime import datetime, timedelta  # 2 ms, which only a time costs

    today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"today": 0, "yesterday": 1}
    if text in days:
        return (today - timedelta(days=days[text])).timestamp()
    if _TIME.fullmatch(text):
        text = f"{today:%Y-%m-%d} {text}"
    if _DATE.match(text):
        return datetime.fromisoformat(text).timestamp()
    return now - parse_duration(text)


def _amount(value: object, units: Mapping[str, float]) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        # No float holds an int of 400 digits; every unit ends far below this limit.
        return float(value) if abs(value) < 1 << 63 else math.nan
    match = _NUMBER_UNIT.fullmatch(value) if isinstance(value, str) else None
    unit = units.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ValueError(f"not a number with a unit: {value!r}")
    return float(match[1]) * unit
