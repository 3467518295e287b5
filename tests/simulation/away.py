"""What lives away from the daemon: spawners, runners, jobs.

Owns their lives as generators: each `yield` is an instant at which another process can
run, or this one be killed; more such instants are inside, at every system call. What
touches the run folder is the real runner's code, called in the order of
`runner.Attempt.run` and `spawner.serve`.
"""

import errno
import json
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from zdeferd.attempts import launch, publish, records, runner
from zdeferd.attempts.records import COUNTS

from .calls import Process, WouldWait
from .disk import error
from .invariants import text_of

if TYPE_CHECKING:
    from .machine import Machine

Life = Generator[None, None, None]


class Job:
    """A job's process."""

    def __init__(self, run: int, attempt: int, process: Process) -> None:
        self.run, self.attempt, self.process = run, attempt, process
        self.rc: int | None = None
        """None: it runs."""


class Runner:
    """Supervises one attempt."""

    def __init__(self, machine: "Machine", request: dict[str, Any], process: Process) -> None:
        self.machine, self.request, self.process = machine, request, process
        self.run, self.attempt = int(request["folder"].rpartition("/")[2]), request["attempt"]
        self.job: Job | None = None
        self.timed_out = False
        self.facts: dict[str, Any] = {}
        self.waits: Callable[[], bool] = lambda: False
        self.life = self._live()

    def step(self) -> None:
        """Go on until the next instant at which something else can happen."""
        self.machine.as_process(self.process, self, self._next)

    def _next(self) -> None:
        next(self.life, None)
        self.machine.look_at_outputs()

    @property
    def cancelled(self) -> bool:
        """As runner.Signals has it."""
        return self.process.told_to_end

    def _live(self) -> Life:
        (alive,) = self.process.files
        yield
        try:
            attempt = runner.Attempt(self.request, alive, self)  # type: ignore[arg-type]
            try:
                lock = yield from self._until_locked(attempt, alive)
                room = attempt._reserve()
                yield
                started = attempt._mark_started()
                yield
            except OSError as failure:
                raise runner.Refused(f"cannot write to its folder: {failure.strerror}") from None
            began = self.machine.now
            try:
                yield from self._launch(attempt)
            except launch.CannotStart as failure:
                self._not_started(failure, began)
            else:
                yield
                attempt._tell_of_job(started, 1)
                yield from self._until_over()
                self.facts = self._outcome(began)
                yield from self._publish(attempt)
            attempt._record(room, dict(self.facts))
            self.machine.look_for_record(self)
            yield
            self.machine.calls.close(lock)
            yield
        except runner.Refused as refusal:
            records.say(alive, f"refused {refusal}\n")
            yield
        self.machine.exit(self.process)

    def _until_locked(self, attempt: runner.Attempt, alive: int) -> Generator[None, None, int]:
        while True:
            try:
                lock = attempt._take_lock()
                yield
                return lock
            except WouldWait:
                for fd in [fd for fd in self.process.files if fd != alive]:
                    self.machine.calls.close(fd)
                yield

    def _launch(self, attempt: runner.Attempt) -> Life:
        yield from _again(attempt._launch)
        made = attempt._publication
        if made is not None:
            at = (self.run, self.attempt)
            self.machine.witness.output_begun(made._wanted["path"], at, made._number)

    def _not_started(self, failure: launch.CannotStart, began: float) -> None:
        at = (self.run, self.attempt)
        self.machine.check(self.machine.witness.started, at, self.machine.ledger.tables)
        self.job = Job(*at, Process("no job", 0))
        self.job.rc = failure.rc
        self.facts = self._outcome(began)

    def _publish(self, attempt: runner.Attempt) -> Life:
        """As `Attempt._publish`; a wait for another runner's lock is begun again."""
        made = attempt._publication
        if made is None:
            return
        self.machine.calls._of(made.pipe).node.data += text_of(self.run, self.attempt)
        made.finish()
        yield
        if self.facts["ended_by"] == "exit" and self.facts["rc"] == 0:
            try:
                yield from _again(made._publish)
            except publish.Unpublishable as failure:
                self.facts |= publish.refusal(failure)
            except OSError as failure:
                self.facts |= publish.refusal(publish.Unpublishable(f"{failure.strerror}"))
        made.end(succeeded=False)

    def _until_over(self) -> Life:
        job = self.job
        assert job is not None
        self.waits = lambda: job.rc is None and not self.cancelled and not self.timed_out
        while self.waits():
            yield
        self.waits = lambda: False
        if job.rc is None:
            self.machine.end_job(job, 143)
            yield

    def _outcome(self, began: float) -> dict[str, Any]:
        assert self.job is not None
        by, rc = "exit", self.job.rc
        if self.timed_out:
            by = "timeout"
        elif self.cancelled and self.job.rc == 143:
            by = "cancel"
        # No two attempts took the same time, so that each line is known by its `ms`.
        wall_ms = 1000 * (self.run % 4) + self.run * 10 + self.attempt
        counts = dict.fromkeys(COUNTS, 0) | {"rc": rc, "wall_ms": wall_ms}
        return {
            "version": 1,
            "attempt": self.attempt,
            "ended_by": by,
            "started_at": began,
            "ended_at": self.machine.now,
            **counts,
            "max_rss_kib": self.run * 100 + self.attempt,
        }


def _again(step: Callable[[], object]) -> Life:
    """Do the step; again where it waits for a lock."""
    while True:
        try:
            step()
            return
        except WouldWait:
            yield


class Spawner:
    """Forks runners for one daemon."""

    def __init__(self, machine: "Machine", process: Process) -> None:
        self.machine, self.process = machine, process
        self.requests: list[bytes] = []
        self.hung_up = False
        """The daemon's end of the channel is closed."""
        self.answers: list[bytes] = []
        self.told: Callable[[], None] = lambda: None
        self._halfway = False
        self.life = self._live()

    def step(self) -> None:
        """Go on until the next instant at which something else can happen."""
        self.machine.as_process(self.process, self, self._next)

    def _next(self) -> None:
        next(self.life, None)

    def waits(self) -> bool:
        return not (self.requests or self.hung_up or self._halfway)

    def _live(self) -> Life:
        while not self.hung_up:
            self._halfway = False
            if not self.requests:
                yield
                continue
            request = json.loads(self.requests.pop(0))
            self._halfway = True
            yield
            answer = {"folder": request["folder"], "attempt": request["attempt"]}
            try:
                alive = records.open_alive(request["folder"])
                yield
                try:
                    self._fork(request, alive)
                finally:
                    self.machine.calls.close(alive)
            except OSError as failure:
                self._answer(answer | {"error": str(failure)})
            else:
                self._answer(answer | {"pid": 1})
            yield
        self.machine.exit(self.process)

    def _fork(self, request: dict[str, Any], alive: int) -> None:
        if self.machine.no_processes:
            raise error(errno.EAGAIN)
        self.machine.fork_runner(request, alive)

    def _answer(self, answer: dict[str, Any]) -> None:
        self.answers.append(json.dumps(answer).encode() + b"\n")
        self.told()
