"""What the executor makes of a runner's last words, read from the FIFO of its run's folder."""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support.daemon import LIMIT_S

from zdeferd.attempts.records import open_alive, say
from zdeferd.judging import judge
from zdeferd.model import Code, Job
from zdeferd.rules.verdicts import NeverStarted, Vanished, Verdict
from zdeferd.runs import executor as executor_module
from zdeferd.runs.executor import Executor

FAULT = "internal error of its runner, please report: KeyError('x')"


async def verdict_after(home: Path, said: str, mark: bool = False) -> Verdict:
    """The verdict on a runner that said this and then ended."""
    loop = asyncio.get_running_loop()
    executor = Executor(str(home), {}, loop)
    found: asyncio.Future[Verdict] = loop.create_future()
    executor.on_end = lambda run, attempt, verdict: found.set_result(verdict)
    judge.make(executor.folder(7))
    os.close(judge.prepare(executor.folder(7)))
    if mark:
        (home / "7/started.1").write_bytes(b'{"pid": 1, "started_at": 1.0}\n')
    alive = open_alive(executor.folder(7))
    lock = os.open(home / "7/lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    executor.adopt(7, 1)
    say(alive, said)
    os.close(lock)
    os.close(alive)
    verdict = await asyncio.wait_for(found, LIMIT_S)
    await executor.close()
    return verdict


@pytest.mark.asyncio
async def test_a_run_whose_alive_was_removed_is_watched_by_its_lock(home: Path) -> None:
    """Nothing blocks meanwhile, and the verdict comes when the lock is free."""
    loop = asyncio.get_running_loop()
    executor = Executor(str(home), {}, loop)
    found: asyncio.Future[Verdict] = loop.create_future()
    executor.on_end = lambda run, attempt, verdict: found.set_result(verdict)
    executor.make_folder(7)
    (home / "7/started.1").write_bytes(b'{"pid": 1, "started_at": 1.0}\n')
    lock = os.open(home / "7/lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    executor.adopt(7, 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(found), 0.1)
    executor.cancel(7, 1)
    os.close(lock)
    assert await asyncio.wait_for(found, LIMIT_S) == Vanished()
    await executor.close()


@pytest.mark.asyncio
async def test_nothing_is_watched_after_the_close(home: Path) -> None:
    """A look that was put off comes when the files are closed."""
    executor = Executor(str(home), {}, asyncio.get_running_loop())
    executor.make_folder(7)
    lock = os.open(home / "7/lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    executor.adopt(7, 1)
    (watched,) = executor._alive.values()
    await executor.close()
    executor._look_again(7, watched)
    executor.adopt(7, 1)
    assert executor._alive == {}
    os.close(lock)


@pytest.mark.asyncio
async def test_closing_does_not_wait_for_a_stopped_spawner(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "SPAWNER_ENDS_S", 0.05)
    executor = Executor(str(home), {}, asyncio.get_running_loop())
    await executor._spawner()
    assert executor._process is not None
    os.kill(executor._process.pid, signal.SIGSTOP)
    await asyncio.wait_for(executor.close(), LIMIT_S)
    os.kill(executor._process.pid, signal.SIGCONT)
    assert await asyncio.wait_for(executor._process.wait(), LIMIT_S) == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("said", "mark", "verdict"),
    [
        ("", False, NeverStarted()),
        ("refused cancelled\n", False, NeverStarted("cancelled")),
        ("broke KeyError('x')\n", False, NeverStarted(FAULT)),
        ("started\n", False, Vanished()),
        ("started\nbroke KeyError('x')\n", False, Vanished(FAULT)),
        ("broke KeyError('x')\n", True, Vanished(FAULT)),
    ],
)
async def test_a_runners_last_words(home: Path, said: str, mark: bool, verdict: Verdict) -> None:
    assert await verdict_after(home, said, mark) == verdict


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("ssh box 'ls -l'", "-o ControlMaster=no box ls -l"),
        ("command ssh box", "box"),
        ("unfunction ssh; ssh box", "box"),
        ("ssh() { command ssh mine }; ssh box", "mine"),
    ],
)
def test_ssh_in_zsh_code_shares_no_connection(home: Path, source: str, said: str) -> None:
    (home / "ssh").write_text("#!/bin/sh\necho $*\n")
    (home / "ssh").chmod(0o755)
    script = executor_module._command(Job(id="a", run=Code(source)), {})["script"]
    done = subprocess.run(
        ["zsh", "-f", "-c", script],
        env={"PATH": f"{home}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{said}\n"


def test_code_without_ssh_is_as_the_user_wrote_it() -> None:
    assert executor_module._command(Job(id="a", run=Code("true")), {})["script"] == "true"


def test_zsh_code_has_the_environment_whatever_etc_zshenv_sets(tmp_path: Path) -> None:
    """There are other values in the environment, as /etc/zshenv may have set them."""
    env = {"PATH": f"{tmp_path}/it's", "XDG_DATA_DIRS": "/é ✓", "TZ": "", "MINE": "mine"}
    code = Code(
        "print -r -- $PATH $XDG_DATA_DIRS '['$TZ']' $MINE; print -r -- $LINENO; printenv TZ"
    )
    script = executor_module._command(Job(id="a", run=code), env)["script"]
    done = subprocess.run(
        [
            shutil.which("zsh") or "",
            "-f",
            "-c",
            script.replace("printenv", shutil.which("printenv") or ""),
        ],
        env={"PATH": "/x", "XDG_DATA_DIRS": "/y", "TZ": "UTC", "MINE": "z"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{tmp_path}/it's /é ✓ [] z\n1\n\n"
