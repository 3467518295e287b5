"""What the shim's tests share: a peer on the socket, and shells that load the plugin."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from shell.peer import Peer
from support.terminal import Terminal

PLUGIN = Path(__file__).parents[2] / "shell/zdeferd.plugin.zsh"

Start = Callable[..., Terminal]


@pytest.fixture
def socket(home: Path) -> Path:
    """Where the shells of this test look for the daemon."""
    return home / "run/zdeferd/sock"


@pytest.fixture
def peer(socket: Path) -> Iterator[Peer]:
    """A daemon's end of the wire on that socket."""
    with Peer(socket) as bound:
        yield bound


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts shells whose .zshrc is `before`, the plugin, `after`; all end with the test."""
    with ExitStack() as shells:

        def start_one(
            after: str = "", before: str = "", plugin: bool = True, **more: Any
        ) -> Terminal:
            source = f"source {PLUGIN}" if plugin else ""
            zshrc = f"{before}\n{source}\n{after}\n"
            return shells.enter_context(Terminal(home, zshrc, **more))

        yield start_one
