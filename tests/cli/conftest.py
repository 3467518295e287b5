"""The private user that every test of zdeferctl runs as."""

import os
from pathlib import Path

import pytest
from ctl import User


@pytest.fixture
def user(home: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user with an empty home, and the environment that leads to it."""
    made = User(home)
    for name in list(os.environ):
        if name.startswith("XDG_"):
            monkeypatch.delenv(name)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    return made
