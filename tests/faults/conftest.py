"""Fixtures of the tests of faults."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.world import make_sick_disk
from support.daemon import Daemon


@pytest.fixture
def daemon(home: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet."""
    made = Daemon(home)
    made.errors.touch()
    yield made
    made.close()


@pytest.fixture(scope="session")
def sick_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the sick disk."""
    return make_sick_disk(tmp_path_factory.mktemp("sick"))
