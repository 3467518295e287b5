"""Decides whether a job is due for a shell, and claims it; inside one ledger transaction.

A job of scope `change` is due under a new generation where its inputs differ from what its last
claim saw, or where its output is missing. The claim keeps what it saw, and why it was made.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from ..inputs import Inputs, States
from ..machine.boot import clock_at
from ..model import Batch, Claimed, Facts, Job, Run, Scope, Trigger, Work
from ..rules import changes
from ..rules.conditions import opened
from ..rules.scopes import aside_key, change_key, scope_key
from .packing import Shell, unpack
from .store import Ledger, Registration


class Due(NamedTuple):
    """The scope key under which a job is due, and for scope change what was seen."""

    key: str
    inputs: Inputs = Inputs("")
    generation: int = 0


@dataclass(slots=True)
class Event:
    """One event: the ledger, the facts and what was claimed; decides what is due, and claims it."""

    ledger: Ledger
    facts: Facts
    claimed: Claimed = field(default_factory=Claimed)

    def jobs(self, trigger: Trigger) -> list[Job]:
        """Return the jobs of the files that `trigger` can make due."""
        return [job for job in self.facts.jobs.values() if trigger in job.on]

    def enabled(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the jobs that events may claim."""
        disabled = self.ledger.disabled()
        return [job for job in jobs if job.id not in disabled]

    def new_batch(self, trigger: Trigger, shell: Shell) -> Batch:
        """Return a new batch of `shell`, recorded."""
        return self.ledger.new_batch(trigger, shell.nonce, shell.sink, self.facts.now)

    def drop(self, registrations: Iterable[Registration]) -> None:
        """Delete registrations that were due."""
        for registration in registrations:
            self.ledger.drop_registration(registration.id)

    def due_now(self, job: Job, shell: Shell) -> Due | None:
        """Return how `job` is due for `shell` now; None where its scope is spent."""
        found = self.due(job, shell)
        return found if found and not self.ledger.is_claimed(job.id, found.key) else None

    def due_when_idle(self, job: Job, shell: Shell) -> Due | None:
        """As `due_now`; None also while a job of scope change has a run that has not ended.

        A job that changes its own input would else be due again at once, as long as nobody types.
        """
        found = self.due_now(job, shell)
        if found is None or job.once_per is not Scope.CHANGE:
            return found
        last = self.ledger.last_of(job.id)
        return None if last is not None and last.outcome is None else found

    def due(self, job: Job, shell: Shell) -> Due | None:
        """As `due_now`, without looking at the claim of its key; `Ledger.claim` decides."""
        if job.once_per is Scope.CHANGE:
            found = self._changed(job, shell)
        else:
            found = Due(scope_key(job.once_per, shell.nonce, self.facts.boot, self.facts.day))
        if found is None or job.once_per is Scope.SHELL:
            return found
        path = job.env.get("PATH", shell.env.get("PATH", ""))
        aside = aside_key(found.key, path, found.inputs.fingerprint)
        return None if self.ledger.is_claimed(job.id, aside) else found

    def _changed(self, job: Job, shell: Shell) -> Due | None:
        seen, generation = self.ledger.fingerprint(job.id)
        now = self.facts.inputs(job, shell.env)
        if now is None:
            return None
        same = now.fingerprint == seen
        if same and not (now.missing and changes.is_lost(now.seen_at, self.ledger.last_of(job.id))):
            return None
        return Due(change_key(generation + 1), now, generation + 1)

    def claim(self, job: Job, shell: Shell, found: Due | None, batch: Batch) -> list[Run]:
        """Return the run in a list; an empty list where it is not due or its key is spent."""
        if found is None:
            return []
        job = _opened(job, self.facts.now)
        run = Run(
            id=self.ledger.next_run(),
            job=job.id,
            key=found.key,
            trigger=batch.trigger,
            batch=batch.id if job.when is None else None,
            sink=shell.sink,
            claimed_at=self.facts.now,
            after=job.after,
            attempts=attempts_of(job),
            shell=shell.nonce,
            when=job.when,
        )
        if not take(self.ledger, run, Work(job=job, env=shell.env)):
            return []
        if found.generation:
            _keep(self.ledger, job, found)
        return [run]


def _opened(job: Job, now: float) -> Job:
    """Return the job with the instants of its conditions, where it has any."""
    if job.when is None:
        return job
    return replace(job, when=opened(job.when, now, clock_at))


def unconditional(job: Job) -> Job:
    """Return the job without its conditions, for a run that a user asks for."""
    return job if job.when is None else replace(job, when=None)


def _keep(ledger: Ledger, job: Job, found: Due) -> None:
    """Keep what the claim saw, and why it was made."""
    before = unpack(ledger.inputs(job.id), States)
    cause = changes.cause(before, found.inputs)
    ledger.save_fingerprint(job.id, found.inputs.fingerprint, found.generation)
    ledger.save_inputs(job.id, json.dumps(found.inputs.states), cause)


def attempts_of(job: Job) -> int:
    """Return the most process starts that a run of `job` may have."""
    return job.attempts if job.idempotent else 1


def take(ledger: Ledger, run: Run, work: Work) -> bool:
    """Claim the key of `run` and add the run; False: the key is spent."""
    taken = ledger.claim(run.job, run.key, run.id, run.claimed_at)
    if taken:
        ledger.add_run(run, work)
    return taken
