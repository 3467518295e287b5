"""Fixtures of the tests of strangers."""

from pathlib import Path

import pytest
from strangers.world import open_doors
from support.daemon import Daemon


@pytest.fixture
def daemon(daemon: Daemon, home: Path) -> Daemon:
    """A daemon that is not started yet, in a home that every user may enter."""
    open_doors(home)
    return daemon
