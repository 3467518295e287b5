"""What `zdeferctl doctor` finds, and what its checks look at.

A check is a function of a Scene that yields findings. doctor/connection.py has those of the way
from a shell to its daemon, doctor/files.py those of zdeferd's own files, doctor/machine.py
those of the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from ..errors import ZdeferdError
from ..install.plan import Host
from ..jobs.files import Loaded
from ..machine.paths import Paths


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Finding(NamedTuple):
    """One thing that was looked at; `remedy` says what to do."""

    level: Level
    check: str
    found: str
    remedy: str = ""


class Scene(NamedTuple):
    """What the checks look at."""

    env: Mapping[str, str]
    paths: Paths
    loaded: Loaded
    host: Host
    platform: str = sys.platform


Check = Callable[[Scene], Iterator[Finding]]


def refused(check: str, error: ZdeferdError) -> Finding:
    """Return an error as a bad finding."""
    return Finding(Level.BAD, check, error.found, error.remedy)
