"""What the tests of floods share: a daemon to be flooded, with as few descriptors as asked."""

from collections.abc import Iterator

import pytest
from floods.crowd import descriptors
from support.daemon import Daemon

FEW_DESCRIPTORS = 256
"""A hard limit, so that the daemon cannot help itself to more."""


@pytest.fixture(autouse=True)
def _room() -> Iterator[None]:
    """Give the test more descriptors than the daemon that it floods may have."""
    with descriptors(8192):
        yield


@pytest.fixture
def poor(daemon: Daemon) -> Daemon:
    """A daemon that can never open more than a few descriptors."""
    limited = f'ulimit -n {FEW_DESCRIPTORS}; exec "$@"'
    daemon.command = ["sh", "-c", limited, "sh", *daemon.command]
    return daemon
