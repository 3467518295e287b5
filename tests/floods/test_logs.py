"""A shared log that others use too: they write our very lines, and rotate it at the worst moment.

The daemon is stopped at a crash point (crashpoints.py), the log is changed under it, and
then it goes on, or is killed and the next one takes over. Lines are counted over the log and
what it was rotated to.
"""

import os
import re
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from floods.crowd import Caller, Signs, until
from support.daemon import Daemon, visit

from zdeferd.telemetry import logfile

LINE = "SEGMENT name=deferred_total ms=0 phase=postprompt sample=unknown"
EVENTS = 300


def copytruncate(log: Path) -> None:
    """As logrotate does; what is written between the two is lost by it, not by us."""
    shutil.copyfile(log, log.with_name("seg.log.1"))
    os.truncate(log, 0)


def rename(log: Path) -> None:
    log.rename(log.with_name("seg.log.1"))


def same_line(log: Path) -> None:
    with log.open("a") as theirs:
        theirs.write(LINE + "\n")


def prompt(daemon: Daemon, number: int, log: Path) -> None:
    """An event that brings one LINE."""
    with Caller(daemon.socket) as shell:
        shell.greet().ask(visit(f"n{number}", environ={"PERF_SEGMENT_LOG": str(log)}))


def lines(log: Path) -> list[str]:
    files = [log, *log.parent.glob("seg.log.*")]
    return [line for file in files if file.exists() for line in file.read_text().splitlines()]


@pytest.fixture
def log(home: Path) -> Path:
    (home / "logs").mkdir()
    return home / "logs/seg.log"


# What is there at last, and what the ledger keeps as not known to be there. The daemon's line
# is the third, and stands behind two of other programs.
CASES = [
    ("line-intended", rename, "CONT", 3, 0),
    ("line-intended", rename, "KILL", 3, 0),
    ("line-intended", copytruncate, "CONT", 3, 0),
    ("line-intended", copytruncate, "KILL", 2, 1),
    ("line-intended", same_line, "CONT", 4, 0),
    # Ours cannot be told from theirs: it counts as written. The one case that is not exact.
    ("line-intended", same_line, "KILL", 3, 0),
    ("line-appended", rename, "CONT", 3, 0),
    ("line-appended", rename, "KILL", 3, 0),
    ("line-appended", copytruncate, "CONT", 3, 0),
    ("line-appended", copytruncate, "KILL", 3, 1),
    ("line-appended", same_line, "CONT", 4, 0),
    ("line-appended", same_line, "KILL", 4, 0),
]


@pytest.mark.parametrize(("point", "change", "then", "there", "lost"), CASES)
def test_the_worst_moment(
    daemon: Daemon,
    log: Path,
    point: str,
    change: Callable[[Path], None],
    then: str,
    there: int,
    lost: int,
) -> None:
    log.write_text(f"{LINE}\n" * 2)
    tally = daemon.home / "tally"
    daemon.env["ZDEFERD_CRASH_AT"] = f"daemon.{point}:1:{signal.SIGSTOP:d}:{tally}"
    daemon.start()
    prompt(daemon, 1, log)
    assert daemon.process is not None
    signs = Signs(daemon.process.pid)
    until(lambda: signs.state() == "T", "it has stopped at that point")
    change(log)
    if then == "CONT":
        daemon.process.send_signal(signal.SIGCONT)
    else:
        daemon.kill()
        daemon.start()
    daemon.wait_for("SELECT count(*) FROM lines WHERE state != 'lost'", 0)
    assert lines(log) == [LINE] * there
    assert daemon.rows("SELECT count(*) FROM lines") == [(lost,)], "what is lost, the ledger keeps"
    before = len(lines(log))
    prompt(daemon, 2, log)
    daemon.wait_for("SELECT count(*) FROM lines WHERE state != 'lost'", 0)
    assert len(lines(log)) == before + 1, "and it goes on"


def test_a_line_that_is_half_there_is_looked_at_again(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel shows a write that crosses a page in two pieces; the second comes at once."""
    log.write_bytes(b"IDLE:STA")
    look, looks = logfile._line_begins, 0

    def second_piece_comes(fd: int, offset: int) -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            with log.open("ab") as theirs:
                theirs.write(b"RT budget=0ms tasks=1\n")
        return look(fd, offset)

    monkeypatch.setattr(logfile, "_line_begins", second_piece_comes)
    fd = logfile.open_log(str(log))
    logfile.append(fd, LINE.encode())
    os.close(fd)
    assert log.read_text().splitlines() == ["IDLE:START budget=0ms tasks=1", LINE]


def test_a_log_under_fire(daemon: Daemon, log: Path) -> None:
    """Another program appends the same lines as fast as it can and renames the log meanwhile."""
    daemon.start()
    log.touch()
    over = threading.Event()
    theirs = 0

    def write_and_rotate() -> None:
        nonlocal theirs
        while not over.is_set():
            with log.open("a") as file:
                for _ in range(20):
                    file.write(LINE + "\n")
                    file.flush()
                    theirs += 1
            if theirs % 400 == 0:
                log.rename(log.with_name(f"seg.log.{theirs}"))

    other = threading.Thread(target=write_and_rotate)
    other.start()
    for number in range(EVENTS):
        prompt(daemon, number, log)
    daemon.wait_for("SELECT count(*) FROM lines", 0)
    over.set()
    other.join()
    assert Counter(lines(log)) == {LINE: theirs + EVENTS}, "none lost, doubled or torn"


def test_a_log_that_is_copied_and_truncated_under_fire(daemon: Daemon, log: Path) -> None:
    """Whoever does so loses what came between the two; nothing is torn, doubled or stuck."""
    daemon.start()
    log.touch()
    for number in range(EVENTS):
        prompt(daemon, number, log)
        if number % 20 == 0:
            shutil.copyfile(log, log.with_name(f"seg.log.{number}"))
            os.truncate(log, 0)
    daemon.wait_for("SELECT count(*) FROM lines WHERE state != 'lost'", 0)
    found = lines(log)
    assert EVENTS - EVENTS // 20 * 2 <= len(found) <= EVENTS
    assert all(re.fullmatch(re.escape(LINE), line) for line in found)
