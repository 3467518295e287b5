"""The setting `notify`: one message a job and day, at a prompt or by a command that is bounded."""

import asyncio
import contextlib
import os
import select
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from support.daemon import LIMIT_S, Daemon, Peer, attempts, environment, visit
from support.terminal import Terminal
from support.user import User, call, wait_for_file

from zdeferd.daemon import notices
from zdeferd.jobs.files import Configuration
from zdeferd.ledger.standing import Failure
from zdeferd.machine.timers import Clock
from zdeferd.settings import Settings
from zdeferd.telemetry.journal import Journal

SHIM = Path(__file__).parents[2] / "shell/zdeferd.plugin.zsh"
ENDED = "SELECT count(*) FROM runs WHERE state = 'ended'"
JOBS = '[fails]\nrun = "exit 3"\n[good]\nrun = "true"\n'


def prompt(daemon: Daemon, nonce: str, **jobs: str) -> list[bytes]:
    """The answer that a new shell gets."""
    with Peer(daemon.socket) as peer:
        return peer.ask(visit(nonce, 1, jobs, environment(daemon.home)))


def command(home: Path, text: str) -> str:
    """A setting that names a command with this text."""
    path = home / "tell"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return f'notify = ["{path}", "first"]\n'


@contextlib.contextmanager
def held(home: Path) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Shell code that hangs with a FIFO open, and a function: is that open nowhere any more?

    The kernel announces the last close, so the answer waits for it, with a limit.
    """
    for name in ("held", "never"):
        os.mkfifo(home / name)
    reader = os.open(home / "held", os.O_RDONLY | os.O_NONBLOCK)

    def ended() -> bool:
        os.close(os.open(home / "held", os.O_WRONLY))  # a hang-up follows a writer only
        poll = select.poll()
        poll.register(reader, 0)
        return bool(poll.poll(LIMIT_S * 1000))

    try:
        yield f"exec 3>{home}/held; read x <{home}/never", ended
    finally:
        os.close(reader)


def test_the_next_shell_is_told_once_a_day(daemon: Daemon) -> None:
    daemon.write_settings('notify = "prompt"\n')
    daemon.write_jobs(JOBS)
    daemon.start()
    assert prompt(daemon, "n1") == [b"ok", b"seq=1"]
    daemon.wait_for(ENDED, 2)
    daemon.kill()
    daemon.start()
    line = b"notice=zdeferd: fails failed (rc 3); zdeferctl log 1"
    assert prompt(daemon, "n2") == [b"ok", b"seq=1", line]
    daemon.wait_for(ENDED, 4)
    assert prompt(daemon, "n3") == [b"ok", b"seq=1"], "it failed again on the same day"


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_a_shell_shows_it_below_its_prompt(daemon: Daemon) -> None:
    daemon.write_settings('notify = "prompt"\n')
    daemon.write_jobs(JOBS)
    daemon.start()
    prompt(daemon, "n1")
    daemon.wait_for(ENDED, 2)
    with Terminal(daemon.home, f"source {SHIM}\n") as shell:
        shell.prompt()
        shell.expect(r"zdeferd: fails failed \(rc 3\); zdeferctl log 1")
        assert shell.ask("$(( 6 * 7 ))") == "42"


def test_a_job_that_has_succeeded_since_needs_no_message(user: User, daemon: Daemon) -> None:
    daemon.write_settings('notify = "prompt"\n')
    daemon.write_jobs("[fails]\nrun = '[[ -e $HOME/mended ]]'\n")
    daemon.start()
    prompt(daemon, "n1")
    daemon.wait_for(ENDED, 1)
    (user.root / "mended").touch()
    call("run", "fails")
    assert prompt(daemon, "n2") == [b"ok", b"seq=1"]


def test_off_is_the_default(daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    prompt(daemon, "n1")
    daemon.wait_for(ENDED, 2)
    assert daemon.rows("SELECT count(*) FROM notices") == [(0,)]


def test_a_command_gets_the_message(home: Path, daemon: Daemon) -> None:
    daemon.write_settings(command(home, f'echo "$1,$2" >{home}/new; mv {home}/new {home}/told'))
    daemon.write_jobs(JOBS)
    daemon.start()
    prompt(daemon, "n1")
    wait_for_file(home / "told")
    assert (home / "told").read_text() == "first,zdeferd: fails failed (rc 3); zdeferctl log 1\n"


def test_the_desktop_gets_the_message(home: Path, daemon: Daemon) -> None:
    sender = home / "bin/notify-send"
    sender.parent.mkdir()
    sender.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{home}/new; mv {home}/new {home}/told\n')
    sender.chmod(0o700)
    daemon.env["PATH"] = f"{sender.parent}:{daemon.env['PATH']}"
    daemon.write_settings('notify = "desktop"\n')
    daemon.write_jobs(JOBS)
    daemon.start()
    prompt(daemon, "n1")
    wait_for_file(home / "told")
    assert (home / "told").read_text().splitlines() == [
        "--app-name=zdeferd",
        "--",
        "zdeferd: fails failed (rc 3); zdeferctl log 1",
    ]


def test_a_job_that_is_tried_again_is_not_told_of_before_the_last_run(daemon: Daemon) -> None:
    daemon.write_settings('notify = "prompt"\n')
    daemon.write_jobs('[fails]\nrun = "exit 3"\nretry = "2:0.1s"\n')
    daemon.start()
    prompt(daemon, "n1")
    daemon.wait_for(ENDED, 2)
    assert daemon.rows("SELECT run FROM notices") == [(2,)]


def test_a_command_that_hangs_does_not_keep_the_daemon(home: Path, daemon: Daemon) -> None:
    with held(home) as (hangs, ended):
        daemon.write_settings(command(home, f": >{home}/begun; {hangs}"))
        daemon.write_jobs(JOBS)
        daemon.start()
        prompt(daemon, "n1")
        wait_for_file(home / "begun")
        assert prompt(daemon, "n2")[0] == b"ok", "shells are answered meanwhile"
        assert daemon.stop() == 0
        assert ended()


def test_a_command_that_is_not_there_is_named(daemon: Daemon) -> None:
    daemon.write_settings('notify = ["no-such-command"]\n')
    daemon.write_jobs(JOBS)
    daemon.start()
    prompt(daemon, "n1")
    for _ in attempts():
        if "notify: no such command: no-such-command" in daemon.errors.read_text():
            return
    raise AssertionError(daemon.errors.read_text())


def test_one_that_takes_too_long_is_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(Clock())
    monkeypatch.setattr(notices, "LIMIT_S", 0.3)

    async def told() -> None:
        loop = asyncio.get_running_loop()
        settings = SimpleNamespace(settings=Settings(notify=(str(home / "tell"),)))
        ours = notices.Notices(cast(Configuration, settings), journal, loop, dict(os.environ))
        for run in range(3):
            ours.notify(Failure("slow", run, "timed_out", 124))
        ours._waiting.clear()
        await loop.shutdown_default_executor()
        await asyncio.sleep(0)  # its end is noted

    with held(home) as (hangs, ended):
        command(home, f"({hangs}) & wait")
        asyncio.run(told())
        assert journal.problems == [f"notify: ended after 0.3 s: {home}/tell"]
        assert ended()
