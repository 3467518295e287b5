"""The facts that `why` answers from: ledger, configuration, ttys and the daemon's lock.

Only reads. The picture of live runs is the daemon's own (rules/schedule.py), as the ledger has it.
"""

from __future__ import annotations

import os
import time

from ..ledger.packing import unpack
from ..ledger.reading import View
from ..machine.boot import boot_id
from ..machine.lock import daemon_pid
from ..model import Batch, Run, Scope, Sink, State, Trigger
from ..rules import schedule
from .jobs import Declared, declared
from .live import as_found
from .runs import word
from .target import nearest
from .why import Live, Past, WhyFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..jobs.files import Loaded
    from ..machine.paths import Paths
    from ..model import Job
    from .render import Document


def gather(job: str, now: float, env: Mapping[str, str], paths: Paths, view: View) -> WhyFacts:
    """Read the facts about `job` that the answer depends on, as of `now`."""
    jobs, loaded = declared(view, paths)
    item = jobs.get(job) or Declared(job, None)
    last = view.last_run(job)
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
        live=_live(as_found(view.live_runs(), paths), view, job, loaded),
        spent=None if item.job is None else _spent(view, item.job, now, env),
        this_shell=bool(env.get("ZDEFERD_NONCE")),
        last=None if last is None else _past(last),
        registered=frozenset(Trigger(r["trigger"]) for r in view.registrations(job)),
        prompted_at=view.shells()["prompted_at"],
        quiet_s=_quiet_s() if idle else None,
        idle_after_s=loaded.settings.idle_after_s,
    )


def listens(socket: str) -> bool:
    """Whether somebody listens at the socket (Linux): a service manager, where no daemon runs."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            return any(line.endswith(f" {socket}\n") for line in file)
    except OSError:
        return False


def _quiet_s() -> float:
    from ..machine.quiet import Probe

    return Probe().quiet_s()


def _past(row: Document) -> Past:
    at = row["ended_at"] or row["claimed_at"]
    return Past(run=row["id"], at=at, outcome=row["outcome"] or "", rc=row["rc"])


# --- the claim on the scope as it is now ---------------------------------------


def _spent(view: View, job: Job, now: float, env: Mapping[str, str]) -> Past | None:
    if job.once_per is Scope.CHANGE:
        return _unchanged(view, job, env)
    key = _scope_key(view, job.once_per, now, env)
    claim = None if key is None else view.claim(job.id, key)
    if claim is None:
        return None
    row = view.run(claim["run"])
    if row is None:  # pruned by age; the claim stays
        return Past(run=claim["run"], at=claim["claimed_at"])
    return _past(row)


def _scope_key(view: View, scope: Scope, now: float, env: Mapping[str, str]) -> str | None:
    if scope is Scope.SHELL:
        nonce = env.get("ZDEFERD_NONCE") or view.last_prompted_shell()
        return None if nonce is None else f"shell:{nonce}"
    if scope is Scope.BOOT:
        return f"boot:{boot_id()}"
    if scope is Scope.DAY:
        return time.strftime("day:%Y-%m-%d", time.localtime(now))
    return str(scope)


def _unchanged(view: View, job: Job, env: Mapping[str, str]) -> Past | None:
    """The run that saw the inputs as they are now."""
    from ..jobs.fingerprint import fingerprint

    seen = view.fingerprint(job.id)
    if seen is None or seen["fingerprint"] != fingerprint(job.watch, env):
        return None
    claim = view.claim(job.id, f"change:{seen['generation']}")
    row = None if claim is None else view.run(claim["run"])
    return None if row is None else _past(row)


# --- the run that has not ended ------------------------------------------------


def _live(rows: list[Document], view: View, name: str, loaded: Loaded) -> Live | None:
    row = next((row for row in rows if row["job"] == name), None)
    if row is None:
        return None
    picture = _picture(rows, view, loaded)
    run = picture.waiting.get(row["id"]) or picture.running[row["id"]]
    lane = schedule.lane(run)
    before = [
        *(other for other in picture.running.values() if schedule.lane(other) is lane),
        *(o for o in picture.waiting.values() if schedule.lane(o) is lane and o.id < run.id),
    ]
    full = len(before) >= loaded.settings.jobs_at_once
    return Live(
        run=run.id,
        running=word(row) == "running",
        ended=word(row) in ("ended", "vanished"),
        since=row["dispatched_at"] or row["claimed_at"],
        cancelling=run.cancelling,
        waits_for=_waits_for(run, picture),
        ahead=tuple(f"{other.job} (run {other.id})" for other in before) if full else (),
        lane=lane,
    )


def _waits_for(run: Run, picture: schedule.Picture) -> str | None:
    """What it waits for, with the run's number where it is a job: the oldest of that job."""
    job = schedule.waits_for(run, picture)
    runs = (*picture.running.values(), *picture.waiting.values())
    numbers = [other.id for other in runs if other.job == job and other.id != run.id]
    return f"{job} (run {min(numbers)})" if numbers else job


def _picture(rows: list[Document], view: View, loaded: Loaded) -> schedule.Picture:
    """The daemon's picture, as the ledger has it."""
    runs = [_run(row) for row in rows]
    batches = [
        Batch(id=row["id"], trigger=Trigger(row["trigger"]), sink=unpack(row["sink"], Sink))
        for row in view.open_batches()
    ]
    return schedule.Picture(
        waiting={run.id: run for run in runs if run.state is State.CLAIMED},
        running={run.id: run for run in runs if run.state is State.DISPATCHED},
        batches={batch.id: batch for batch in batches},
        jobs_at_once=loaded.settings.jobs_at_once,
    )


def _run(row: Document) -> Run:
    return Run(
        id=row["id"],
        job=row["job"],
        key=row["key"],
        trigger=Trigger(row["trigger"]),
        batch=row["batch"],
        sink=unpack(row["sink"], Sink),
        claimed_at=row["claimed_at"],
        after=tuple(row["after"].split()),
        state=State(row["state"]),
        cancelling=bool(row["cancelling"]),
    )
