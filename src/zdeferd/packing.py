"""Structs as text for the ledger: ASCII JSON.

What comes from a shell may hold any bytes, carried in Python as surrogates that
MessagePack and UTF-8 refuse; the standard library's JSON escapes them and brings
them back. And a person can read it in the ledger with any SQLite tool.
"""

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_encode = json.JSONEncoder(separators=(",", ":")).encode


def pack(value: Any) -> str:
    """`value` (a Struct, or plain data) as one line of ASCII."""
    return _encode(msgspec.to_builtins(value))


def unpack(text: str, kind: type[T]) -> T:
    """What `pack` was given; msgspec.ValidationError where it is no `kind`."""
    return msgspec.convert(json.loads(text), kind)
