"""Reads the facts that `why` answers from: ledger, configuration, ttys, the daemon's lock.

Only reads. The picture of live runs is the daemon's own (rules/schedule.py), as the ledger has it.
"""

from __future__ import annotations

import os
import threading

from ..inputs import Inputs, States
from ..ledger.packing import run_of, unpack
from ..ledger.reading import View
from ..machine.boot import boot_id, clock_at, day_in
from ..machine.lock import daemon_pid
from ..machine.paths import daemon_zone
from ..machine.processes import listens
from ..model import Batch, Scope, Sink, State, Trigger, inputs_of
from ..rules import changes, conditions, schedule, scopes
from .answers import Live, WhyFacts
from .jobs import Declared, declared
from .live import as_found
from .runs import Past, word
from .target import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..jobs.files import Loaded
    from ..ledger.reading import Row, RunRow
    from ..machine.paths import Paths
    from ..model import Job, Run
    from ..rules.conditions import Condition

LOOK_S = 6.0
"""A little longer than the limit of a look that goes through too many files."""


def gather(job: str, now: float, env: Mapping[str, str], paths: Paths, view: View) -> WhyFacts:
    """Read the facts about `job` that the answer depends on, as of `now`."""
    jobs, loaded = declared(view, paths)
    item = jobs.get(job) or Declared(job, None)
    last = view.last_run(job)
    inputs, unseen = _inputs(item.job, env, now)
    changed, cause = _claimed(view, item.job, inputs)
    day = day_in(now, daemon_zone(paths.pointer, env))
    live = as_found(view.live_runs(), paths)
    idle = item.job is not None and Trigger.IDLE in item.job.on
    return WhyFacts(
        id=job,
        now=now,
        daemon=daemon_pid(paths.lock) is not None,
        activated=os.path.exists(paths.autostart) or listens(paths.socket),
        job=item.job,
        source=item.source,
        refused=item.refused,
        refused_at=item.declared_at,
        nearest=nearest(job, [*jobs, *view.job_ids()]),
        live=_live(live, view, job, loaded, now),
        disabled_at=view.disabled().get(job),
        spent=None if item.job is None else _spent(view, item.job, day, env, inputs),
        unseen=unseen,
        changed=changed,
        missing=inputs.missing,
        misplaced=_misplaced(item.job, env, paths.home),
        cause=cause,
        this_shell=bool(env.get("ZDEFERD_NONCE")),
        last=None if last is None else _past(last),
        registered=frozenset(Trigger(r["trigger"]) for r in view.registrations(job)),
        prompted_at=view.shells()["prompted_at"],
        quiet_s=quiet_now_s() if idle else None,
        conditions=_conditions(item.job, [run_of(row) for row in live if row["job"] == job], now),
        idle_after_s=loaded.settings.idle_after_s,
    )


def quiet_now_s() -> float:
    """Return how long the user has been quiet, in seconds."""
    from ..machine.processes import process_of
    from ..machine.quiet import Probe

    return Probe().quiet_s([process_of(os.getpid())])  # its terminal may be another user's


def _conditions(job: Job | None, runs: list[Run], now: float) -> tuple[Condition, ...]:
    """Return the conditions of a job's first live run, or of one that were claimed at `now`."""
    if runs:
        when = runs[0].when
    else:
        when = None if job is None else job.when and conditions.opened(job.when, now, clock_at)
    return () if when is None else tuple(conditions.conditions(when, _senses(now), now))


def _senses(now: float) -> conditions.Senses:
    from ..senses.present import senses

    return senses(now, quiet_now_s())


def _past(row: RunRow) -> Past:
    at = row["ended_at"] or row["claimed_at"]
    return Past(
        run=row["id"],
        at=at,
        outcome=row["outcome"] or "",
        rc=row["rc"],
        ended_behind=row["ended_behind"] or 0,
        refusal=row["refusal"],
    )


# --- the claim on the scope as it is now ---------------------------------------


def spent_now(
    view: View, job: Job, env: Mapping[str, str], now: float, day: str
) -> tuple[Past | None, str | None]:
    """Return the run that has spent the scope of `job` as it is now, or why that is not known."""
    inputs, unseen = _inputs(job, env, now)
    return (None if unseen else _spent(view, job, day, env, inputs)), unseen


def _inputs(job: Job | None, env: Mapping[str, str], now: float) -> tuple[Inputs, str | None]:
    """Return the inputs of the job as they are, and why they cannot be seen."""
    if job is None or job.once_per is not Scope.CHANGE:
        return Inputs(""), None
    from ..jobs.fingerprint import Unseen, look_at
    from ..jobs.outputs import first_missing, made_paths

    found: list[Inputs] = []
    reasons: list[str] = []
    env = {**env, **job.env}

    def look() -> None:
        try:
            inputs = look_at(inputs_of(job), env)
            missing = first_missing(made_paths(job, env))
            found.append(inputs._replace(missing=missing, seen_at=now))
        except Unseen as error:
            reasons.append(error.found)

    looking = threading.Thread(target=look, daemon=True)  # a dead mount would hold it for ever
    looking.start()
    looking.join(LOOK_S)
    if found:
        return found[0], None
    return Inputs(""), (*reasons, f"no answer in {LOOK_S:g} s: {', '.join(job.watch)}")[0]


def _misplaced(job: Job | None, env: Mapping[str, str], home: str) -> tuple[str, str]:
    from ..jobs.outputs import out_of_place

    return out_of_place(job, env, home) if job and job.output else ("", "")


def _claimed(view: View, job: Job | None, inputs: Inputs) -> tuple[tuple[str, ...], str]:
    """Return what differs now from what the last claim of scope change saw, and its cause."""
    seen = view.fingerprint(job.id) if job and inputs.fingerprint else None
    if seen is None:
        return (), ""
    before = unpack(seen["inputs"], States)
    return tuple(changes.changes(before, inputs.states)), seen["cause"]


def _spent(view: View, job: Job, day: str, env: Mapping[str, str], inputs: Inputs) -> Past | None:
    if job.once_per is Scope.CHANGE:
        return _unchanged(view, job, env, inputs)
    key = _scope_key(view, job.once_per, day, env)
    claim = None if key is None else _claim(view, job, key, env)
    if claim is None:
        return None
    row = view.run(claim["run"])
    if row is None:  # pruned by age; the claim stays
        return Past(run=claim["run"], at=claim["claimed_at"])
    return _past(row)


def _claim(view: View, job: Job, key: str, env: Mapping[str, str]) -> Row | None:
    return view.claim(job.id, key) or _aside(view, job, key, env)


def _aside(view: View, job: Job, key: str, env: Mapping[str, str], inputs: str = "") -> Row | None:
    """Return the claim that went aside because this PATH lacks the job's command."""
    from ..jobs.environment import absolute_folders

    path = job.env.get("PATH", absolute_folders(env.get("PATH", "")))
    return view.claim(job.id, scopes.aside_key(key, path, inputs))


def _scope_key(view: View, scope: Scope, day: str, env: Mapping[str, str]) -> str | None:
    """Return the key under which a claim would be made; None: no shell has shown a prompt."""
    nonce = env.get("ZDEFERD_NONCE") or view.last_prompted_shell()
    if scope is Scope.SHELL and nonce is None:
        return None
    return scopes.scope_key(scope, nonce or "", boot_id(), day)


def _unchanged(view: View, job: Job, env: Mapping[str, str], inputs: Inputs) -> Past | None:
    """Return the run that saw the inputs as they are now; None: they have changed."""
    seen = view.fingerprint(job.id)
    if seen is None:
        return None
    if seen["fingerprint"] == inputs.fingerprint:
        if inputs.missing and changes.is_lost(inputs.seen_at, _last(view, job)):
            return None
        claim = view.claim(job.id, scopes.change_key(seen["generation"]))
    else:
        claim = _aside(
            view, job, scopes.change_key(seen["generation"] + 1), env, inputs.fingerprint
        )
    row = None if claim is None else view.run(claim["run"])
    return None if row is None else _past(row)


def _last(view: View, job: Job) -> changes.Last | None:
    row = view.last_run(job.id)
    return None if row is None else changes.Last(row["outcome"], row["ended_at"] or 0.0)


# --- the run that has not ended ------------------------------------------------


def _live(rows: list[RunRow], view: View, name: str, loaded: Loaded, now: float) -> Live | None:
    row = next((row for row in rows if row["job"] == name), None)
    if row is None:
        return None
    return _live_of(row, picture_of(rows, view, loaded, now), now)


def why_live(
    rows: list[RunRow], view: View, paths: Paths, loaded: Loaded, now: float
) -> list[WhyFacts]:
    """Return the facts about each of these live runs, which are all that there are."""
    picture = picture_of(rows, view, loaded, now)
    daemon = daemon_pid(paths.lock) is not None
    return [
        WhyFacts(
            id=row["job"],
            now=now,
            daemon=daemon,
            live=_live_of(row, picture, now),
            conditions=_of_run(picture.conditioned.get(row["id"]), picture, now),
        )
        for row in rows
    ]


def _of_run(run: Run | None, picture: schedule.Picture, now: float) -> tuple[Condition, ...]:
    if run is None or run.when is None:
        return ()
    return tuple(conditions.conditions(run.when, picture.senses, now))


def _live_of(row: RunRow, picture: schedule.Picture, now: float) -> Live:
    run = picture.waiting.get(row["id"]) or picture.running[row["id"]]
    return Live(
        run=run.id,
        running=word(row) == "running",
        ended=word(row) in ("ended", "vanished"),
        since=row["dispatched_at"] or row["claimed_at"],
        cancelling=run.cancelling,
        waits_for=schedule.waits_for(run, picture),
        ahead=schedule.ahead(run, picture, now),
        unmet=run.id in schedule.unmet(picture, now),
        deadline=run.when.closes_at if run.when else None,
        lane=schedule.lane(run),
        paused=schedule.lane(run) in picture.paused,
        retry=run.retry,
        retry_at=run.retry_at,
    )


def picture_of(rows: list[RunRow], view: View, loaded: Loaded, now: float) -> schedule.Picture:
    """Return the picture that the daemon decides from, as the ledger has it."""
    runs = [run_of(row) for row in rows]
    batches = [
        Batch(id=row["id"], trigger=Trigger(row["trigger"]), sink=unpack(row["sink"], Sink))
        for row in view.open_batches()
    ]
    waiting = {run.id: run for run in runs if run.state is State.CLAIMED}
    conditioned = {run.id: run for run in waiting.values() if run.when is not None}
    started = sorted(rows, key=lambda row: row["dispatched_at"] or 0.0)
    running = [run for run in map(run_of, started) if run.state is State.DISPATCHED]
    at_once = loaded.settings.jobs_at_once
    return schedule.Picture(
        waiting=waiting,
        conditioned=conditioned,
        senses=_senses(now) if conditioned else conditions.Senses(),
        running={run.id: run for run in running},
        given_up=schedule.surely_given_up(running, at_once),
        batches={batch.id: batch for batch in batches},
        jobs_at_once=at_once,
        paused=frozenset(map(Trigger, view.paused())),
    )
