"""Puts a played machine under zdeferd's modules, and takes it away again.

Owns the list of every name that is replaced; all else is the code that users run. A name
that a module no longer has is an error here, not a silence.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from zdeferd.attempts import output, publish, records, runner
from zdeferd.jobs import files as job_files
from zdeferd.judging import judge
from zdeferd.ledger import claims
from zdeferd.machine import files
from zdeferd.runs import executor, live, looks
from zdeferd.telemetry import logfile, sharedlog

from .loop import running
from .world import World

ADDED = {(records, "open"), (logfile, "open")}
"""Built-in names that hide behind a module's own."""


def _replacements(machine: World) -> dict[tuple[Any, str], Any]:
    calls = machine.calls
    clock = SimpleNamespace(
        time=lambda: machine.now, monotonic=lambda: machine.awake, sleep=lambda seconds: None
    )
    system = SimpleNamespace(
        LINUX=True,
        look_at=lambda pid: SimpleNamespace(started=1),
        has_open=lambda pid, file: _has_open(machine, pid, file),
        Handle=lambda pid: _Handle(machine, pid),
    )
    return {
        (job_files, "load"): machine.loaded,
        (claims, "uuid"): SimpleNamespace(uuid4=machine.new_uuid),
        (looks, "look_at"): machine.look_at,
        (looks, "first_missing"): machine.first_missing,
        (looks, "Thread"): _AtOnce,
        (looks, "time"): clock,
        (live, "live_cost"): machine.live_cost,
        (executor, "os"): calls,
        (records, "os"): calls,
        (records, "open"): calls.open_python,
        (judge, "os"): calls,
        (judge, "fcntl"): calls,
        (judge, "shutil"): calls,
        (judge, "tree"): system,
        (files, "os"): calls,
        (output, "os"): calls,
        (publish, "os"): calls,
        (publish, "fcntl"): calls,
        (publish, "run_to_end"): machine.run_to_end,
        (publish, "zsh_of"): lambda env: "zsh",
        (runner, "os"): calls,
        (runner, "fcntl"): calls,
        (runner, "time"): clock,
        (runner, "tree"): system,
        (runner, "launch"): machine.launch,
        (runner, "Output"): _Output,
        (logfile, "os"): calls,
        (logfile, "open"): calls.open_python,
        (logfile, "sync_folder"): lambda folder: None,
        (sharedlog, "os"): calls,
    }


class _AtOnce:
    """A thread that has done its work as soon as it is started."""

    def __init__(self, *, target: Any, args: Any, **_: object) -> None:
        self._target, self._args = target, args

    def start(self) -> None:
        self._target(*self._args)


class _Output:
    """A job that prints nothing."""

    total = written = 0

    def __init__(self, path: str, pipe: int, limit: int) -> None:
        self.pipe = pipe


class _Handle:
    """A process that can be told to end."""

    def __init__(self, machine: World, pid: int) -> None:
        self._machine, self._pid = machine, pid
        if not any(one.process.pid == pid for one in machine.runners):
            raise ProcessLookupError(3, "No such process")

    def send(self, number: int) -> bool:
        return self._machine.tell_to_end(self._pid)

    def close(self) -> None:
        pass


def _has_open(machine: World, pid: int, file: Any) -> bool:
    return any(
        description.node.inode == file.st_ino
        for one in machine.runners
        if one.process.pid == pid
        for description in one.process.files.values()
    )


_NOT_THERE = object()


@contextmanager
def played_on(machine: World) -> Iterator[None]:
    """While it lasts, zdeferd's modules see `machine` and nothing of the real one."""
    replaced = _replacements(machine)
    before = {place: getattr(*place, _NOT_THERE) for place in replaced}
    missing = [place for place, value in before.items() if value is _NOT_THERE]
    assert set(missing) <= ADDED, missing
    for (module, name), value in replaced.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        running(None)
        for (module, name), value in before.items():
            if value is _NOT_THERE:
                delattr(module, name)
            else:
                setattr(module, name, value)
