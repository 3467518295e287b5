"""A change at a watched path ends the wait, and only that."""

import select
import sys
from pathlib import Path

import pytest

from zdeferd.machine.filewatch import MOVED, Inotify, file_watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux")


def test_a_change_between_watch_and_wait_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.touch()
    watch = file_watch()
    watch.look_at([str(path), str(tmp_path / "absent")])
    path.write_text("more")
    watch.wait()  # returns at once, or the test's time limit ends it
    watch.close()


def test_only_the_events_that_were_asked_for_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    watch = Inotify()
    watch.look_at([str(path)], MOVED)
    path.write_text("more")
    assert select.select([watch], [], [], 0)[0] == []
    path.rename(tmp_path / "elsewhere")
    assert select.select([watch], [], [], 0)[0] == [watch]
    watch.clear()
    assert select.select([watch], [], [], 0)[0] == []
    watch.clear()  # with nothing to take it does not wait
    watch.close()
