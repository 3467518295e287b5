"""A lock, ledger or socket that is removed or replaced is reported at once."""

import asyncio
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zdeferd.daemon import anchors
from zdeferd.daemon.anchors import Anchors

LIMIT_S = 20

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


@pytest.mark.asyncio
async def test_without_inotify_each_look_still_compares(
    held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> None:
        raise OSError("no instance is left")

    monkeypatch.setattr(anchors, "Inotify", none_left)
    watching = Anchors(asyncio.get_running_loop(), lambda _: None)
    watching.hold(str(held))
    os.unlink(held)
    assert watching.lost() == str(held)
    watching.close()
