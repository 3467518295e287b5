"""Decides whether a job is due for a shell, and claims it; inside one ledger transaction.

A job of scope `change` is due under a new generation where its inputs differ from what its last
claim saw, or where its output is missing. The claim keeps what it saw, and why it was made.
"""

import json
from typing import NamedTuple

from msgspec.structs import replace

from ..inputs import Inputs, States
from ..machine.boot import clock_at
from ..model import Batch, Facts, Job, Run, Scope, Work
from ..rules import changes
from ..rules.conditions import opened
from ..rules.scopes import aside_key, change_key, scope_key
from .packing import Shell, unpack
from .store import Ledger


class Due(NamedTuple):
    """The scope key under which a job is due, and for scope change what was seen."""

    key: str
    inputs: Inputs = Inputs("")
    generation: int = 0


def due_now(ledger: Ledger, job: Job, shell: Shell, facts: Facts) -> Due | None:
    """Return how `job` is due for `shell` now; None where its scope is spent."""
    found = due(ledger, job, shell, facts)
    return found if found and not ledger.is_claimed(job.id, found.key) else None


def due_when_idle(ledger: Ledger, job: Job, shell: Shell, facts: Facts) -> Due | None:
    """As `due_now`; None also while a job of scope change has a run that has not ended.

    A job that changes its own input would else be due again at once, for as long as nobody types.
    """
    found = due_now(ledger, job, shell, facts)
    if found is None or job.once_per is not Scope.CHANGE:
        return found
    last = ledger.last_of(job.id)
    return None if last is not None and last.outcome is None else found


def due(ledger: Ledger, job: Job, shell: Shell, facts: Facts) -> Due | None:
    """As `due_now`, without looking at the claim of its key; `Ledger.claim` decides."""
    if job.once_per is Scope.CHANGE:
        found = _changed(ledger, job, shell, facts)
    else:
        found = Due(scope_key(job.once_per, shell.nonce, facts.boot, facts.day))
    if found is None or job.once_per is Scope.SHELL:
        return found
    aside = aside_key(found.key, shell.env.get("PATH", ""), found.inputs.fingerprint)
    return None if ledger.is_claimed(job.id, aside) else found


def _changed(ledger: Ledger, job: Job, shell: Shell, facts: Facts) -> Due | None:
    seen, generation = ledger.fingerprint(job.id)
    now = facts.inputs(job, shell.env)
    if now is None:
        return None
    same = now.fingerprint == seen
    if same and not (now.missing and changes.is_lost(now.seen_at, ledger.last_of(job.id))):
        return None
    return Due(change_key(generation + 1), now, generation + 1)


def claim(
    ledger: Ledger, job: Job, shell: Shell, found: Due | None, batch: Batch, facts: Facts
) -> list[Run]:
    """Return the run in a list; an empty list where it is not due or its key is spent."""
    if found is None:
        return []
    job = _opened(job, facts.now)
    run = Run(
        id=ledger.next_run(),
        job=job.id,
        key=found.key,
        trigger=batch.trigger,
        batch=batch.id if job.when is None else None,
        sink=shell.sink,
        claimed_at=facts.now,
        after=job.after,
        attempts=attempts_of(job),
        shell=shell.nonce,
        when=job.when,
    )
    if not take(ledger, run, Work(job=job, env=shell.env)):
        return []
    if found.generation:
        _keep(ledger, job, found)
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
