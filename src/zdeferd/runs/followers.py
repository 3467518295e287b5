"""Keeps the shells that follow outputs, and sends each what is published meanwhile.

A visit asks for the jobs with `apply` that it declares, for those of the files, and for those that
the shell waits for since an earlier visit. An output counts once a run has published it that the
shell waits for, or that ended after the shell had begun. Where such a run has not ended, or a job
is still to be claimed for the shell, the answer says so. Then the shell keeps its connection open
while it sits at a prompt, and each end of a run is reported to it. The answer also has the path of
each output: a shell that waits no longer looks whether the file is another one, at its prompts
and when its bell rings, and then asks again.

The waits held here may be lost: a shell whose connection ends asks again at its next prompt. libzmq
does not tell which shells have left, so the oldest ones are dropped where there are too many.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..jobs.outputs import expanded
from ..ledger.due import Event
from ..ledger.packing import Asked, Report
from ..ledger.store import Ledger
from ..model import Expected, Facts, Job, Run, Scope, Trigger
from ..wire import frames
from ..wire.bells import Bells
from .live import LiveRuns

MOST_OUTPUTS = 64
"""Outputs that one visit can ask for."""
MOST_SHELLS = 1024
"""Shells that are held for one job."""
MOST_BYTES = 6000
"""Bytes of an answer's fields: a shell takes in 8,192, with notices."""


def expected(ledger: Ledger, report: Report, facts: Facts) -> list[Expected]:
    """Return the outputs that a shell asks for, in a transaction."""
    if report.asked is None:
        return []
    question = _Question(Event(ledger, facts), report, report.asked)
    jobs = list(question.jobs())[:MOST_OUTPUTS]
    live = ledger.live_runs() if jobs else []
    return [question.expected(job, live) for job in jobs]


@dataclass(frozen=True)
class _Question:
    """Holds what a shell asks for, beside the event that it reports."""

    event: Event
    report: Report
    asked: Asked

    def jobs(self) -> Iterator[Job]:
        """Yield the jobs whose outputs it asks for."""
        declared = [one.job for one in self.report.declared if one.refused is None]
        jobs = {job.id: job for job in (*self.event.facts.jobs.values(), *declared) if job.apply}
        yield from jobs.values()
        for name in sorted(self.asked.runs.keys() - jobs.keys()):
            job = self.event.ledger.declared_job(name)
            if job is not None and job.apply:
                yield job

    def expected(self, job: Job, live: Iterable[Run]) -> Expected:
        """Return what is known of the output of `job`; `live`: the runs that have not ended."""
        last, ended_at = self.event.ledger.last_published(job.id)
        since = self.asked.runs.get(job.id)
        counts = ended_at >= self.asked.since if since is None else last >= since
        is_live = any(run.job == job.id and run.id > last for run in live)
        return Expected(
            job=job.id,
            path=expanded(job.output, {**self.report.env, **job.env}),
            run=last + 1 if since is None else since,
            published=last if last and counts else 0,
            waits=is_live or self._is_to_be_claimed(job),
        )

    def _is_to_be_claimed(self, job: Job) -> bool:
        """Return whether the job waits for the idle trigger, or for a look at what it watches."""
        ledger, facts, nonce = self.event.ledger, self.event.facts, self.report.nonce
        if job.id in ledger.disabled():
            return False
        if job.id not in facts.jobs:
            waiting = (one for on in Trigger for one in ledger.registrations(on, nonce))
            return any(one.job.id == job.id for one in waiting)
        if job.once_per is Scope.CHANGE and facts.inputs(job, self.report.env) is None:
            return True
        shell = ledger.shell(nonce) if Trigger.IDLE in job.on else None
        return shell is not None and self.event.due_when_idle(job, shell) is not None


@dataclass(frozen=True)
class Caller:
    """The connection of a visit."""

    answer: Callable[[list[bytes]], None]
    """Called once all of the visit is durable, with fields to add to the answer."""
    drop: Callable[[], None] = lambda: None
    """Called where the visit could not be recorded; the shell visits again."""
    send: Callable[[list[bytes]], None] = lambda _: None
    """Sends a further message, after the answer."""


@dataclass(frozen=True)
class _Wait:
    """A shell that waits for the output of one job."""

    caller: Caller
    path: str
    run: int


class Followers:
    """The shells that wait for an output, by the job and by their nonces."""

    def __init__(self, bells: Bells | None = None) -> None:
        self._waits: dict[str, dict[str, _Wait]] = {}
        self._bells = bells
        self._followed: set[str] = set()
        """Jobs that a shell has asked for."""

    @staticmethod
    def notes(report: Report, found: Iterable[Expected]) -> list[bytes]:
        """Return the fields of an answer: what the shell waits for, what is over, and all paths."""
        found = list(found)
        waits = {one.job: one.run for one in found if one.published or one.waits}
        over = () if report.asked is None else report.asked.runs.keys() - waits.keys()
        texts = [f"wait={job}:{run}" for job, run in waits.items()]
        notes = [text.encode() for text in (*texts, *(f"over={job}" for job in sorted(over)))]
        return [*notes, *_paths(found, MOST_BYTES - sum(len(note) + 1 for note in notes))]

    def follow(self, nonce: str, found: Iterable[Expected]) -> None:
        """Make the bell of a shell that asks for outputs, before it is answered."""
        jobs = {one.job for one in found}
        self._followed |= jobs
        if jobs and self._bells is not None:
            self._bells.make(nonce)

    def bell_of(self, run: Run) -> Callable[[], None] | None:
        """Return what wakes the shells that follow the output of `run`; it may block."""
        is_followed = run.job in self._followed
        return self._bells.ring if is_followed and self._bells is not None else None

    def take(self, nonce: str, caller: Caller, found: Iterable[Expected]) -> None:
        """Send an answered shell what is published, and hold it for what is still to come."""
        for one in found:
            wait = _Wait(caller, one.path, one.run)
            if one.published:
                _send(wait, one.job, one.published, more=one.waits)
            if one.waits:
                self._hold(one.job, nonce, wait)

    def _hold(self, job: str, nonce: str, wait: _Wait) -> None:
        shells = self._waits.setdefault(job, {})
        shells.pop(nonce, None)
        shells[nonce] = wait
        if len(shells) > MOST_SHELLS:
            del shells[next(iter(shells))]

    def ended(self, run: Run, published: bool, live: LiveRuns) -> None:
        """Send the shells that wait for this run its end; `live`: the runs that are left."""
        if run.job not in self._waits:
            return
        more = live.of(run.job)
        shells = self._waits[run.job] if more else self._waits.pop(run.job)
        for wait in shells.values():
            if published and run.id >= wait.run:
                _send(wait, run.job, run.id, more)
            elif not more:
                wait.caller.send(frames.answer("over", id=run.job))


def _paths(found: Iterable[Expected], room: int) -> Iterator[bytes]:
    """Yield where each output is, and the run from which on it is new, as far as they fit."""
    for one in found:
        note = f"follow={one.job}:{one.published or one.run}:".encode() + os.fsencode(one.path)
        room -= len(note) + 1
        if room >= 0 and one.path.startswith("/"):
            yield note


def _send(wait: _Wait, job: str, run: int, more: bool) -> None:
    path = b"path=" + os.fsencode(wait.path)
    wait.caller.send([*frames.answer("apply", id=job, run=run), path])
    if not more:
        wait.caller.send(frames.answer("over", id=job))
