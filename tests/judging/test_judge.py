"""Judging a run from its folder: each verdict, and each race between who judges and who runs."""

import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.spawning import Spawner, Started, until

from zdeferd.attempts import records
from zdeferd.errors import UnsafePath
from zdeferd.judging import judge
from zdeferd.rules import verdicts
from zdeferd.rules.verdicts import Ended, NeverStarted, Running, Vanished

MARK = b'{"pid": 1, "started_at": 1.0}\n'
OUTCOME: dict[str, Any] = {
    "version": 1,
    "attempt": 1,
    "ended_by": "exit",
    "started_at": 1.0,
    "ended_at": 2,
    **dict.fromkeys(records.COUNTS, 0),
}


def verdict(folder: Path, attempt: int = 1) -> verdicts.Verdict:
    return judge.judge(str(folder), attempt)


# --- prepare ----------------------------------------------------------------------


def test_preparing_twice_changes_nothing(home: Path) -> None:
    judge.make(str(home / "1"))
    first, second = (judge.prepare(str(home / "1")) for _ in range(2))
    assert os.path.sameopenfile(first, second)
    assert not os.get_inheritable(first)
    assert (home / "1").stat().st_mode & 0o777 == 0o700
    assert (home / "1/alive").stat().st_mode & 0o777 == 0o600
    assert (home / "1/lock").stat().st_mode & 0o777 == 0o600
    os.close(first)
    os.close(second)


def test_what_is_not_a_fifo_is_refused(home: Path) -> None:
    (home / "1").mkdir()
    (home / "1/alive").touch()
    with pytest.raises(UnsafePath, match="not a FIFO"):
        judge.prepare(str(home / "1"))
    (home / "1/alive").unlink()
    (home / "1/alive").symlink_to("/dev/null")
    with pytest.raises(OSError, match="symbolic links"):
        judge.prepare(str(home / "1"))


# --- judge ------------------------------------------------------------------------


def test_nothing_happened(folder: Path) -> None:
    assert verdict(folder) == NeverStarted()


@pytest.mark.parametrize("gone", [("lock",), ("lock", "alive"), ("started.1",), ("*",)])
def test_an_attempt_whose_files_are_removed_may_have_started(
    folder: Path, gone: tuple[str, ...]
) -> None:
    (folder / "started.1").write_bytes(MARK)
    (folder / "job.lock").touch()
    for pattern in gone:
        for path in folder.glob(pattern):
            path.unlink()
    assert isinstance(verdict(folder), Vanished)


def test_a_folder_that_is_gone_was_there(folder: Path) -> None:
    assert verdict(folder / "gone") == Vanished("its files are gone")


def test_an_outcome_counts_where_the_lock_was_removed(folder: Path) -> None:
    (folder / "outcome.json").write_text(json.dumps(OUTCOME))
    (folder / "lock").unlink()
    assert verdict(folder) == Ended(OUTCOME)


def test_a_runner_whose_lock_was_removed_runs(folder: Path) -> None:
    writer = os.open(folder / "alive", os.O_RDWR)
    (folder / "lock").unlink()
    assert verdict(folder) == Running()
    assert not judge.tombstone(str(folder), 1)
    os.close(writer)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOMEM, errno.EACCES])
@pytest.mark.parametrize("name", ["lock", "outcome.json", "started.1", "alive", "job.lock"])
def test_a_file_that_cannot_be_looked_at_is_not_absent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    """Each call on that file fails, one after the other; no verdict comes of it."""

    def failing(call: Any) -> Any:
        def instead(path: Any, *more: Any, **named: Any) -> Any:
            if str(path).endswith(f"/7/{name}"):
                raise OSError(number, os.strerror(number), path)
            return call(path, *more, **named)

        return instead

    for call in ("open", "lstat", "readlink"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing(getattr(os, call)))
            with contextlib.suppress(OSError):
                assert verdict(folder) == NeverStarted()  # a call that is not made on this file
    with monkeypatch.context() as patch:
        for call in ("open", "lstat", "readlink"):
            patch.setattr(os, call, failing(getattr(os, call)))
        with pytest.raises(OSError, match=os.strerror(number)):
            verdict(folder)


def test_started_and_nothing_more_is_vanished(folder: Path) -> None:
    (folder / "started.1").write_bytes(MARK)
    assert verdict(folder) == Vanished()
    assert verdict(folder, 2) == NeverStarted()


@pytest.mark.parametrize("text", [b"", b"{", MARK[:-1], b"[1]\n"])
def test_a_runner_that_died_in_making_its_mark_started_nothing(folder: Path, text: bytes) -> None:
    (folder / "started.1").write_bytes(text)
    assert verdict(folder) == NeverStarted()
    assert not (folder / "started.1").exists()  # so the attempt is free again


def test_an_outcome_is_its_attempts_alone(folder: Path) -> None:
    (folder / "started.1").write_bytes(MARK)
    (folder / "outcome.json").write_text(json.dumps(OUTCOME))
    assert verdict(folder) == Ended(OUTCOME)
    (folder / "started.2").write_bytes(MARK)
    assert verdict(folder, 2) == Vanished()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" " * 1024,
        b"[]",
        b"null",
        b"\xff",
        b'{"attempt": 1}',
        json.dumps(OUTCOME).encode()[:-1],
        json.dumps(OUTCOME | {"version": 2}).encode(),
        json.dumps(OUTCOME | {"rc": 256}).encode(),
        json.dumps(OUTCOME | {"rc": -1}).encode(),
        json.dumps(OUTCOME | {"rc": "0"}).encode(),
        json.dumps(OUTCOME | {"wall_ms": 1.5}).encode(),
        json.dumps(OUTCOME | {"ended_by": "magic"}).encode(),
        json.dumps(OUTCOME | {"ended_at": None}).encode(),
    ],
)
def test_a_record_that_is_not_whole_is_none(folder: Path, text: bytes) -> None:
    (folder / "started.1").write_bytes(MARK)
    (folder / "outcome.json").write_bytes(text)
    assert verdict(folder) == Vanished()


def test_a_runner_on_its_way_is_running(folder: Path) -> None:
    writer = os.open(folder / "alive", os.O_RDWR)
    assert verdict(folder) == Running()
    os.close(writer)
    assert verdict(folder) == NeverStarted()


def test_judges_do_not_take_each_other_for_a_runner(folder: Path) -> None:
    with judge._judging(str(folder)) as free, judge._judging(str(folder)) as too:
        assert free
        assert too
        assert verdict(folder) == NeverStarted()


HOLD = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_that_is_held_without_alive_has_no_verdict_yet(folder: Path) -> None:
    """A killed runner's `alive` may be closed before its lock, or somebody removed `alive`."""
    (folder / "started.1").write_bytes(MARK)
    command = [sys.executable, "-I", "-S", "-c", HOLD, str(folder / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline() == b"held\n"
        for gone in ("", "alive"):
            (folder / gone).unlink() if gone else None
            with pytest.raises(BlockingIOError):
                verdict(folder)
            assert not judge.tombstone(str(folder), 1)
    assert verdict(folder) == Vanished()


# --- alive ------------------------------------------------------------------------


def test_alive_ends_exactly_when_the_runner_is_gone(spawner: Spawner) -> None:
    gate = spawner.telephone()
    run = spawner.start(script=f"read line < {gate}").wait_started()
    late = judge.prepare(run.folder)
    for fd in (run.alive, late):
        with pytest.raises(BlockingIOError):
            os.read(fd, 1)
    assert verdict(Path(run.folder)) == Running(run.answer["pid"])
    with gate.path.open("w") as opened:
        opened.write("go\n")
    assert run.outcome()["rc"] == 0
    assert os.read(late, 1) == b""
    os.close(late)


# --- races: the one who judges first decides --------------------------------------


def judged_while_asked(spawner: Spawner) -> tuple[Started, int]:
    """A runner that waits for a judge, and the judge's lock."""
    judge.make(str(spawner.runs / "1"))
    lock = os.open(spawner.runs / "1/lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_SH)
    run = spawner.start(script="exit 3")
    until(lambda: waits_for_lock(run.answer["pid"]))
    return run, lock


def waits_for_lock(pid: int) -> bool:
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(line[1] == "->" and int(line[5]) == pid for line in waiting)


def test_a_runner_waits_for_a_judge_and_starts(spawner: Spawner) -> None:
    run, lock = judged_while_asked(spawner)
    assert verdict(Path(run.folder)) == Running()
    os.close(lock)
    assert run.outcome()["rc"] == 3


def test_a_tombstone_is_final(spawner: Spawner) -> None:
    run, lock = judged_while_asked(spawner)
    assert judge.tombstone(run.folder, 1)
    os.close(lock)
    assert run.verdict() == verdicts.Withdrawn()
    assert b"refused attempt 1 has been started or withdrawn" in run.said
    assert judge.tombstone(run.folder, 1)
    assert spawner.start(attempt=2, script="exit 4").outcome()["rc"] == 4


def test_a_run_that_is_over_is_not_started_late(spawner: Spawner) -> None:
    run, lock = judged_while_asked(spawner)
    Path(run.folder, "output").write_text("kept")
    judge.discard(run.folder)
    os.close(lock)
    run.wait_gone()
    assert b"refused the run is over" in run.said
    assert os.listdir(run.folder) == ["output"]


def test_a_runner_that_is_about_to_start_sees_that_it_is_cancelled(spawner: Spawner) -> None:
    run, lock = judged_while_asked(spawner)
    assert not judge.cancel(run.folder)
    os.close(lock)
    assert run.verdict() == NeverStarted()
    assert b"refused cancelled" in run.said


def test_sigterm_in_a_runners_first_instants_is_not_lost(spawner: Spawner) -> None:
    run, lock = judged_while_asked(spawner)
    os.kill(run.answer["pid"], signal.SIGTERM)
    os.close(lock)
    assert run.verdict() == NeverStarted()


# --- tombstone, cancel, discard, remove ---------------------------------------------


def test_a_tombstone_comes_too_late(folder: Path, spawner: Spawner) -> None:
    gate = spawner.telephone()
    run = spawner.start(script=f"read line < {gate}").wait_started()
    assert not judge.tombstone(run.folder, 1)
    with gate.path.open("w") as opened:
        opened.write("go\n")
    run.outcome()
    assert not judge.tombstone(run.folder, 1)
    (folder / "started.1").write_bytes(MARK)
    assert not judge.tombstone(str(folder), 1)
    assert judge.tombstone(str(folder / "gone"), 1)


def test_only_a_runner_that_holds_the_lock_is_told_to_end(folder: Path) -> None:
    """The pid in the folder is of a process that has nothing to do with the run any more."""
    bystander = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
    (folder / "started.1").write_text(json.dumps({"pid": bystander}) + "\n")
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    writer = os.open(folder / "alive", os.O_RDWR)
    assert not judge.cancel(str(folder))
    assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    os.kill(bystander, signal.SIGKILL)
    os.waitpid(bystander, 0)
    assert not judge.cancel(str(folder))
    os.close(writer)
    os.close(lock)


def test_discarding_keeps_only_what_was_printed(spawner: Spawner) -> None:
    loud, quiet = spawner.start(1, script="print hello"), spawner.start(2, script="true")
    assert loud.outcome()["rc"] == quiet.outcome()["rc"] == 0
    for run in (loud, quiet, quiet):
        judge.discard(run.folder)
    assert os.listdir(loud.folder) == ["output"]
    assert not os.path.exists(quiet.folder)
    judge.remove(loud.folder)
    judge.remove(loud.folder)
    assert not os.path.exists(loud.folder)
    spawner.started.clear()


def test_what_a_crash_left_of_ended_runs_is_tidied(spawner: Spawner) -> None:
    ended, torn, clean = (spawner.start(n, script="print secret") for n in range(1, 4))
    for run in (ended, torn, clean):
        assert run.outcome()["rc"] == 0
    judge.discard(clean.folder)
    for name in ("alive", "lock"):  # the daemon ended while it discarded this one
        os.unlink(f"{torn.folder}/{name}")
    runs = os.path.dirname(ended.folder)
    Path(runs, "notes").write_text("not a run\n")
    assert sorted(judge.with_script(runs)) == [1, 2]
    for folder in (ended.folder, torn.folder, torn.folder):
        judge.tidy(folder)
    assert os.listdir(ended.folder) == ["output"]
    assert judge.with_script(runs) == []


def test_a_folder_that_lost_its_lock_is_discarded_too(folder: Path) -> None:
    (folder / "output").write_text("kept")
    (folder / "lock").unlink()
    writer = os.open(folder / "alive", os.O_RDWR)
    judge.discard(str(folder))
    assert (folder / "alive").exists()
    os.close(writer)
    judge.discard(str(folder))
    assert os.listdir(folder) == ["output"]
    judge.remove(str(folder))
    judge.discard(str(folder))
    assert not folder.exists()


def test_a_running_run_is_neither_discarded_nor_removed(spawner: Spawner) -> None:
    gate = spawner.telephone()
    run = spawner.start(script=f"read line < {gate}; exit 2").wait_started()
    judge.discard(run.folder)
    judge.remove(run.folder)
    with gate.path.open("w") as opened:
        opened.write("go\n")
    assert run.outcome()["rc"] == 2
