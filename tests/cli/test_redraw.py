"""`--watch` of `status` and `runs`: the answer again on each change, and only then."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import psutil
from support.daemon import LIMIT_S, Daemon, attempts
from support.pty import Pty
from support.terminal import Terminal
from support.user import User, claim, ctl_script

from zdeferd.view.render import width


@contextmanager
def watching(user: User, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """`zdeferctl … --watch --json` as a process; Ctrl-C ends it, with its code."""
    process = user.begin(*words, "--watch", "--json")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=200)
    assert process.returncode == 130


def documents(stream: IO[str]) -> Iterator[Any]:
    """The documents of a stream, as they come."""
    lines = ""
    for line in stream:
        lines += line
        if line == "}\n":
            yield json.loads(lines)
            lines = ""


def test_each_change_is_shown_once(user: User, daemon: Daemon) -> None:
    daemon.start()
    with watching(user, "status") as process:
        assert process.stdout is not None
        shown = documents(process.stdout)
        assert next(shown)["daemon"]["running"] is True
        daemon.kill()
        # Nothing was written: files were closed.
        assert any(one["daemon"]["running"] is False for one in shown)
        claim(user.ledger(), "build")
        assert any([run["job"] for run in one["live_runs"]] == ["build"] for one in shown)
        user.job_file("[bad]\nrun = 7\n")
        assert any(one["problems"] for one in shown)


def test_other_files_are_no_change(user: User) -> None:
    """Reading a ledger makes files beside it, too; neither leads to another look."""
    claim(user.ledger(), "build")
    with watching(user, "status") as process:
        assert process.stdout is not None
        next(documents(process.stdout))
        found = psutil.Process(process.pid)
        assert any(found.status() == psutil.STATUS_SLEEPING for _ in attempts())
        spent = found.cpu_times().user
        for number in range(50):
            (user.state / "deferred.log").write_text(f"{number}\n")
        assert any(found.status() == psutil.STATUS_SLEEPING for _ in attempts())
        assert found.cpu_times().user - spent < 0.1  # fifty looks would take more than a second


def test_on_a_terminal_the_picture_is_replaced(user: User) -> None:
    ledger = user.ledger()
    with Terminal(user.root, f"PATH={ctl_script(user).parent}:$PATH\n") as shell:
        shell.prompt()
        shell.type("zdeferctl runs --watch\r")
        shell.expect("no runs yet")
        claim(ledger, "build")
        shell.expect(r"build +waiting")
        assert b"\x1b[2J\x1b[Hno runs yet\x1b[K" in shell.raw
        assert shell.raw.count(b"\x1b[2J") == 1
        shell.type("\x03")
        shell.prompt()


def test_a_narrow_terminal_is_not_scrolled(user: User) -> None:
    """A line that wraps takes more rows: the picture ends where the screen does."""
    claim(user.ledger(), "build")
    env = user.env | {"TERM": "xterm", "PATH": f"{ctl_script(user).parent}:{user.env['PATH']}"}
    shown = b""
    with Pty(env, ("zdeferctl", "status", "--watch"), size=(6, 20)) as screen:
        while b"\x1b[J" not in shown:
            more = screen.take(LIMIT_S)
            assert more, shown
            shown += more
    picture = shown.partition(b"\x1b[H")[2].partition(b"\x1b[J")[0]
    lines = picture.decode().replace("\x1b[K", "").splitlines()
    assert lines
    assert sum(max(1, -(-width(line) // 20)) for line in lines) <= 5
