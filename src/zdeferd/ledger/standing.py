"""The part of the store that keeps what a user decides.

That is: which jobs are disabled, which lanes are paused, what is repeated or forgotten.
"""

from typing import NamedTuple

from ..model import Outcome, State, Trigger, Work
from .lines import LineStore
from .packing import unpack


class Repeatable(NamedTuple):
    """A run that has ended and whose work is kept."""

    trigger: Trigger
    after: tuple[str, ...]
    attempts: int
    work: Work


class RunsOf(NamedTuple):
    """The runs of one job."""

    live: list[int]
    ended: list[int]


class Failure(NamedTuple):
    """The failure of a run, of which the user is told."""

    job: str
    run: int
    outcome: str
    rc: int | None

    @property
    def message(self) -> str:
        """The line that the user gets; it holds nothing that a job printed."""
        how = f"failed (rc {self.rc})" if self.outcome == Outcome.FAILED else self.outcome
        return f"zdeferd: {self.job} {how.replace('_', ' ')}; zdeferctl log {self.run}"


class StandingStore(LineStore):
    """The orders that stay in force until the user takes them back, over restarts too."""

    def disable(self, job: str, now: float) -> bool:
        """Record that no event claims `job`; False where it was disabled already."""
        return self._run("disable", job=job, now=now).rowcount == 1

    def enable(self, job: str) -> bool:
        """Let events claim `job` again; False where it was not disabled."""
        return self._run("enable", job=job).rowcount == 1

    def disabled(self) -> frozenset[str]:
        """Return the jobs that are disabled."""
        return frozenset(row["job"] for row in self._run("disabled"))

    def pause(self, lane: Trigger, now: float) -> bool:
        """Record that no run of `lane` starts; False where it was paused already."""
        return self._run("pause", lane=lane, now=now).rowcount == 1

    def resume(self, lane: Trigger) -> bool:
        """Let runs of `lane` start again; False where it was not paused."""
        return self._run("resume", lane=lane).rowcount == 1

    def paused(self) -> frozenset[Trigger]:
        """Return the lanes that are paused."""
        return frozenset(Trigger(row["lane"]) for row in self._run("paused"))

    def repeatable(self, run: int) -> Repeatable | None:
        """Return a run that can be repeated; None where it lives, or its work is not kept."""
        row = self._one("repeatable", run=run)
        if row is None:
            return None
        work = unpack(row["work"], Work)
        return Repeatable(
            Trigger(row["trigger"]), tuple(row["after"].split()), row["attempts"], work
        )

    def runs_of(self, job: str) -> RunsOf:
        """Return the runs of `job`, in the order of their claims."""
        rows = self._run("runs_of", job=job).fetchall()
        live = [row["id"] for row in rows if row["state"] != State.ENDED]
        return RunsOf(live, [row["id"] for row in rows if row["state"] == State.ENDED])

    def forget(self, job: str) -> None:
        """Delete the runs of `job`, its claims, registrations, inputs and declaration."""
        for what in ("payloads", "runs", "claims", "fingerprint", "registrations", "notices"):
            self._run(f"forget_{what}", job=job)
        self._run("forget_declaration", job=job)

    def notice(self, job: str, day: str, run: int, told: bool) -> bool:
        """Record the failure of which the user is told; False: of this job there was one today."""
        return self._run("notice", job=job, day=day, run=run, told=told).rowcount == 1

    def take_notices(self) -> list[Failure]:
        """Return the failures of which the user is still to be told; from now on that is done."""
        found = [Failure(*row) for row in self._run("pending_notices")]
        self._run("told_notices")
        return found
