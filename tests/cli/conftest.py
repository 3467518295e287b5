"""The private user that every test of zdeferctl runs as."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.user import User


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


@pytest.fixture
def daemon(user: User) -> Iterator[Daemon]:
    """A real daemon of that user, not started yet."""
    made = Daemon(user.root)
    yield made
    made.close()
