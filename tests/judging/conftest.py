"""A run's folder, for the tests of judges."""

import os
from pathlib import Path

import pytest

from zdeferd.judging import judge


@pytest.fixture
def folder(home: Path) -> Path:
    """The folder of run 7, as it is before its first runner."""
    judge.make(str(home / "7"))
    os.close(judge.prepare(str(home / "7")))
    return home / "7"
