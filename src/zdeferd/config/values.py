"""Reads the values of keys: texts, ids, triggers, variables, numbers within bounds.

Each reader is given a value of a TOML file and the home folder; it raises ValueError or
msgspec.ValidationError where the value cannot be read.
"""

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ..model import ID_PATTERN, Argv, Code, Retry, Scope, Trigger
from .units import parse_duration, parse_path

NOTIFY = ("off", "prompt", "desktop")
Number = TypeVar("Number", int, float)


def is_id(text: str) -> bool:
    """Return whether `text` can be a job's id."""
    return re.fullmatch(ID_PATTERN, text, re.ASCII) is not None


def read_text(value: object, _home: str = "") -> str:
    """Return the text; ValueError where it holds a NUL byte."""
    text = msgspec.convert(value, str)
    if "\0" in text:
        raise ValueError("a NUL byte")
    return text


def read_texts(value: object) -> tuple[str, ...]:
    """Return the texts of an array."""
    return tuple(read_text(word) for word in msgspec.convert(value, list[str]))


def read_run(value: object, _home: str) -> Code | Argv:
    """Return zsh code for a text, a command for an array."""
    if isinstance(value, str) and value.strip():
        return Code(read_text(value))
    words = read_texts(value)
    if not words or not words[0]:
        raise ValueError("no command")
    return Argv(words)


def read_triggers(value: object, _home: str) -> tuple[Trigger, ...]:
    """Return the triggers, each once; ValueError where there is none."""
    triggers = tuple(dict.fromkeys(msgspec.convert(value, list[Trigger])))
    if not triggers:
        raise ValueError("no trigger")
    return triggers


def read_scope(value: object, _home: str) -> Scope:
    """Return the scope."""
    return msgspec.convert(value, Scope)


def read_ids(value: object, _home: str) -> tuple[str, ...]:
    """Return the ids of an array."""
    ids = read_texts(value)
    if not all(map(is_id, ids)):
        raise ValueError("not an id")
    return ids


def read_watch(value: object, home: str) -> tuple[str, ...]:
    """Return the watched words of an array, their paths absolute."""
    return tuple(_watched(word, home) for word in read_texts(value))


def _watched(word: str, home: str) -> str:
    scheme, colon, name = word.partition(":")
    if colon and scheme == "env":
        return f"env:{next(iter(read_variables({name: ''}, home)))}"
    if colon and scheme == "zsh" and re.fullmatch(r"[\w.-]{1,40}", name):
        return word
    if colon and scheme == "fpath":
        return f"fpath:{parse_path(name, home)}"
    if not (colon and scheme == "command"):
        return parse_path(word, home)
    if not name or "/" in name:
        raise ValueError("not the name of a command")
    return word


def read_flag(value: object, _home: str) -> bool:
    """Return true or false."""
    return msgspec.convert(value, bool)


def read_variables(value: object, _home: str) -> dict[str, str]:
    """Return the variables and their values."""
    variables = msgspec.convert(value, dict[str, str])
    if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII) for name in variables):
        raise ValueError("not the name of a variable")
    return {name: read_text(text) for name, text in variables.items()}


def bounded(
    parse: Callable[[object], Number], least: float, most: float = math.inf
) -> Callable[[Any, str], Number]:
    """Return a reader of what `parse` returns, from `least` to `most`."""

    def read(value: object, _home: str) -> Number:
        number = parse(value)
        if not least <= number <= most:
            raise ValueError("out of range")
        return number

    return read


def read_whole(value: object) -> int:
    """Return the whole number."""
    return msgspec.convert(value, int)


def read_notify(value: object, _home: str) -> str | tuple[str, ...]:
    """Return the way by which a user is told of a failure; ValueError where it is none."""
    if isinstance(value, str):
        if value not in NOTIFY:
            raise ValueError("not a way to tell")
        return value
    words = read_texts(value)
    if not words or not words[0]:
        raise ValueError("no command")
    return words


def read_retry(value: object, home: str) -> Retry:
    """Return how a job is tried again: of a table, or of `ATTEMPTS[:BACKOFF]`."""
    if isinstance(value, str):
        words = re.fullmatch(r"([1-9][0-9]{0,2})(?::(.+))?", value, re.ASCII)
        if words is None:
            raise ValueError("not a number of runs, and a wait")
        value = {"attempts": int(words[1])} | ({"backoff": words[2]} if words[2] else {})
    table = msgspec.convert(value, dict[str, object])
    if not table or table.keys() - _RETRY.keys():
        raise ValueError("not the keys of a retry")
    return Retry(**{_RETRY[name][0]: _RETRY[name][1](table[name], home) for name in table})


_RETRY: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "attempts": ("attempts", bounded(read_whole, 1, 100)),
    "backoff": ("backoff_s", bounded(parse_duration, 0.1, 3600)),
}
"""The keys of a retry: the field, and the reader of its value."""
