"""A lock, ledger or socket that is removed or replaced is reported at once."""

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from zdeferd.daemon import anchors
from zdeferd.daemon.anchors import Anchors
from zdeferd.machine.filewatch import Inotify

LIMIT_S = 60

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each visit looks")


@pytest.fixture
def held(home: Path) -> Iterator[Path]:
    """A file in a folder of its own, kept open as the daemon keeps its lock."""
    (home / "state").mkdir()
    path = home / "state/lock"
    with path.open("w"):
        yield path


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_looked_at_is_not_lost(
    held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sick(path: str) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    watching = Anchors(asyncio.get_running_loop(), lambda path: None)
    watching.hold(str(held))
    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", sick)
        assert watching.lost() is None
    held.unlink()
    assert watching.lost() == str(held)
    watching.close()


async def lost_after(path: Path, change: str) -> str:
    """The path that is reported after `change` was made to it."""
    reported: asyncio.Queue[str] = asyncio.Queue()
    watching = Anchors(asyncio.get_running_loop(), reported.put_nowait)
    try:
        watching.hold(str(path))
        assert watching.lost() is None
        if change == "removed":
            path.unlink()
        elif change == "replaced":
            path.with_suffix(".new").touch()
            path.with_suffix(".new").rename(path)
        else:
            path.parent.rename(path.parent.with_suffix(".old"))
        return await asyncio.wait_for(reported.get(), LIMIT_S)
    finally:
        watching.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("change", ["removed", "replaced", "folder moved"])
async def test_each_loss_is_reported(held: Path, change: str) -> None:
    assert await lost_after(held, change) == str(held)


@pytest.mark.asyncio
async def test_a_path_that_is_wrong_already_is_lost(held: Path) -> None:
    watching = Anchors(asyncio.get_running_loop(), lambda _: None)
    watching.hold(str(held), (1, 1))
    assert watching.lost() == str(held)
    watching.close()


def no_instance_left() -> None:
    raise OSError("no instance is left")


class NoWatchLeft(Inotify):
    """An instance that gets no watch."""

    def look_at(self, paths: Iterable[str], events: int = 0) -> bool:
        """Watch nothing."""
        return False


@pytest.mark.asyncio
@pytest.mark.parametrize("inotify", [no_instance_left, NoWatchLeft])
async def test_without_inotify_a_slow_timer_compares(
    held: Path, monkeypatch: pytest.MonkeyPatch, inotify: Callable[[], Inotify | None]
) -> None:
    monkeypatch.setattr(anchors, "Inotify", inotify)
    monkeypatch.setattr(anchors, "LOOK_EVERY_S", 0.01)
    assert await lost_after(held, "removed") == str(held)


@pytest.mark.asyncio
async def test_with_inotify_no_timer_runs(held: Path) -> None:
    loop = asyncio.get_running_loop()
    before = getattr(loop, "_scheduled", [])[:]
    watching = Anchors(loop, lambda _: None)
    watching.hold(str(held))
    assert getattr(loop, "_scheduled", []) == before
    watching.close()


def test_a_watch_that_is_not_made_is_reported(held: Path) -> None:
    watch = Inotify()
    assert watch.look_at((str(held),))
    assert not watch.look_at((str(held), f"{held}.absent"))
    watch.close()
