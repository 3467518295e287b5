"""A change at a watched path ends the wait, and only that."""

import os
import select
import subprocess
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


@pytest.mark.parametrize("kind", ["instances", "watches"])
def test_without_inotify_it_wakes_up_now_and_then(tmp_path: Path, kind: str) -> None:
    """In a user namespace of its own, whose limit is 0; the limits of the machine stay."""
    code = (
        "import sys, select; from zdeferd.machine.filewatch import file_watch\n"
        "watch = file_watch(); watch.look_at([sys.argv[1]]); watch.look_at([sys.argv[1]])\n"
        "for _ in range(2): watch.wait(10); assert not select.select([watch], [], [], 0)[0]\n"
        "print('woke', select.select([watch], [], [], 10)[0] == [watch])"
    )
    limit = f'echo 0 >/proc/sys/user/max_inotify_{kind} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", limit, "sh", sys.executable, "-c", code, str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    if "unshare" in done.stderr or "max_inotify" in done.stderr:
        pytest.skip("no user namespace here")
    assert (done.stdout, done.stderr) == ("woke True\n", "")
