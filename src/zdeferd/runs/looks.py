"""Looks at what jobs watch in threads of their own, so that no file system holds up the daemon.

A look that does not end in a moment is given up by those that wait for it, and goes on. Its
result, or its failure, is kept for a while, so that a slow look is not taken at each visit.
A thread that a dead mount holds is left behind; others take its place. All are daemon
threads: the program's end does not wait for them.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import NamedTuple

from ..inputs import Inputs
from ..jobs.fingerprint import Unseen, look_at
from ..jobs.outputs import first_missing, made_paths
from ..model import Job, Scope, inputs_of

WAIT_S = 0.5
"""How long a visit's answer may wait for looks."""
KEEP_S = 60.0
"""How long the result of a look that took longer, or failed, stands for a new one."""
STUCK_S = 10.0
"""A look that takes longer has met a file system that does not answer."""
AT_ONCE, MOST_STUCK = 4, 60
"""Threads at work, and threads that are stuck."""
MOST_MISSED = 256
"""Shells that are remembered for one look."""


class Look(NamedTuple):
    """The values that a fingerprint depends on besides the files."""

    watch: tuple[str, ...]
    path: str
    """PATH, where a command is watched."""
    variables: tuple[tuple[str, str], ...] = ()
    """Names and values of the variables that are watched and set."""
    made: tuple[str, ...] = ()
    """The files that are to be there."""


def look_of(job: Job, shell_env: Mapping[str, str]) -> Look:
    """Return the look at the inputs of `job` for a shell with this environment."""
    watch, env = inputs_of(job), {**shell_env, **job.env}
    commands = any(word.startswith("command:") for word in watch)
    named = [word.removeprefix("env:") for word in watch if word.startswith("env:")]
    variables = tuple((name, env[name]) for name in named if name in env)
    return Look(watch, env.get("PATH", "") if commands else "", variables, made_paths(job, env))


def looks_for(jobs: Iterable[Job], env: Mapping[str, str]) -> set[Look]:
    """Return the looks that claims of `jobs` depend on."""
    changing = [job for job in jobs if job.once_per is Scope.CHANGE]
    return {look_of(job, env) for job in changing}


class Seen(dict[Look, Inputs]):
    """The inputs as they were found, by looks."""

    def inputs(self, job: Job, env: Mapping[str, str]) -> Inputs | None:
        """Return the inputs of a job for a shell's `env`; None: they could not be seen."""
        return self.get(look_of(job, env))


@dataclass
class _Taken:
    """One look that is wanted, under way, or has ended a short while ago."""

    ended: asyncio.Future[None]
    begun_at: float | None = None
    ended_at: float = 0.0
    inputs: Inputs | None = None
    given_up: bool = False
    """True where it took longer than the wait, so its end is reported."""
    missed: dict[str, None] = field(default_factory=dict)
    """The shells that went on without it."""

    def missing(self, nonce: str) -> None:
        """Note that it was given up, and by which shell."""
        self.given_up = True
        if nonce:
            self.missed[nonce] = None
        if len(self.missed) > MOST_MISSED:
            del self.missed[next(iter(self.missed))]


class Looks:
    """Takes looks. `on_late` gets one that was given up, and the shells that went on without it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_late: Callable[[Seen, Iterable[str]], None],
        say: Callable[[str], None],
    ) -> None:
        self._loop, self._on_late, self._say = loop, on_late, say
        self._taken: dict[Look, _Taken] = {}
        self._queue: deque[Look] = deque()

    async def see(self, wanted: Iterable[Look], nonce: str = "") -> Seen:
        """Return what can be seen now; never waits longer than WAIT_S.

        `nonce` names the shell for which they are, if it is one.
        """
        looks = {look: self._take(look) for look in wanted}
        taken_now = looks.values()
        if waiting := [t.ended for t in taken_now if not (t.given_up or t.ended.done())]:
            await asyncio.wait(waiting, timeout=WAIT_S)
        seen = Seen()
        for look, taken in looks.items():
            if taken.inputs is not None:
                seen[look] = taken.inputs
            else:
                taken.missing(nonce)
        return seen

    def _take(self, look: Look) -> _Taken:
        """Return the look that is under way, or that stands for a new one; else begin one."""
        taken = self._taken.get(look)
        if taken is not None and not self._is_old(taken):
            return taken
        missed = taken.missed if taken is not None else {}
        self._taken[look] = taken = _Taken(self._loop.create_future(), missed=missed)
        self._queue.append(look)
        self._go_on()
        return taken

    def _is_old(self, taken: _Taken) -> bool:
        return taken.ended.done() and time.monotonic() - taken.ended_at > KEEP_S

    def _go_on(self) -> None:
        """Begin the next looks, as far as there are threads for them."""
        now = time.monotonic()
        begun = [t.begun_at for t in self._taken.values() if t.begun_at and not t.ended.done()]
        stuck = sum(now - at > STUCK_S for at in begun)
        free = AT_ONCE - (len(begun) - stuck)
        while self._queue and free > 0 and stuck <= MOST_STUCK:
            look = self._queue.popleft()
            self._taken[look].begun_at = now
            free -= 1
            try:
                Thread(target=self._look, args=(look,), name="look", daemon=True).start()
            except RuntimeError:
                self._ended(look, None, "no process is left (ulimit -u)")
        if self._queue:
            self._loop.call_later(STUCK_S, self._go_on)

    def _look(self, look: Look) -> None:
        """Take the look, in a thread of its own."""
        found, reason, began = None, "", time.time()
        try:
            found = look_at(look.watch, {"PATH": look.path} | dict(look.variables))
            found = found._replace(missing=first_missing(look.made), seen_at=began)
        except Unseen as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - one job's files are no reason to end
            reason = f"internal error, please report: {error!r}"
        with suppress(RuntimeError):  # the loop is closed: the daemon has left
            self._loop.call_soon_threadsafe(self._ended, look, found, reason)

    def _ended(self, look: Look, found: Inputs | None, reason: str) -> None:
        taken = self._taken[look]
        taken.inputs, taken.ended_at = found, time.monotonic()
        taken.ended.set_result(None)
        if reason:
            self._say(f"cannot look at what a job watches: {reason}")
        elif not taken.given_up:
            del self._taken[look]  # quick: the next one is taken anew
        self._go_on()
        if found is not None and (taken.given_up or taken.missed):
            missed, taken.missed = taken.missed, {}
            self._on_late(Seen({look: found}), missed)
