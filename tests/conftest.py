"""Fixtures of every test: a private home, short paths, a clean environment.

Owns the process environment of the test run: HOME and the XDG folders point into a
folder in /tmp that goes at the end (short, because an ipc path has 107 bytes), and the
variables of the contracts are unset, so that the developer's shell cannot change a result.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import uvloop
from support.daemon import LIMIT_S, Daemon
from support.perf import Evidence
from support.spawning import Spawner
from support.systemd import UserManager, one_at_a_time
from support.user import User

from zdeferd.install import ask

hypothesis.settings.register_profile(
    "zdeferd",
    deadline=None,
    max_examples=60,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # a busy machine is no fault
)
hypothesis.settings.load_profile("zdeferd")

CLEARED = ("ZDEFERD_", "PERF_", "ZSH_", "XDG_", "ZDOTDIR", "NOTIFY_SOCKET", "LISTEN_", "NO_COLOR")

os.environ["TZ"] = "UTC"  # here, since tests compute instants when their modules are imported
time.tzset()

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loops of a test: those that its mark names, else asyncio's own."""
    mark = item.get_closest_marker("asyncio")
    names = (mark.kwargs if mark else {}).get("loop_factories", ["asyncio"])
    return {name: LOOPS[name] for name in names}


@pytest.fixture
def home() -> Iterator[Path]:
    """A private, short, empty home folder (0700), gone after the test."""
    folder = Path(tempfile.mkdtemp(prefix="zd.", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def spawner(home: Path) -> Iterator[Spawner]:
    """A spawner whose runs are in the home folder."""
    with Spawner(home) as spawner:
        yield spawner


@pytest.fixture(scope="session", autouse=True)
def _signals_as_a_terminal_leaves_them() -> None:
    """Ignore and block no signal that whatever started the tests left so, as `nohup` does."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_the_developers() -> Iterator[None]:
    before = dict(os.environ)
    folder = Path(tempfile.mkdtemp(prefix="zd.home.", dir="/tmp"))
    for name in list(os.environ):
        if name.startswith(CLEARED):
            del os.environ[name]
    os.environ["HOME"] = str(folder)
    yield
    os.environ.clear()
    os.environ.update(before)
    shutil.rmtree(folder)


@pytest.fixture
def user(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """A user with an empty home, and the environment that leads to it."""
    made = User(home)
    for name in list(os.environ):
        if name.startswith("XDG_"):
            monkeypatch.delenv(name)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ask, "LIMIT_S", LIMIT_S)  # a busy machine keeps a new shell waiting
    yield made
    made.close()


@pytest.fixture
def evidence(user: User) -> Evidence:
    """An evidence folder that is not made yet."""
    return Evidence(user)


@pytest.fixture
def daemon(home: Path) -> Iterator[Daemon]:
    """A real daemon of the user whose home it is, not started yet."""
    with contextlib.closing(Daemon(home)) as made:
        yield made


@pytest.fixture
def manager(home: Path) -> Iterator[UserManager]:
    """That user's systemd, with zdeferd installed."""
    with one_at_a_time(), contextlib.closing(UserManager(home)) as made:
        made.install()
        yield made
