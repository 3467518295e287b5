"""Lists the objects that the JSON sidecar may hold, and finds what a line has besides.

The allow-list has the keys of each type, of the daemon's objects (sidecar.py) and of the shell's,
and a rule for the values of each key. `deviations` names keys, never values: they may be private.
"""

import json
import re
from collections.abc import Callable, Iterator

from ..model import ID_PATTERN
from .lines import LABEL_PATTERN, Phase
from .sidecar import SIDECAR_OBJECTS

FEATURE_PATTERN = r"[a-z0-9][a-z0-9_-]{0,63}"
"""Names of features."""
SEGMENT_LIMIT_MS = 600_000
"""No part of a start-up takes ten minutes."""

ALLOWED: dict[str, tuple[str, ...]] = {
    str(kind.__struct_config__.tag): ("type", *kind.__struct_fields__) for kind in SIDECAR_OBJECTS
} | {
    "feature_timing": ("type", "feature", "ms", "phase", "sequence", "version", "ts_epoch_ms"),
}
"""The keys of each type of object, in their order."""


def _whole(value: object) -> bool:
    return type(value) is int and value >= 0


def _matching(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value, re.ASCII))


def _instant(value: object) -> bool:
    return type(value) is int and 10**12 <= value < 10**13


_VALUES: dict[str, Callable[[object], bool]] = {
    "type": lambda value: value in ALLOWED,
    "name": _matching(LABEL_PATTERN),
    "id": _matching(ID_PATTERN),
    "feature": _matching(FEATURE_PATTERN),
    "sample": _matching(r"[A-Za-z0-9._-]{1,64}"),
    "phase": lambda value: isinstance(value, str) and value in tuple(Phase),
    "rc": lambda value: _whole(value) and value <= 255,  # type: ignore[operator]
    "ts": _instant,
    "ts_epoch_ms": _instant,
    "sequence": lambda value: _whole(value) and value != 0,
    "version": lambda value: type(value) is int and value == 1,
    "timeout": lambda value: isinstance(value, bool),
    "budget_exceeded": lambda value: isinstance(value, bool),
}
"""The allowed values of a key; of other keys: a whole number."""
_OF_TYPE: dict[tuple[str, str], Callable[[object], bool]] = {
    ("segment", "ms"): lambda value: _whole(value) and value < SEGMENT_LIMIT_MS,  # type: ignore[operator]
    ("feature_timing", "phase"): lambda value: value == "init",
}
"""The same, where a type is stricter."""


def deviations(line: bytes, allow_extra: bool = False) -> list[str] | None:
    """Return what the allow-list has against a line; None: it does not begin as a JSON object."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        pairs = json.loads(line, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return ["a line that is no JSON object"]
    return list(_deviations(pairs, allow_extra))


def _deviations(pairs: list[tuple[str, object]], allow_extra: bool) -> Iterator[str]:
    found = dict(pairs)
    kind = found.get("type")
    if not isinstance(kind, str) or kind not in ALLOWED:
        yield "an unknown type"
        return
    if len(found) != len(pairs):
        yield f"{kind}: a key that is there twice"
    for key in ALLOWED[kind]:
        if key not in found:
            yield f"{kind}: a key is missing: {key}"
        elif not _OF_TYPE.get((kind, key), _VALUES.get(key, _whole))(found[key]):
            yield f"{kind}: a value that is not allowed: {key}"
    if not allow_extra:
        for key in sorted(found.keys() - set(ALLOWED[kind])):
            shown = key if re.fullmatch(r"[a-z_]{1,32}", key, re.ASCII) else "(not shown)"
            yield f"{kind}: a key that is not allowed: {shown}"
