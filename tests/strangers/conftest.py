"""Fixtures of the tests of strangers."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from strangers.world import open_doors
from support.daemon import Daemon

Refusal = Callable[..., str]


@pytest.fixture
def daemon(home: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet, in a home that anybody may enter."""
    made = Daemon(home)
    made.errors.touch()
    open_doors(home)
    yield made
    made.close()


@pytest.fixture
def refusal(daemon: Daemon) -> Refusal:
    """Start the daemon, expect exit code 1; -> its one line."""

    def start(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "zdeferd.daemon", *words],
            env=daemon.env | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 1, done
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("zdeferd: ")
        return done.stderr

    return start
