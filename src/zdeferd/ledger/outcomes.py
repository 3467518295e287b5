"""Records the start and the end of a run: its rows and its telemetry lines.

Each function belongs inside one ledger transaction, so that a line exists exactly
where the fact that it reports does: the telemetry is a projection of the ledger.
"""

from collections.abc import Sequence

from msgspec import structs

from ..model import (
    Batch,
    Code,
    Cost,
    Ending,
    Facts,
    Job,
    Outcome,
    Run,
    Scope,
    State,
    Trigger,
    Work,
)
from ..rules.backoff import retry_wait_s
from ..rules.lifecycle import TRIED_AGAIN
from ..rules.scopes import aside_key, change_key, here_key, retry_key
from ..telemetry import projection
from .packing import DoneHere, Report
from .standing import Failure
from .store import Ledger

NOT_FOUND = 127
"""The exit code of a shell that does not find a command."""
SHARED = (Scope.BOOT, Scope.DAY, Scope.CHANGE, Scope.EVER)
"""Scopes whose span several shells share."""
FAILURES = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.ABANDONED)
"""The outcomes of which a user can be told."""
DONE_HERE = "# done in the shell"
"""The command of a run that a shell has done itself."""


def begin(ledger: Ledger, run: Run, boot: str, now: float) -> None:
    """Record the decision to start `run`; for the first of an idle batch, IDLE:START.

    A run that was to be cancelled and has started all the same may be dispatched already.
    """
    if run.state is State.CLAIMED:
        ledger.dispatch(run.id, boot, now)
    if run.batch is None or run.trigger is not Trigger.IDLE:
        return
    if ledger.start_batch(run.batch, now):
        tasks = ledger.batch_totals(run.batch).tasks
        _add(ledger, projection.idle_start_lines(run.sink, tasks, now), None, now)


def begin_all(ledger: Ledger, runs: Sequence[Run], boot: str, now: float) -> list[Work]:
    """As `begin`, for each run; return what each is to execute."""
    for run in runs:
        begin(ledger, run, boot, now)
    return [ledger.work(run.id) for run in runs]


def end(ledger: Ledger, run: Run, ending: Ending) -> Batch | None:
    """Record the one outcome of `run`; return its batch as it is now, None where that has ended."""
    if ending.rc == NOT_FOUND and ending.outcome is Outcome.FAILED:
        _set_aside(ledger, run)
    ledger.end_run(run.id, run.state, ending)
    in_batch = run.batch is not None
    lines = projection.run_lines(run.job, run.trigger, ending, run.sink, in_batch=in_batch)
    _add(ledger, lines, run.id, ending.ended_at)
    batch = ledger.batch(run.batch) if run.batch is not None else None
    return None if batch is None or close_batch(ledger, batch, ending.ended_at) else batch


def try_again(ledger: Ledger, run: Run, ending: Ending) -> Run | None:
    """Claim the next run of a job with `retry`, where `run` has failed; None: no more is due."""
    if ending.outcome not in TRIED_AGAIN or run.cancelling or run.job in ledger.disabled():
        return None
    found = ledger.repeatable(run.id)
    retry = found.work.job.retry if found else None
    if found is None or retry is None or run.retry + 1 >= retry.attempts:
        return None
    wait_s = retry_wait_s(retry.backoff_s, run.retry + 1, run.id)
    again = structs.replace(
        run,
        id=ledger.next_run(),
        key=retry_key(run.id),
        batch=None,  # a batch does not wait for it
        claimed_at=ending.ended_at,
        state=State.CLAIMED,
        attempt=1,
        boot="",
        retry=run.retry + 1,
        retry_at=ending.ended_at + wait_s,
        retry_of=run.id,
    )
    ledger.claim(again.job, again.key, again.id, again.claimed_at)
    ledger.add_run(again, found.work)
    return again


def notice(ledger: Ledger, run: Run, ending: Ending, day: str, at_prompt: bool) -> Failure | None:
    """Return the failure of which the user is told now, or at a prompt; None: of none.

    `day` is the local date: at most one message a job and day.
    """
    if ending.outcome not in FAILURES:
        return None
    new = ledger.notice(run.job, day, run.id, told=not at_prompt)
    return Failure(run.job, run.id, ending.outcome, ending.rc) if new and not at_prompt else None


def _set_aside(ledger: Ledger, run: Run) -> None:
    """Free the claim for runs with another PATH: in this one there is no such command."""
    if run.key.partition(":")[0] not in SHARED:
        return
    work = ledger.work(run.id)
    path = work.job.env.get("PATH", work.env.get("PATH", ""))
    seen, generation = ledger.fingerprint(run.job)
    is_last = run.key == change_key(generation)
    aside = aside_key(run.key, path, seen if is_last else "")
    ledger.set_aside(run.job, run.key, run.id, aside)
    if is_last:
        ledger.save_fingerprint(run.job, "", generation - 1)


def record_done_here(ledger: Ledger, report: Report, facts: Facts) -> None:
    """Record what the shell has done itself: runs that have ended, outside every batch."""
    for number, done in enumerate(report.done, 1):
        job = Job(id=done.job, run=Code(DONE_HERE))
        run = Run(
            id=ledger.next_run(),
            job=done.job,
            key=here_key(report.nonce, report.seq, number),
            trigger=Trigger.POSTPROMPT,
            batch=None,
            sink=report.sink,
            claimed_at=facts.now,
            shell=report.nonce,
        )
        if ledger.claim(run.job, run.key, run.id, facts.now):
            ledger.add_run(run, Work(job=job, env={}))
            ledger.dispatch(run.id, facts.boot, facts.now)
            end(ledger, structs.replace(run, state=State.DISPATCHED), _ended(done, facts.now))


def _ended(done: DoneHere, now: float) -> Ending:
    return Ending(
        outcome=Outcome.FAILED if done.rc else Outcome.SUCCEEDED,
        rc=done.rc,
        started_at=now - done.ms / 1000,
        ended_at=now,
        cost=Cost(wall_ms=done.ms),
    )


def close_batch(ledger: Ledger, batch: Batch, now: float) -> bool:
    """Close a batch of which no run is left, with its line: True; False where one is left."""
    totals = ledger.batch_totals(batch.id)
    if totals.live:
        return False
    ledger.end_batch(batch.id, now)
    _add(ledger, projection.batch_end_lines(batch, totals, now), None, now)
    return True


def _add(ledger: Ledger, lines: list[tuple[str, bytes]], run: int | None, now: float) -> None:
    for path, text in lines:
        ledger.add_line(path, text, run, now)
