"""What the tests of floods share: a daemon to be flooded, and descriptors for the flood."""

from collections.abc import Iterator

import pytest
from floods.crowd import descriptors


@pytest.fixture(autouse=True)
def _room() -> Iterator[None]:
    """Give the test more descriptors than the daemon that it floods may have."""
    with descriptors(8192):
        yield
