"""Fixtures of the tests of faults."""

from pathlib import Path

import pytest
from faults.world import make_sick_disk


@pytest.fixture(scope="session")
def sick_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the sick disk."""
    return make_sick_disk(tmp_path_factory.mktemp("sick"))
