"""Supervises a job's process tree until all of it has ended.

When the main process has ended, the rest of its tree has SETTLE_S to end by itself (a
process substitution that still flushes its file), and up to SETTLE_MOST_S while one of it
waits for a processor; then TERM, the grace and KILL follow.
The whole tree gets them at the time limit and when the run is cancelled. With `background`
the rest is not ended. Where the main process ended by itself, those ended behind it are counted.

The runner is a subreaper on Linux: orphans become its children. So without children the
tree has ended, and RUSAGE_CHILDREN is its whole cost; a child whose parent ignored SIGCHLD
is in no process's cost. On macOS the tree is the session. KILL is repeated until nothing is
left, so that no ending is recorded before it happened. Given up after LAST_WAIT_S, without
their cost, are only processes that this user may not signal.

SIGTERM is a cancellation where the daemon has made the mark `cancelled` (runner.py looks).
At a shutdown each process gets it, in any order, so a job that ended by such a signal is
held open for TERM_FOLLOWS_S.

Sleeps in poll(2) until the pipe, a signal or a deadline. Limits and `wall_ms` (of the main
process) use the monotonic clock: time in suspend does not count.

Standard library only; runs in the runner.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time

from ..processes import cgroup, resources, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .launch import Request
    from .output import PipeReader

LOWER_AGAIN_S = 0.2
SETTLE_S, SETTLE_MOST_S = 0.1, 5.0
LAST_WAIT_S = 30.0
ROUND_S = 1.0
"""The longest wait for the effect of KILL before it is sent again."""
TERM_FOLLOWS_S = 0.5
_OF_A_SHUTDOWN = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Signals:
    """Makes SIGCHLD and SIGTERM readable on `fd`; SIGTERM means: cancel."""

    def __init__(self) -> None:
        self.cancelled = False
        self.fd, wakeup = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._cancel)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def _cancel(self, *_: object) -> None:
        self.cancelled = True

    def clear(self) -> None:
        """Empty `fd`: the caller acts on all signals up to now."""
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            pass


class Launched:
    """A job's main process: its pid, the instant before its start (monotonic), its cgroup."""

    __slots__ = ("began", "group", "pid")

    def __init__(self, pid: int, began: float, group: str = "") -> None:
        self.pid, self.began, self.group = pid, began, group


class Supervision:
    """Supervises one job until all of its process tree has ended; `readers` read its pipes."""

    def __init__(
        self, request: Request, signals: Signals, readers: Sequence[PipeReader], job: Launched
    ) -> None:
        self._request, self._signals, self._readers = request, signals, readers
        self._pid, self._began, self._group = job.pid, job.began, job.group
        self.ended_behind: list[int] = []
        """Processes that were ended, as the main process had left them behind."""
        self._status: int | None = None
        self._childless = False
        self._wall_ms = 0
        self._poll = select.poll()
        self._poll.register(signals.fd, select.POLLIN)
        self._of_pipe = {reader.pipe: reader for reader in readers}
        for pipe in self._of_pipe:
            self._poll.register(pipe, select.POLLIN)

    def run(self) -> dict[str, object]:
        """Return what the outcome says of the job's end, once it has ended."""
        limit = self._began + (self._request["timeout_ms"] / 1000 or math.inf)

        def over() -> bool:
            return self._ended() or self._signals.cancelled

        if not resources.lower_session(self._pid):
            self._until(over, min(limit, self._began + LOWER_AGAIN_S))
            resources.lower_session(self._pid)
        in_time = self._until(over, limit)
        ended_by = self._ended_by(in_time)
        if not (ended_by == "exit" and self._request["background"]):
            self._end_what_is_left(count=ended_by == "exit")
        for reader in self._readers:
            reader.finish()
        if not self._ended():
            self._took()
        return {
            "ended_by": ended_by,
            "rc": self._own_rc(),
            "wall_ms": self._wall_ms,
            "ended_behind": len(self.ended_behind),
        }

    def _ended_by(self, in_time: bool) -> str:
        if not self._ended():
            return "cancel" if in_time else "timeout"
        if self._own_rc() in [128 + number for number in _OF_A_SHUTDOWN]:
            self._until(lambda: self._signals.cancelled, time.monotonic() + TERM_FOLLOWS_S)
            if self._signals.cancelled:
                return "cancel"
        return "exit"

    def nothing_left(self) -> bool:
        """Return whether the whole tree has ended and was reaped."""
        if tree.LINUX or not self._childless:
            return self._childless
        return not tree.session_of(self._pid)

    def _own_rc(self) -> int:
        """Return the main process's exit code, 128+N for signal N; 0: it could not be ended."""
        code = os.waitstatus_to_exitcode(self._status or 0)
        return code if code >= 0 else 128 - code

    def _ended(self) -> bool:
        return self._status is not None

    def _took(self) -> None:
        self._wall_ms = round((time.monotonic() - self._began) * 1000)

    def _end_what_is_left(self, count: bool) -> None:
        if self._ended() and self._settles():
            return
        left = self._tree()
        self.ended_behind = [one.pid for one in left if one.state != "Z"] if count else []
        # A stopped process acts on TERM only once it is continued: CONT.
        tree.signal_processes(left, signal.SIGTERM, signal.SIGCONT)
        now = time.monotonic()
        if self._until(self.nothing_left, now + self._request["grace_ms"] / 1000):
            return
        self._kill(time.monotonic() + LAST_WAIT_S)

    def _settles(self) -> bool:
        """Return whether the rest of the tree ends by itself; a busy machine gives it longer."""
        latest = time.monotonic() + SETTLE_MOST_S
        while not self._until(self.nothing_left, min(latest, time.monotonic() + SETTLE_S)):
            if time.monotonic() >= latest or all(one.state not in "RD" for one in self._tree()):
                return False
        return True

    def _kill(self, deadline: float) -> None:
        while not self.nothing_left():
            # At once by the cgroup; then what has left it.
            if cgroup.kill(self._group) and self._killed():
                return
            killed = tree.kill_all(self._tree)
            if self._killed():
                return
            if not killed and time.monotonic() > deadline:
                return

    def _killed(self) -> bool:
        return self._until(self.nothing_left, time.monotonic() + ROUND_S)

    def _tree(self) -> list[tree.Process]:
        if tree.LINUX:
            return tree.tree_of(os.getpid())
        return tree.session_of(self._pid)

    def _until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Serve pipes and children until `condition` holds: True; at the deadline False."""
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            timeout = None if left == math.inf else math.ceil(left * 1000)
            for fd, _ in self._poll.poll(timeout):
                if fd == self._signals.fd:
                    self._signals.clear()
                    self._reap()
                elif not self._of_pipe[fd].read():
                    self._poll.unregister(fd)
        return True

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._status = status
                self._took()
