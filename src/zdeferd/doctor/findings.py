"""The types of `zdeferctl doctor`: a check is a function of a Scene that yields findings."""

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
    """The weight of a finding."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Finding(NamedTuple):
    """The result of one check; `remedy` says what to do."""

    level: Level
    check: str
    found: str
    remedy: str = ""


class Scene(NamedTuple):
    """The environment, paths, configuration and host that the checks look at."""

    env: Mapping[str, str]
    paths: Paths
    loaded: Loaded
    host: Host
    shell: str = ""
    """The absolute path of the zsh that doctor was called from; empty: it was not."""
    platform: str = sys.platform


Check = Callable[[Scene], Iterator[Finding]]


def refused(check: str, error: ZdeferdError) -> Finding:
    """Return an error as a bad finding."""
    return Finding(Level.BAD, check, error.found, error.remedy)
