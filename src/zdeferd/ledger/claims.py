"""Turns the events of a visit into claims, each function inside one ledger transaction.

A visit is recorded once by its (nonce, seq). The first postprompt of a shell makes due the jobs of
the files and its own registrations; a later one makes due only what was registered since. An idle
trigger makes due the idle jobs of the files, for the shell that visited last, and each registration
for idle. A due job is claimed unless its key is spent. A registration is deleted once it was due.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace

from msgspec import structs

from ..errors import LedgerError
from ..machine.processes import may_listen, may_live
from ..model import Claimed, Facts, Job, Run, Scope, Sink, Trigger, Work
from ..rules.scopes import request_key
from ..telemetry import projection
from ..telemetry.logfile import is_measured
from . import outcomes
from .due import Event, attempts_of, take, unconditional
from .packing import Report, Shell
from .store import Ledger, Registration


def take_visit(ledger: Ledger, report: Report, facts: Facts) -> Claimed:
    """Record a visit and claim what it makes due; a redelivered one changes nothing."""
    known = ledger.shell(report.nonce)
    if known is not None and report.seq <= known.seq:
        return Claimed()
    first = known is None or not known.prompted
    prompted = report.postprompt or not first
    told = report.env, report.sink, facts.boot, report.process
    shell = Shell(report.nonce, report.seq, prompted, *told)
    ledger.save_shell(shell, facts.now)
    outcomes.record_done_here(ledger, report, facts)
    event = Event(ledger, facts)
    declared = _declare(event, report)
    if report.postprompt:
        _postprompt(event, shell, declared, first)
    if report.idle:
        take_idle(ledger, facts, event.claimed, caller=shell)
    return event.claimed


def claim_by_hand(ledger: Ledger, job: Job, env: dict[str, str], facts: Facts) -> Run:
    """Claim a run of `job` now, under a key of its own, outside every batch and all conditions.

    With an empty `env` it gets the environment of the shell that visited last.
    """
    shell = _last_shell(ledger, facts.boot)
    if not env and shell is not None:
        env = shell.env
    run = Run(
        id=ledger.next_run(),
        job=job.id,
        key=request_key(uuid.uuid4().hex),
        trigger=job.on[0],
        batch=None,
        sink=projection.sink(env, facts.default_log),
        claimed_at=facts.now,
        after=job.after,
        attempts=attempts_of(job),
    )
    if not take(ledger, run, Work(job=unconditional(job), env=env)):
        raise LedgerError(f"a random key is spent: {run.key}", "internal error, please report")
    return run


def claim_again(ledger: Ledger, run: int, facts: Facts) -> Run | None:
    """Claim a run that repeats the work of `run`, as `claim_by_hand`; None: that is not kept."""
    found = ledger.repeatable(run)
    if found is None:
        return None
    again = Run(
        id=ledger.next_run(),
        job=found.work.job.id,
        key=request_key(uuid.uuid4().hex),
        trigger=found.trigger,
        batch=None,
        sink=projection.sink(found.work.env, facts.default_log),
        claimed_at=facts.now,
        after=found.after,
        attempts=found.attempts,
        retry_of=run,
    )
    work = structs.replace(found.work, job=unconditional(found.work.job))
    return again if take(ledger, again, work) else None


def _declare(event: Event, report: Report) -> list[Job]:
    """Record what the visit declares; return the jobs that its own postprompt makes due.

    All others wait as registrations: for their trigger, or until what they watch is seen.
    """
    ledger, claimed, now = event.ledger, event.claimed, event.facts.now
    for refusal in report.refused:
        claimed.refused.append(refusal.reason)
        if refusal.id is not None:
            ledger.refuse_job(refusal.id, report.nonce, now, refusal.reason)
    at_once = []
    for job, refused in report.declared:
        ledger.declare_job(job, report.nonce, now, refused)
        if refused is not None:
            claimed.refused.append(f"{job.id}: {refused}")
            continue
        for trigger in job.on:
            now_due = trigger is Trigger.POSTPROMPT and report.postprompt
            if now_due and _seen(job, report.env, event.facts):
                at_once.append(job)
            else:
                ledger.register(report.nonce, trigger, job)
    return at_once


# --- triggers ------------------------------------------------------------------


def _postprompt(event: Event, shell: Shell, declared: list[Job], first: bool) -> None:
    registered = _registered(event, shell)
    if not (first or registered or declared):
        return
    jobs = event.jobs(Trigger.POSTPROMPT) if first else []
    jobs += [registration.job for registration in registered]
    jobs += declared
    batch = event.new_batch(Trigger.POSTPROMPT, shell)
    for job in event.enabled(jobs):
        event.claimed.runs += event.claim(job, shell, event.due(job, shell), batch)
    event.drop(registered)
    event.claimed.batches.append(batch)


def _registered(event: Event, shell: Shell) -> list[Registration]:
    """Return the registrations of the shell for its postprompt whose inputs can be seen."""
    registrations = event.ledger.registrations(Trigger.POSTPROMPT, shell.nonce)
    return [one for one in registrations if _seen(one.job, shell.env, event.facts)]


def _seen(job: Job, env: Mapping[str, str], facts: Facts) -> bool:
    return job.once_per is not Scope.CHANGE or facts.inputs(job, env) is not None


def take_late(ledger: Ledger, nonce: str, facts: Facts) -> Claimed:
    """Claim jobs of a shell whose inputs its postprompt did not see; `facts` has only those."""
    claimed, shell = Claimed(), ledger.shell(nonce)
    if shell is None or not shell.prompted:
        return claimed
    watching = {id_: job for id_, job in facts.jobs.items() if job.once_per is Scope.CHANGE}
    event = Event(ledger, replace(facts, jobs=watching), claimed)
    late = [one for one in _registered(event, shell) if one.job.once_per is Scope.CHANGE]
    jobs = event.jobs(Trigger.POSTPROMPT) + [registration.job for registration in late]
    found = [(job, how) for job in event.enabled(jobs) if (how := event.due_now(job, shell))]
    if found:
        batch = event.new_batch(Trigger.POSTPROMPT, shell)
        claimed.batches.append(batch)
        for job, how in found:
            claimed.runs += event.claim(job, shell, how, batch)
    event.drop(late)
    return claimed


def take_idle(
    ledger: Ledger, facts: Facts, claimed: Claimed, caller: Shell | None = None
) -> Claimed:
    """Claim what the idle trigger makes due, in a batch for each sink that gets a run."""
    event = Event(ledger, facts, claimed)
    by_sink: dict[Sink, list[tuple[Shell, Job]]] = {}
    for shell, job in _idle_candidates(event, caller):
        by_sink.setdefault(shell.sink, []).append((shell, job))
    # Batch by batch, so that the order of runs and the order of batches never disagree.
    for candidates in by_sink.values():
        _idle_batch(event, candidates)
    for registration in ledger.registrations(Trigger.IDLE):
        by = ledger.shell(registration.shell)
        if by is None or _seen(registration.job, by.env, facts):
            ledger.drop_registration(registration.id)
    return claimed


def _idle_batch(event: Event, candidates: Iterable[tuple[Shell, Job]]) -> None:
    """Claim what is due of one sink's candidates, as one batch; no batch where nothing is."""
    batch, runs = None, []
    for shell, job in candidates:
        if (how := event.due_when_idle(job, shell)) is not None:
            batch = batch or event.new_batch(Trigger.IDLE, shell)
            runs += event.claim(job, shell, how, batch)
    event.claimed.runs += runs
    if batch is not None and any(run.batch is not None for run in runs):
        event.claimed.batches.append(batch)
    elif batch is not None:  # every key was spent after all, or all wait for conditions
        event.ledger.end_batch(batch.id, event.facts.now)


def idle_waits(ledger: Ledger, facts: Facts) -> bool:
    """Return whether an idle trigger would claim anything now."""
    event = Event(ledger, facts)
    found = (event.due_when_idle(job, shell) for shell, job in _idle_candidates(event))
    return any(one is not None for one in found)


def idle_watching(ledger: Ledger, facts: Facts) -> list[tuple[Job, dict[str, str]]]:
    """Return the idle jobs that watch something, each with the environment of its shell."""
    candidates = _idle_candidates(Event(ledger, facts))
    return [(job, shell.env) for shell, job in candidates if job.once_per is Scope.CHANGE]


def idle_daily(ledger: Ledger, facts: Facts) -> bool:
    """Return whether a new day can make a job due for the idle trigger."""
    return any(job.once_per is Scope.DAY for _, job in _idle_candidates(Event(ledger, facts)))


def _idle_candidates(event: Event, caller: Shell | None = None) -> Iterable[tuple[Shell, Job]]:
    """Yield the idle jobs of the files, for the caller or the last shell; then registrations."""
    disabled = event.ledger.disabled()
    of_files = [job for job in event.jobs(Trigger.IDLE) if job.id not in disabled]
    last = (caller or _last_shell(event.ledger, event.facts.boot)) if of_files else None
    if last is not None:
        for job in of_files:
            yield last, job
    for registration in event.ledger.registrations(Trigger.IDLE):
        shell = event.ledger.shell(registration.shell)
        if shell is not None and registration.job.id not in disabled:
            yield shell, registration.job


def _last_shell(ledger: Ledger, boot: str) -> Shell | None:
    """Return the latest shell that is still there, with its ssh agent; else the latest.

    One that `zdeferctl perf` started counts where there is no other: its log is gone soon.
    """
    shells = [s for s in ledger.latest_shells() if s.env.get("ZSH_IDLE_ENABLE") != "0"]
    shells = [s for s in shells if not is_measured(s.sink.log)] or shells
    there = (s for s in shells if s.boot == boot and may_live(s.process) and _has_agent(s.env))
    return next(there, shells[0] if shells else None)


def _has_agent(env: Mapping[str, str]) -> bool:
    """Return whether the ssh agent that is named there is alive; True where none is named."""
    return not env.get("SSH_AUTH_SOCK") or may_listen(env["SSH_AUTH_SOCK"])
