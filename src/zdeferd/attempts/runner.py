"""Supervises one attempt of a run, and records its outcome.

Owns, in the run's folder: `lock`, held for the runner's life; `job.lock`, which the job
and its children hold by inheritance; `script`, `started.<attempt>`, `output`,
`outcome.json`. The spawner forks it and has opened `alive` for it: the end of
that FIFO tells the daemon that this process has ended, in any way.

**One start.** The lock comes first. Then comes what a full disk would refuse: the
script, and room for the outcome. Then `started.<attempt>` is created with O_EXCL, and only
then the job's process is made. A failure before that leaves no mark of a start. At the
end the lock is released before `alive` ends, so that a daemon that sees the end can judge.
judging/judge.py is the other side of this, and lists the races.

**One record.** `outcome.json` is written whole, by rename, into the room that was taken at
the start, so that a disk that is full by now does not matter. If it still cannot be
written, the runner tries for about a minute, holding its lock, and then gives up: the run
is then abandoned. So it is where another process than zdeferd ended the runner by SIGTERM
(a shutdown, a logout): the job is ended, and as after a power cut nothing is recorded.
Nothing is synced: a run of another boot that has no outcome is abandoned.

With `background` the runner goes on to read the output, without locks and with its outcome
recorded: a closed pipe would end the processes in the background.

Standard library only: the spawner's memory is mostly this. One thread.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time

from ..crashpoints import reached
from ..processes import cgroup, resources, tree
from . import publish, records
from .launch import CannotStart, launch
from .output import Output
from .records import (
    ALIVE,
    CANCELLED,
    JOB_LOCK,
    LOCK,
    OUTCOME,
    OUTPUT,
    SCRIPT,
    mark_of,
    open_file,
    say,
    write_all,
)
from .supervise import Launched, Signals, Supervision

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from .launch import Request

RECORD_AGAIN_S = (0.1, 1.0, 4.0, 15.0, 40.0)
OUTCOME_ROOM = 4096
"""Bytes reserved for the outcome before the job starts; it needs about 400, and a reason."""


class Interrupted(Exception):
    """The job was ended although nobody cancelled the run; no outcome is recorded."""


class Refused(Exception):
    """This attempt must not start, or cannot; no process was started."""


def main(request: Request, alive: int) -> NoReturn:
    """Run one attempt, in a process that was forked for it, and exit."""
    try:
        reached("runner.forked")
        signals = Signals()
        _leave_the_spawner()
        Attempt(request, alive, signals).run()
    except Refused as refusal:
        say(alive, f"refused {refusal}\n")
    except Interrupted as interruption:
        say(alive, f"interrupted {interruption}\n")
    except BaseException as error:  # noqa: BLE001 - above is the spawner's code, in a copy
        say(alive, f"broke {error!r}\n")
    finally:
        os._exit(0)


def _leave_the_spawner() -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    resources.lower_priority()
    tree.become_subreaper()


class Attempt:
    """Runs one attempt, from the lock to the record."""

    def __init__(self, request: Request, alive: int, signals: Signals) -> None:
        self._request, self._alive, self._signals = request, alive, signals
        self._folder, self._number = request["folder"], request["attempt"]
        self._mark = mark_of(self._folder, self._number)
        self._has_job_lock = False
        self._base, self._group = request.get("cgroup", ""), ""
        self._publication: publish.Publication | None = None

    def run(self) -> None:
        """Start, supervise, record. Refused: no process was started."""
        try:
            self._run()
        finally:
            cgroup.remove(self._group)

    def _run(self) -> None:
        try:
            lock, room, started = self._take_lock(), self._reserve(), self._mark_started()
        except OSError as error:
            where = error.filename or "cannot write to its folder"
            raise Refused(f"{where}: {error.strerror}") from None
        facts: dict[str, object] = {"version": 1, "attempt": self._number}
        facts["started_at"] = time.time()
        began = time.monotonic()
        try:
            output, pid = self._launch()
        except CannotStart as error:
            output = self._note(str(error))
            facts |= {"ended_by": "exit", "rc": error.rc, "wall_ms": 0, "ended_behind": 0}
            facts |= publish.refusal(error)
            all_ended, ended = True, list[int]()
        else:
            reached("runner.spawned")
            supervision = self._supervision(output, Launched(pid, began, self._group))
            self._tell_of_job(started, pid)
            reached("runner.told")
            facts |= supervision.run()
            reached("runner.job-ended")
            if facts["ended_by"] == "cancel" and not self._is_cancelled():
                self._publish(succeeded=False, ended=())
                raise Interrupted("SIGTERM of another process than zdeferd, as at a shutdown")
            all_ended, ended = supervision.nothing_left(), supervision.ended_behind
        cost = records.cost() | cgroup.cpu_ms(self._group)
        facts |= self._publish(facts["ended_by"] == "exit" and facts["rc"] == 0, ended)
        self._record(room, facts | {"ended_at": time.time()} | cost | output.sizes())
        os.close(lock)
        reached("runner.unlocked")
        os.close(self._alive)  # here: at its exit the kernel closes files last
        if not all_ended:
            self._stay_behind(output)

    def _take_lock(self) -> int:
        self._check_run_is_on()
        lock = open_file(f"{self._folder}/{LOCK}", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait_for_judges(lock)
        self._check_run_is_on()
        reached("runner.locked")
        return lock

    def _wait_for_judges(self, lock: int) -> None:
        # Only judges share the lock, and only for an instant; a runner never does.
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another runner is at work") from None
        fcntl.flock(lock, fcntl.LOCK_EX)

    def _check_run_is_on(self) -> None:
        try:
            if os.path.samestat(os.fstat(self._alive), os.stat(f"{self._folder}/{ALIVE}")):
                return
        except FileNotFoundError:
            pass
        raise Refused("the run is over")

    def _reserve(self) -> int:
        """Write the script and reserve room for the outcome; return the descriptor of that."""
        if os.path.lexists(self._mark):
            raise Refused(f"attempt {self._number} has been started or withdrawn")
        script = self._request["script"]
        if script is not None:
            os.close(self._write_new(SCRIPT, script.encode("utf-8", "surrogateescape")))
        room = self._write_new(f"{OUTCOME}.tmp", b" " * OUTCOME_ROOM)
        reached("runner.reserved")
        return room

    def _write_new(self, name: str, data: bytes) -> int:
        fd = open_file(f"{self._folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        write_all(fd, data)
        return fd

    def _mark_started(self) -> int:
        fd = open_file(self._mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        reached("runner.marking")
        try:
            self._group = cgroup.make(self._base, os.path.basename(self._folder), self._number)
            mark = {"pid": os.getpid(), "started_at": time.time(), "cgroup": self._group}
            write_all(fd, json.dumps(mark).encode() + b"\n")
            reached("runner.marked")
        except OSError:
            os.unlink(self._mark)
            raise
        # `judge.cancel` makes a file first and reads our pid then, so one sees the other.
        if self._signals.cancelled or self._is_cancelled():
            os.unlink(self._mark)
            raise Refused("cancelled")
        return fd

    def _is_cancelled(self) -> bool:
        return os.path.exists(f"{self._folder}/{CANCELLED}")

    def _launch(self) -> tuple[Output, int]:
        """Return the job's output and its pid. CannotStart, or Refused: it may work later."""
        try:
            self._publication = publish.opened(self._request)
            reading, writing = os.pipe()
            stdout = self._publication.writing if self._publication else writing
            pid = self._launch_in_group((stdout, writing), self._open_job_lock())
        except OSError as error:
            self._unmark()
            raise Refused(f"cannot make a process: {error.strerror}") from None
        for fd in {stdout, writing}:
            os.close(fd)
        return self._output(reading), pid

    def _supervision(self, output: Output, job: Launched) -> Supervision:
        readers = [output, self._publication] if self._publication else [output]
        return Supervision(self._request, self._signals, readers, job)

    def _publish(self, succeeded: bool, ended: Sequence[int]) -> dict[str, object]:
        """Publish what the job printed; return what the outcome says where that is refused."""
        return self._publication.end(succeeded, ended) if self._publication else {}

    def _launch_in_group(self, outputs: tuple[int, int], job_lock: int) -> int:
        self._group = cgroup.enter(self._group)
        try:
            return launch(self._request, outputs, job_lock)
        finally:
            if self._group and not cgroup.leave(self._base):
                self._group = ""  # it is among what would be killed

    def _unmark(self) -> None:
        """Remove the traces of a start: no process was made."""
        if self._has_job_lock and self._number == 1:  # later it may be held since the first
            os.unlink(f"{self._folder}/{JOB_LOCK}")
        os.unlink(self._mark)

    def _note(self, text: str) -> Output:
        """Return an output that holds only a message of zdeferd's."""
        output = self._output(os.open(os.devnull, os.O_RDONLY))
        output.add(f"zdeferd: {text}\n".encode("utf-8", "surrogateescape"))
        output.finish()
        return output

    def _output(self, pipe: int) -> Output:
        return Output(f"{self._folder}/{OUTPUT}", pipe, self._request["output_limit_bytes"])

    def _open_job_lock(self) -> int:
        fd = open_file(f"{self._folder}/{JOB_LOCK}", os.O_RDWR | os.O_CREAT)
        self._has_job_lock = True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # a process of an earlier attempt could not be ended; it is found by this file too
        return fd

    def _tell_of_job(self, started: int, pid: int) -> None:
        say(self._alive, "started\n")
        process = tree.look_at(pid)
        mark = {"job_pid": pid, "job_started": process.started if process else 0}
        try:
            write_all(started, json.dumps(mark).encode() + b"\n")
        except OSError:
            pass  # needed only to end what a vanished runner leaves
        os.close(started)

    def _stay_behind(self, output: Output) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        output.drop_the_rest()

    def _record(self, room: int, facts: dict[str, object]) -> None:
        data = json.dumps(facts).encode() + b"\n"
        for wait_s in (*RECORD_AGAIN_S, 0):
            try:
                records.write_over(room, data)
                reached("runner.outcome-written")
                os.rename(f"{self._folder}/{OUTCOME}.tmp", f"{self._folder}/{OUTCOME}")
                reached("runner.outcome-renamed")
                return
            except FileNotFoundError:
                return  # the folder was removed, and the run with it
            except OSError:
                time.sleep(wait_s)
