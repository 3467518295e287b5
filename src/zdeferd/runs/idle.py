"""Fires the idle trigger: once an idle job waits and the user has been quiet.

It looks at the ttys at computed instants only, and only while a job waits. The last activity
can move to a later time, never to an earlier one, so the trigger cannot be due before the
instant that the last look gave. Whether a job waits is asked of the ledger after each change
that can alter the answer: a visit, an idle batch, new settings, a new day.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta

from ..ledger import claims
from ..machine.boot import local_day
from ..machine.processes import Process
from ..machine.quiet import TTY_RESOLUTION_S, Probe
from ..machine.timers import Clock
from ..model import Claimed, Facts, Job, Scope, Trigger
from ..recording.committer import Committer
from .looks import Looks, Seen, look_of

AGAIN_S = 60.0
"""After the ledger could not be read or written."""


class IdleWatch:
    """Computes the next instant to look, and fires the trigger."""

    def __init__(self, committer: Committer, probe: Probe, clock: Clock, looks: Looks) -> None:
        self._committer, self._probe, self._clock = committer, probe, clock
        self._looks = looks
        self._answered = self._daily = False
        self._shells: list[Process] = []
        self.look_at: float | None = None
        """The earliest instant at which to fire; None: no idle job waits."""

    def ask(self) -> None:
        """Have the ledger asked again whether a job waits: something has changed."""
        self._answered = False

    async def answer(self, facts: Facts, idle_after_s: float) -> None:
        """Ask the ledger, if need be."""
        if self._answered:
            return
        self._answered = True
        self.look_at = facts.now + AGAIN_S
        facts = replace(facts, inputs=(await self.see(facts)).inputs)
        waits, self._daily, shells = await self._committer.transact(
            lambda ledger: (
                claims.idle_waits(ledger, facts),
                claims.idle_daily(ledger, facts),
                ledger.latest_shells(),
            )
        )
        self._shells = [shell.process for shell in shells if shell.boot == facts.boot]
        self.look_at = self._quiet_at(idle_after_s) if waits else None

    async def look(self, facts: Facts, idle_after_s: float) -> Claimed:
        """Look at the ttys: what the trigger claims, nothing where the user was active."""
        self.look_at = self._quiet_at(idle_after_s)
        if self.look_at > facts.now:
            return Claimed()
        self.look_at = facts.now + AGAIN_S
        facts = replace(facts, inputs=(await self.see(facts)).inputs)
        claimed = await self._committer.transact(
            lambda ledger: claims.take_idle(ledger, facts, Claimed())
        )
        self.ask()
        return claimed

    async def see(self, facts: Facts) -> Seen:
        """Return the inputs that claims of idle jobs depend on."""
        watching = await self._committer.transact(
            lambda ledger: claims.idle_watching(ledger, facts)
        )
        return await self._looks.see({look_of(job, env) for job, env in watching})

    def day_ends_at(self, jobs: Iterable[Job]) -> float | None:
        """Return the next local midnight, where an idle job that does not wait now is due then."""
        daily = self._daily or any(
            Trigger.IDLE in job.on and job.once_per is Scope.DAY for job in jobs
        )
        if not daily or self.look_at is not None:
            return None
        tomorrow = date.fromisoformat(local_day(self._clock.wall())) + timedelta(days=1)
        return datetime.combine(tomorrow, datetime.min.time()).timestamp()

    def quiet_since(self) -> float:
        """Return the last instant at which a key may have been pressed."""
        return self._probe.last_activity(self._shells) + TTY_RESOLUTION_S

    def _quiet_at(self, idle_after_s: float) -> float:
        return self.quiet_since() + idle_after_s
