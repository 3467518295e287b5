"""Starts a job's process: its program, environment, folder and descriptors.

A job gets a session of its own, no terminal, /dev/null as input, one pipe as output, all
signals at their defaults, an empty signal mask, the umask 022 (a shell's own, where
one is known, is set by the script), the limits that the daemon found, and exactly the environment
of the request plus `GIVEN`.

Standard library only; runs in the runner, and changes that process (folder, umask,
limits): a runner starts one job in its life.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time

from ..processes import resources
from .records import SCRIPT

TYPE_CHECKING = False  # typing itself would cost the spawner a quarter of its start
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypedDict

    class Wanted(TypedDict):
        """The instructions for attempts/publish.py; None: stdout is not published."""

        path: str
        """Absolute."""
        home: str
        """The folder that `path` must be in."""
        key: str
        """A short name of `path` for files."""
        empty: bool
        check: str
        """`zsh`, `init`, or empty."""
        compile: bool
        umask: int
        """Of the shell that declared the job."""

    class Request(TypedDict):
        """One attempt as the daemon requests it of the spawner: a line of ASCII JSON.

        Texts are bytes decoded with `os.fsdecode`. `argv` or `script` is None.
        """

        folder: str
        attempt: int
        argv: list[str] | None
        script: str | None
        env: dict[str, str]
        cwd: str
        timeout_ms: int
        """0: no limit."""
        grace_ms: int
        output_limit_bytes: int
        background: bool
        publish: Wanted | None
        cgroup: str
        """The cgroup that cgroup.py divides; empty: none."""
        limits: dict[str, list[int]]
        """Of each name in resources.py the soft and the hard limit."""


GIVEN = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ControlMaster=no",
    "RSYNC_RSH": "ssh -o ControlMaster=no",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "gc.autoDetach",
    "GIT_CONFIG_VALUE_0": "false",
}
"""The variables of every job's environment; the request's own win.

No prompts, because no user would see them. No connection of a job's ssh that the user's own ssh
would share, because it ends with the job. No git that goes on behind the job, which ends it.
"""

NOT_FOUND, NOT_EXECUTABLE = 127, 126
OWN_LIMIT_S = 30.0
"""Of a program that checks or compiles an output."""
_MOST_SAID = 1000
JOB_LOCK_FD = 200
"""The job's descriptor of the lock that it holds: above the numbers that scripts use."""
_FOR_NOW = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_CATCHABLE = [
    int(number)
    for number in signal.valid_signals()
    if number not in (signal.SIGKILL, signal.SIGSTOP)
]


class CannotStart(Exception):
    """A job's process could not be made; `rc` is what a shell would report."""

    def __init__(self, rc: int, message: str) -> None:
        super().__init__(message)
        self.rc = rc


def launch(request: Request, outputs: tuple[int, int], job_lock: int) -> int:
    """Start the job; return its pid, which is its session's number too.

    `outputs`: its stdout and stderr; `job_lock`: the descriptor it inherits. CannotStart, or
    OSError where there was no process or memory to be had: it may work later.
    """
    argv = request["argv"] or _zsh(request)
    try:
        os.chdir(request["cwd"])
    except OSError as error:
        message = f"cannot enter its folder: {request['cwd']}: {error.strerror}"
        raise CannotStart(NOT_EXECUTABLE, message) from None
    os.umask(0o022)
    resources.give_back(request["limits"])
    actions = _descriptors(outputs, job_lock, request["limits"]["nofile"][0])
    oom_score = resources.oom_score()
    if oom_score is not None and oom_score < resources.JOBS_OOM_SCORE:
        resources.set_oom_score(resources.JOBS_OOM_SCORE)
    try:
        return _spawn(argv, GIVEN | request["env"], actions)
    finally:
        resources.set_oom_score(oom_score)
        _leave_folder()


def _leave_folder() -> None:
    """Change to `/`, so that no file system is kept busy. A failure does not undo a start."""
    try:
        os.chdir("/")
    except OSError:
        pass


def zsh_of(env: Mapping[str, str]) -> str:
    """Return the zsh of this environment's PATH, else the user's own shell.

    On NixOS, or with a PATH that direnv made, the zsh that runs is not on its own PATH.
    """
    try:
        return _find("zsh", env.get("PATH", os.defpath))
    except CannotStart:
        own = env.get("SHELL", "")
        is_zsh = os.path.basename(own).startswith("zsh") and os.access(own, os.X_OK)
        return own if is_zsh else "/bin/zsh"


def _zsh(request: Request) -> list[str]:
    return [zsh_of(request["env"]), "-f", f"{request['folder']}/{SCRIPT}"]


def _descriptors(outputs: tuple[int, int], job_lock: int, soft: int) -> list[tuple[int, ...]]:
    keep = JOB_LOCK_FD if not 0 <= soft <= JOB_LOCK_FD else soft - 1
    actions: list[tuple[int, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),  # type: ignore[list-item]
        (os.POSIX_SPAWN_DUP2, outputs[0], 1),
        (os.POSIX_SPAWN_DUP2, outputs[1], 2),
        (os.POSIX_SPAWN_DUP2, job_lock, keep),
    ]
    return actions


def _spawn(argv: list[str], env: dict[str, str], actions: list[tuple[int, ...]]) -> int:
    try:
        program = _find(argv[0], env.get("PATH", os.defpath))
        try:
            return _posix_spawn(program, argv, env, actions)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without `#!`: execvp(3) and every shell hand it to sh.
            return _posix_spawn("/bin/sh", ["sh", program, *argv[1:]], env, actions)
    except FileNotFoundError as error:
        raise CannotStart(NOT_FOUND, f"command not found: {argv[0]}: {error.strerror}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _FOR_NOW:
            raise
        raise CannotStart(NOT_EXECUTABLE, f"cannot execute: {argv[0]}: {error}") from None


def _posix_spawn(
    program: str, argv: list[str], env: dict[str, str], actions: list[tuple[int, ...]]
) -> int:
    return os.posix_spawn(
        program, argv, env, file_actions=actions, setsid=True, setsigmask=[], setsigdef=_CATCHABLE
    )


def _find(name: str, path: str) -> str:
    """Return the file that execvp(3) would execute for `name` with this PATH."""
    if "/" in name:
        return name
    unusable = None
    for folder in path.split(":") if name else ():
        file = os.path.join(folder or ".", name)
        if os.path.isfile(file):
            if os.access(file, os.X_OK):
                return file
            unusable = unusable or file
    if unusable:
        raise CannotStart(NOT_EXECUTABLE, f"not executable: {unusable}")
    raise CannotStart(NOT_FOUND, f"command not found: {name}")


def run_to_end(argv: list[str]) -> str:
    """Run a program of zdeferd's own, at most OWN_LIMIT_S; return why it failed, empty: it did not.

    OSError where it cannot be started.
    """
    reading, writing = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writing, fd) for fd in (1, 2)]
    env = {"PATH": os.defpath, "LC_ALL": "C"}
    try:
        pid = os.posix_spawn(
            argv[0], argv, env, file_actions=actions, setsigmask=[], setsigdef=_CATCHABLE
        )
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    said = _said(reading, pid)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return (said or f"{argv[0]} ended with {code}") if code else ""


def _said(pipe: int, pid: int) -> str:
    """Return the first words of a process, at the end of its output; kill it at OWN_LIMIT_S."""
    said, deadline = b"", time.monotonic() + OWN_LIMIT_S
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        data = os.read(pipe, 4096)
        if not data:
            break
        said = (said + data)[:_MOST_SAID]
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(pipe)
    return said.decode("utf-8", "replace").strip()
