"""Limits of resources: what the daemon sets for itself, and what a job gets back.

The daemon needs many descriptors, because libzmq ends the process where it has none
left. It needs a limit of memory, because libzmq keeps a message of any number of frames.
A job gets the limits that the daemon found at its start.

Standard library only, without typing: the spawner imports it.
"""

from __future__ import annotations

import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_DESCRIPTORS = 10_240
"""Where the hard limit is `unlimited`. macOS takes no larger number either way."""
DATA_BYTES = 512 << 20
"""Twelve times the memory of a daemon under the floods of tests/floods."""
_NUMBERS = {"nofile": resource.RLIMIT_NOFILE, "data": resource.RLIMIT_DATA}


def set_own() -> dict[str, tuple[int, int]]:
    """Set the soft limits of this process; return soft and hard ones of before, by name.

    Descriptors: as many as the hard limit allows. Data: DATA_BYTES, or less where it was less.
    """
    before = {name: resource.getrlimit(number) for name, number in _NUMBERS.items()}
    _set("nofile", _descriptors(*before["nofile"]), before["nofile"][1])
    _set("data", _least(DATA_BYTES, *before["data"]), before["data"][1])
    return before


def give_back(limits: Mapping[str, Sequence[int]]) -> None:
    """Set the limits that `set_own` returned."""
    for name, (soft, hard) in limits.items():
        _set(name, soft, hard)


def _descriptors(soft: int, hard: int) -> int:
    unlimited = resource.RLIM_INFINITY
    if hard != unlimited and sys.platform != "darwin":
        return hard
    most = _least(MOST_DESCRIPTORS, hard)
    return soft if soft == unlimited or soft > most else most


def _least(*limits: int) -> int:
    return min(limit for limit in limits if limit != resource.RLIM_INFINITY)


def _set(name: str, soft: int, hard: int) -> None:
    try:
        resource.setrlimit(_NUMBERS[name], (soft, hard))
    except (OSError, ValueError):
        pass  # a hard limit that has been lowered since cannot be raised again
