"""Cuts a message's bytes into frames, makes records of these, and packs lists into a field.

Also the address of the socket that they go through.
"""

import os
from collections.abc import Iterable
from typing import Any

from ..errors import WireError

MAX_FRAMES = 4096
MAX_FRAME_BYTES = 1 << 18


def frames_of(data: bytes) -> list[bytes]:
    """Return the frames of one message in ZMTP 3.0; WireError where `data` is not that."""
    frames = []
    at, flags = 0, 1
    while at < len(data) and flags & 1:
        flags = data[at]
        wide = 8 if flags & 2 else 1
        start = at + 1 + wide
        at = start + int.from_bytes(data[at + 1 : start])
        frames.append(data[start:at])
        if flags > 3 or at > len(data):
            raise WireError("pieces of a visit that make no message")
    if flags & 1 or at != len(data):
        raise WireError("pieces of a visit that make no message")
    return frames


def records_of(frames: list[bytes]) -> list[tuple[str, dict[str, str]]]:
    """Return of each record its name and its fields; WireError where a field has no record."""
    out: list[tuple[str, dict[str, str]]] = []
    for frame in frames:
        text = frame.decode("utf-8", "surrogateescape")
        name, equals, value = text.partition("=")
        if not equals:
            out.append((text, {}))
        elif not out:
            raise WireError(f"a field before any record: {name[:40]!r}")
        elif name in out[-1][1]:
            raise WireError(f"repeated field: {out[-1][0]}.{name[:40]}")
        else:
            out[-1][1][name] = value
    return out


def split(text: str) -> tuple[str, ...]:
    """Split a list field into its elements."""
    return tuple(text.split("\0")) if text else ()


def split_map(text: str) -> dict[str, str]:
    """Turn a `NAME=VALUE` list into a dictionary."""
    return as_map(split(text))


def as_map(words: Iterable[str]) -> dict[str, str]:
    """Turn `NAME=VALUE` words into a dictionary; words without `=` are dropped."""
    return dict(word.split("=", 1) for word in words if "=" in word)


def answer(name: str, **fields: object) -> list[bytes]:
    """Encode an answer to a shell: `ok`, `error` or `again`, with its fields."""
    return [name.encode(), *(f"{k}={v}".encode(errors="replace") for k, v in fields.items())]


def address(path: str) -> Any:
    """Return the address of a socket as pyzmq takes it: text, or bytes where it is no UTF-8."""
    data = os.fsencode(f"ipc://{path}")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
