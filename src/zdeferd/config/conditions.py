"""Reads `when`, the conditions of a job: a table in a file, `KEY=VALUE` words of a shell.

One row a key, as in jobs/keys.py; docs/conditions.md lists them, and a test compares.
"""

import math
import re
from collections.abc import Callable, Iterable
from datetime import time
from typing import Any, NamedTuple

import msgspec

from ..conditions import Conditions, Power
from .problems import Problem, Refused, kind, shown
from .units import parse_duration
from .values import bounded, read_flag

_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_DURATION = "a duration such as '30s', '5m'"
_MOMENT = "a duration after the claim such as '10m', or a time of day such as '22:00'"


class ConditionKey(NamedTuple):
    """A key of `when`. `read(value, home)` raises ValueError on a bad value."""

    field: str
    expected: str
    read: Callable[[Any, str], object]


def _power(value: object, _home: str) -> Power:
    return msgspec.convert(value, Power)


def _load(value: object, _home: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    load = float(value)
    if not (math.isfinite(load) and load > 0):
        raise ValueError("not a load")
    return load


def _online(value: object, home: str) -> bool:
    if value != "true" and not read_flag(value, home):
        raise ValueError("no condition")
    return True


def _moment(value: object, _home: str) -> float | str:
    """Return seconds for a duration, `HH:MM` for a time of day."""
    text = value.isoformat("minutes") if isinstance(value, time) else value
    found = _TIME_OF_DAY.fullmatch(text) if isinstance(text, str) else None
    return f"{int(found[1]):02}:{found[2]}" if found else parse_duration(text)


CONDITION_KEYS: dict[str, ConditionKey] = {
    "quiet": ConditionKey("quiet_s", f"{_DURATION}, at least 1 s", bounded(parse_duration, 1)),
    "power": ConditionKey("power", "'ac' or 'battery'", _power),
    "load_below": ConditionKey("load_below", "a number above 0, such as 1.5", _load),
    "online": ConditionKey("online", "true, or no such key", _online),
    "not_before": ConditionKey("not_before", _MOMENT, _moment),
    "deadline": ConditionKey("deadline", _MOMENT, _moment),
}
"""Every key of `when`."""
EXPECTED = f"a table with one or more of {', '.join(CONDITION_KEYS)}"


def read_conditions(value: object, home: str) -> Conditions:
    """Return the conditions of a table; Refused has every mistake in it."""
    if not isinstance(value, dict) or not value:
        raise Refused(Problem("when", "{}" if value == {} else kind(value), EXPECTED))
    fields: dict[str, Any] = {}
    problems = []
    for name, item in value.items():
        key = CONDITION_KEYS.get(name)
        if key is None:
            expected = f"one of {', '.join(CONDITION_KEYS)}"
            problems.append(Problem(f"when.{name}", "an unknown key", expected))
            continue
        try:
            fields[key.field] = key.read(item, home)
        except (ValueError, msgspec.ValidationError):
            problems.append(Problem(f"when.{name}", shown(item), key.expected))
    problems += _contradictions(fields)
    if problems:
        raise Refused(*problems)
    return Conditions(**fields)


def _contradictions(fields: dict[str, Any]) -> list[Problem]:
    """Return what is wrong between a deadline and the instant before it."""
    opens, closes = fields.get("not_before"), fields.get("deadline")
    if closes is None:
        return []
    if closes == 0.0:
        return [Problem("when.deadline", _worded(closes), "a duration above 0, or a time of day")]
    if opens is None:
        return []
    found = f"{_worded(closes)} beside not_before = {_worded(opens)}"
    if type(opens) is not type(closes):
        expected = "both as durations, or both as times of day"
        return [Problem("when.deadline", found, expected)]
    if opens == closes or (isinstance(closes, float) and closes < opens):
        return [Problem("when.deadline", found, "an instant after not_before")]
    return []


def _worded(moment: float | str) -> str:
    return repr(moment) if isinstance(moment, str) else f"{moment:g} s"


def conditions_of_words(words: Iterable[str]) -> dict[str, str]:
    """Return the table of `KEY=VALUE` words; a word without `=` has the value `true`."""
    pairs = (word.partition("=") for word in words)
    return {name: value if equals else "true" for name, equals, value in pairs}
