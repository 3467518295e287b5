"""Requests of zdeferctl that the ledger records: a run now, jobs disabled or forgotten, pauses.

Each is an arrival of recording/inbox.py, and its caller gets what the record returned once that
is durable.
"""

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from ..ledger import claims
from ..ledger.standing import RunsOf
from ..ledger.store import Ledger
from ..model import Facts, Run, Trigger
from ..recording.inbox import Arrival
from .arrivals import Parts

T = TypeVar("T")


@dataclass(frozen=True)
class Asked(Arrival[T]):
    """A request whose caller waits for what its record returns."""

    facts: Facts
    parts: Parts
    answer: "asyncio.Future[T]"

    def applied(self, result: T) -> None:
        """Give the result to the caller."""
        if not self.answer.done():
            self.answer.set_result(result)

    def failed(self, error: Exception) -> None:
        """Give the error to the caller."""
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(frozen=True)
class ClaimAsked(Asked[Run | None]):
    """A run that is to be claimed by hand; None where that cannot be."""

    def applied(self, result: Run | None) -> None:
        """Add the run to the picture and give it to the caller."""
        if result is not None:
            self.parts.live.add([result], [])
        super().applied(result)


@dataclass(frozen=True)
class RunAsked(ClaimAsked):
    """A run of a job, whatever its scope says; None where no such job is declared."""

    job: str
    env: dict[str, str]

    def record(self, ledger: Ledger) -> Run | None:
        """Claim the run, under a key of its own."""
        job = self.facts.jobs.get(self.job) or ledger.declared_job(self.job)
        return claims.claim_by_hand(ledger, job, self.env, self.facts) if job else None


@dataclass(frozen=True)
class SwitchAsked(Asked[bool | None]):
    """A job that events are to claim or to pass over; None where no such job is declared."""

    job: str
    enabled: bool

    def record(self, ledger: Ledger) -> bool | None:
        """Record the decision; False where it was so already."""
        if self.enabled and ledger.enable(self.job):
            return True
        if self.job not in self.facts.jobs and ledger.declared_job(self.job) is None:
            return None
        return not self.enabled and ledger.disable(self.job, self.facts.now)

    def applied(self, result: bool | None) -> None:
        """Look again: an idle job may be due now, or none be left to wait for."""
        self.parts.idle.ask()
        super().applied(result)


@dataclass(frozen=True)
class PauseAsked(Asked[list[Trigger]]):
    """Lanes that are to be paused, or to go on; the answer has those that were not so already."""

    lanes: tuple[Trigger, ...]
    paused: bool

    def record(self, ledger: Ledger) -> list[Trigger]:
        """Record the decision for each lane."""
        if self.paused:
            return [lane for lane in self.lanes if ledger.pause(lane, self.facts.now)]
        return [lane for lane in self.lanes if ledger.resume(lane)]

    def applied(self, result: list[Trigger]) -> None:
        """Change the picture; what runs goes on."""
        if self.paused:
            self.parts.live.paused.update(result)
        else:
            self.parts.live.paused.difference_update(result)
        super().applied(result)


@dataclass(frozen=True)
class RetryAsked(ClaimAsked):
    """A run that repeats the work of one that has ended; None where that is not kept."""

    run: int

    def record(self, ledger: Ledger) -> Run | None:
        """Claim the run, under a key of its own."""
        return claims.claim_again(ledger, self.run, self.facts)


@dataclass(frozen=True)
class ForgetAsked(Asked[RunsOf]):
    """A job that is to be forgotten.

    The answer has its runs. It is forgotten where none of them is live and the folders of all
    are in `removed`: so no file is left without its run, whenever the daemon is killed.
    """

    job: str
    removed: frozenset[int]

    def record(self, ledger: Ledger) -> RunsOf:
        """Forget the job, where that can be."""
        found = ledger.runs_of(self.job)
        if not found.live and self.removed.issuperset(found.ended):
            ledger.forget(self.job)
            if self.job not in self.facts.jobs:
                ledger.enable(self.job)  # no file declares it, so nothing is left to disable
        return found

    def applied(self, result: RunsOf) -> None:
        """Look again: a job of a file may be due for idle now."""
        self.parts.idle.ask()
        super().applied(result)
