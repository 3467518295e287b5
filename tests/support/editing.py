"""What tests of `zdeferctl new` and `edit` share: an editor, and where the draft is."""

from pathlib import Path

import pytest
from support.user import User


def editor(user: User, monkeypatch: pytest.MonkeyPatch, code: str, name: str = "EDITOR") -> None:
    """Let an editor be a program that runs this shell code on the file `$1`."""
    path = user.root / "my editor"
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv(name, f"'{path}'")


def draft(user: User, name: str = "mine") -> Path:
    return user.config / f"jobs.d/.{name}.draft.toml"
