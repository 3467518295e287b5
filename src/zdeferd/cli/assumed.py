"""Reads what `simulate` starts from: the jobs and runs that there are, and what is assumed."""

from __future__ import annotations

import time
from typing import NamedTuple

from ..conditions import Power
from ..machine.boot import boot_id, clock_at, day_in
from ..machine.paths import daemon_zone
from ..model import Scope, Trigger
from ..rules.lifecycle import TRIED_AGAIN
from ..rules.schedule import is_early, lane
from ..rules.scopes import change_key, scope_key
from ..rules.simulate import Assumed, Candidate, Rest
from ..senses.present import senses
from ..view.facts import picture_of, quiet_now_s, spent_now
from ..view.jobs import declared
from ..view.live import as_found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..jobs.files import Loaded
    from ..ledger.reading import RunRow, View
    from ..machine.paths import Paths
    from ..model import Job, Run
    from ..rules.conditions import Senses
    from ..rules.schedule import Picture

DAY_S = 86400.0
GUESS_S = 1.0
"""How long a job takes that has not succeeded yet."""


class Wishes(NamedTuple):
    """The assumptions of the user; None: as it is now."""

    at: float
    for_s: float
    quiet_s: float | None = None
    power: Power | None = None
    load: float | None = None
    online: bool | None = None


class Basis(NamedTuple):
    """The jobs and runs to simulate."""

    candidates: list[Candidate]
    assumed: Assumed
    left_out: list[Rest]
    """Jobs that no event would claim."""
    may_fail: list[str]
    """Jobs that are tried again where they fail, and that did not succeed when they last ran."""


def gather(view: View, paths: Paths, env: Mapping[str, str], now: float, wishes: Wishes) -> Basis:
    """Read what the simulation starts from."""
    jobs, loaded = declared(view, paths)
    found = _Found(view, env, now, day_in(now, daemon_zone(paths.pointer, env)))
    disabled, refused = view.disabled(), [one.id for one in jobs.values() if one.job is None]
    left_out = [Rest(name, "refused") for name in refused]
    candidates = []
    for item in jobs.values():
        if item.job is None:
            continue
        if item.id in disabled:
            left_out.append(Rest(item.id, "disabled"))
        elif candidate := found.candidate(item.job):
            candidates.append(candidate)
        else:
            left_out.append(Rest(item.id, "waits_for_look"))
    rows = as_found(view.live_runs(), paths)
    assumed = _assumed(picture_of(rows, view, loaded, now), rows, loaded, found, now, wishes)
    may_fail = [one.job.id for one in candidates if found.may_fail(one.job)]
    return Basis(candidates, assumed, left_out, may_fail)


class _Found:
    """The ledger's facts about jobs, as of now."""

    def __init__(self, view: View, env: Mapping[str, str], now: float, day: str) -> None:
        self._view, self._env, self._now, self._day = view, env, now, day
        self._lasts = view.last_good_ms()

    def lasts_s(self, job: str) -> float:
        """Return how long a run of `job` takes."""
        return self._lasts[job] / 1000 if job in self._lasts else GUESS_S

    def may_fail(self, job: Job) -> bool:
        """Return whether a run of `job` may be followed by others, as its last one was."""
        last = self._view.last_run(job.id) if job.retry else None
        return last is not None and last["outcome"] in TRIED_AGAIN

    def candidate(self, job: Job) -> Candidate | None:
        """Return the job as the simulation needs it; None: what it watches cannot be seen."""
        lasts_s = self.lasts_s(job.id)
        if job.once_per is Scope.SHELL:  # a new shell has spent nothing
            return Candidate(job=job, lasts_s=lasts_s)
        past, unseen = spent_now(self._view, job, self._env, self._now, self._day)
        if unseen is not None:
            return None
        if past is None:
            return Candidate(job=job, lasts_s=lasts_s)
        if job.once_per is Scope.CHANGE:
            key = change_key(0)
            return Candidate(job=job, lasts_s=lasts_s, spent=frozenset({key}), has_changed=False)
        key = scope_key(job.once_per, "", boot_id(), self._day)
        return Candidate(job=job, lasts_s=lasts_s, spent=frozenset({key}))


def _assumed(
    picture: Picture,
    rows: list[RunRow],
    loaded: Loaded,
    found: _Found,
    now: float,
    wishes: Wishes,
) -> Assumed:
    """Return the assumptions; by a later beginning all live runs have ended that can."""
    begins, ends = wishes.at, wishes.at + wishes.for_s
    starts = {row["id"]: row["dispatched_at"] or now for row in rows}
    running = {
        run.id: (run, max(now, starts[run.id] + found.lasts_s(run.job)))
        for run in picture.running.values()
    }
    waiting = [
        run for run in picture.waiting.values() if begins <= now or _stays(run, picture, begins)
    ]
    return Assumed(
        begins_at=begins,
        ends_at=ends,
        prompts=tuple(_prompts(begins, ends)),
        senses=_senses(now, wishes),
        boot=boot_id(),
        jobs_at_once=loaded.settings.jobs_at_once,
        idle_after_s=loaded.settings.idle_after_s,
        day_of=lambda at: time.strftime("%Y-%m-%d", time.localtime(at)),
        clock_at=clock_at,
        paused=frozenset(on for on in Trigger if on in picture.paused),
        waiting=tuple(waiting),
        running=running if begins <= now else {},
        given_up=frozenset(run for run in running if run in picture.given_up),
    )


def _stays(run: Run, picture: Picture, until: float) -> bool:
    """Return whether a waiting run would still wait after its turn."""
    return run.when is not None or lane(run) in picture.paused or is_early(run, until)


def _prompts(begins: float, ends: float) -> list[float]:
    """Return one instant a day, at the local time of the beginning."""
    of_day = time.strftime("%H:%M", time.localtime(begins))
    days = range(1, int((ends - begins) / DAY_S) + 2)
    later = (clock_at(begins, of_day, day) + begins % 60 for day in days)
    return [begins, *(at for at in later if at < ends)]


def _senses(now: float, wishes: Wishes) -> Senses:
    """Return what conditions depend on: as assumed, else as it is now."""
    from msgspec.structs import replace

    found = senses(now, quiet_now_s())
    quiet_s = 0.0 if wishes.quiet_s is None else wishes.quiet_s
    return replace(
        found,
        power=wishes.power or found.power,
        load=found.load if wishes.load is None else wishes.load,
        load_again_at=None,
        online=found.online if wishes.online is None else wishes.online,
        quiet_since=wishes.at - quiet_s,
    )
