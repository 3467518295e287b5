"""The program that every test of doctor finds."""

from pathlib import Path

import pytest
from support.user import User, daemon_script


@pytest.fixture(autouse=True)
def program(user: User, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`zdeferd` beside zdeferctl."""
    script = daemon_script(user)
    monkeypatch.setattr("sys.argv", [str(script.parent / "zdeferctl")])
    return script
