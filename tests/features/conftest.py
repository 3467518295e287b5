"""Shells on a terminal that have the feature layer."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.zsh import FEATURES

Start = Callable[..., Terminal]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts shells whose .zshrc is `before`, the files to `load`, `code`; ends them."""
    with ExitStack() as shells:

        def start_one(
            code: str, before: str = "", load: tuple[Path, ...] = (FEATURES,)
        ) -> Terminal:
            sources = "".join(f"'builtin' 'source' {path}\n" for path in load)
            return shells.enter_context(Terminal(home, f"{before}\n{sources}{code}\n"))

        yield start_one
