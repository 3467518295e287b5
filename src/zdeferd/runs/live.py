"""The picture of all runs that have not ended: what the dispatcher decides by.

It changes only after the commit of what changed it, but for one thing: a run whose end
is being recorded (`settling`) is set aside at once, so that nothing else happens to it,
and fills its lane until that end is durable.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from ..model import Batch, Run, State
from ..rules.lifecycle import Event, step


class LiveRuns:
    """Runs by id; those that wait in the order of their claims, the put off behind."""

    def __init__(self) -> None:
        self.waiting: dict[int, Run] = {}
        self.running: dict[int, Run] = {}
        """Dispatched, or settling."""
        self.settling: set[int] = set()
        self.batches: dict[int, Batch] = {}
        self.put_offs: dict[int, int] = {}
        """How often each run that waits has failed to start."""

    def __contains__(self, run: int) -> bool:
        return run in self.waiting or run in self.running

    def add(self, runs: Iterable[Run], batches: Iterable[Batch]) -> None:
        """What was claimed, or what the ledger knew at the start."""
        for run in runs:
            (self.waiting if run.state is State.CLAIMED else self.running)[run.id] = run
        for batch in batches:
            self.batches[batch.id] = batch

    def dispatched(self, run: Run, boot: str) -> None:
        """The decision to start it is durable."""
        del self.waiting[run.id]
        self.running[run.id] = replace(run, state=step(run.state, Event.DISPATCH), boot=boot)

    def put_off(self, runs: Iterable[int]) -> None:
        """They could not be started: others come first, so that none starves the rest."""
        for run in runs:
            self.put_offs[run] = self.put_offs.get(run, 0) + 1
        self._sort()

    def settle(self, run: Run) -> None:
        """What became of it is known and being recorded; nothing else happens to it now."""
        self.waiting.pop(run.id, None)
        self.running[run.id] = run
        self.settling.add(run.id)

    def ended(self, run: Run, batch: Batch | None) -> None:
        """Its end is durable; `batch` is its batch as it stands, None where that has ended."""
        self.settling.discard(run.id)
        self.put_offs.pop(run.id, None)
        del self.running[run.id]
        if run.batch is not None:
            self.batches.pop(run.batch, None)
        if batch is not None:
            self.batches[batch.id] = batch

    def taken_over(self, run: Run, boot: str) -> None:
        """It was to end unstarted, and runs: that it is dispatched is durable."""
        self.settling.discard(run.id)
        asked = self.running[run.id]
        self.running[run.id] = replace(asked, state=State.DISPATCHED, boot=boot)

    def again(self, run: Run) -> Run:
        """It waits again, in its old place; with what was asked of it meanwhile."""
        self.settling.discard(run.id)
        asked = self.running.pop(run.id)
        waiting = replace(run, cancelling=asked.cancelling)
        self.waiting[run.id] = waiting
        self._sort()
        return waiting

    def _sort(self) -> None:
        order = sorted(self.waiting, key=lambda run: (self.put_offs.get(run, 0), run))
        self.waiting = {run: self.waiting[run] for run in order}
