"""Structs as text for the ledger: ASCII JSON.

What comes from a shell may hold any bytes, carried in Python as surrogates that
MessagePack and UTF-8 refuse; the standard library's JSON escapes them and brings
them back. And a person can read it in the ledger with any SQLite tool.
"""

import json
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from ..model import Work

T = TypeVar("T")
_encode = json.JSONEncoder(separators=(",", ":")).encode


def pack(value: Any) -> str:
    """`value` (a Struct, or plain data) as one line of ASCII."""
    return _encode(msgspec.to_builtins(value))


class _Same:
    """A value by its identity, which it keeps for as long as this lives."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


@lru_cache(maxsize=256)
def _pack_same(same: _Same) -> str:
    return pack(same.value)


def pack_again(value: Any) -> str:
    """As `pack`, for what is packed again and again and never changes in between."""
    return _pack_same(_Same(value))


def pack_work(work: Work) -> str:
    """As `pack`: most of what a visit claims has the environment of one shell."""
    return f'{{"job":{pack_again(work.job)},"env":{pack_again(work.env)}}}'


def unpack(text: str, kind: type[T]) -> T:
    """What `pack` was given; msgspec.ValidationError where it is no `kind`."""
    return msgspec.convert(json.loads(text), kind)
