"""Carries out the requests of zdeferctl: one method a verb, from request to reply."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from .. import __version__
from ..errors import RequestRefused
from ..jobs import environment
from ..jobs.files import Configuration
from ..model import Trigger
from ..runs.asked import ForgetAsked, PauseAsked, RetryAsked, RunAsked, SwitchAsked
from ..runs.dispatcher import Dispatcher
from ..telemetry.journal import Journal
from ..wire import control, messages


class Requests:
    """Replies to requests. `cancel` and `await` reply when a run has ended.

    `started_at`: when the daemon started, in seconds since the epoch. `ledger`: its path.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        configuration: Configuration,
        journal: Journal,
        started_at: float,
        ledger: str,
    ) -> None:
        self._dispatcher, self._configuration = dispatcher, configuration
        self._journal, self._started_at = journal, started_at
        self._ledger = os.fsencode(ledger)
        self._verbs: dict[type[Any], Callable[[Any], Awaitable[control.Reply]]] = {
            control.Ping: self._ping,
            control.RunJob: self._run,
            control.CancelRun: self._cancel,
            control.AwaitRun: self._await,
            control.Switch: self._switch,
            control.Pause: self._pause,
            control.Resume: self._resume,
            control.RetryRun: self._retry,
            control.Forget: self._forget,
            control.Reload: self._reload,
            control.Stop: self._stop,
        }

    async def answer(self, request: control.Request) -> control.Reply:
        """Carry out a request and return the reply; RequestRefused: it is refused."""
        return await self._verbs[type(request)](request)

    async def _ping(self, _: control.Ping) -> control.Pong:
        return control.Pong(
            version=__version__,
            pid=os.getpid(),
            protocol=messages.PROTOCOL,
            started_at=self._started_at,
            activated=self._dispatcher.may_leave,
            jobs=len(self._configuration.jobs),
            problems=self._journal.problems,
        )

    async def _run(self, request: control.RunJob) -> control.RunClaimed:
        env = environment.cut_env(control.environment_of(request))
        self._dispatcher.reload(only_if_changed=True)
        if problem := self._configuration.refusal(request.job):
            raise RequestRefused(f"job is refused: {request.job}: {problem}", "mend it first")
        # The claim is made whether or not the caller waits for the reply.
        claimed = await asyncio.shield(self._dispatcher.ask(RunAsked, request.job, env))
        if claimed is None:
            raise _no_such_job(request.job)
        return control.RunClaimed(run=claimed.id, ledger=self._ledger)

    async def _cancel(self, request: control.CancelRun) -> control.Done:
        endings = self._dispatcher.endings
        ended = endings.when_ended(request.run)
        if ended is None:
            raise RequestRefused(f"this run is not waiting or running: {request.run}")
        endings.cancel(request.run)
        ending = await ended
        return control.Done(outcome=ending.outcome, rc=ending.rc)

    async def _await(self, request: control.AwaitRun) -> control.Done:
        if ended := self._dispatcher.endings.when_ended(request.run):
            ending = await ended
            return control.Done(outcome=ending.outcome, rc=ending.rc)
        row = await self._dispatcher.read(lambda ledger: ledger.ended_run(request.run))
        if row is None:
            raise RequestRefused(f"no such run: {request.run}", "`zdeferctl runs` lists them")
        return control.Done(outcome=row[0], rc=row[1])

    async def _switch(self, request: control.Switch) -> control.Changed:
        self._dispatcher.reload(only_if_changed=True)
        asked = self._dispatcher.ask(SwitchAsked, request.job, request.enabled)
        if (changed := await asyncio.shield(asked)) is None:
            raise _no_such_job(request.job)
        return control.Changed(names=[request.job] if changed else [])

    async def _pause(self, request: control.Pause) -> control.Changed:
        return await self._lanes(request.lanes, paused=True)

    async def _resume(self, request: control.Resume) -> control.Changed:
        return await self._lanes(request.lanes, paused=False)

    async def _lanes(self, lanes: list[Trigger], paused: bool) -> control.Changed:
        asked = self._dispatcher.ask(PauseAsked, tuple(lanes), paused)
        return control.Changed(names=[lane.value for lane in await asyncio.shield(asked)])

    async def _retry(self, request: control.RetryRun) -> control.RunClaimed:
        claimed = await asyncio.shield(self._dispatcher.ask(RetryAsked, request.run))
        if claimed is None:
            live = self._dispatcher.endings.when_ended(request.run) is not None
            why = "it has not ended" if live else "its work is not kept"
            raise RequestRefused(
                f"cannot retry run {request.run}: {why}",
                "of each job the latest run that did not succeed can be retried;"
                " `zdeferctl run JOB` runs a job as it is declared now",
            )
        return control.RunClaimed(run=claimed.id, ledger=self._ledger)

    async def _forget(self, request: control.Forget) -> control.Forgotten:
        if request.force:
            await self._dispatcher.endings.cancel_all(request.job)
        removed: frozenset[int] = frozenset()
        while True:
            found = await asyncio.shield(self._dispatcher.ask(ForgetAsked, request.job, removed))
            if found.live:
                runs = ", ".join(map(str, found.live))
                raise RequestRefused(
                    f"{request.job} has runs that have not ended: {runs}",
                    "`--force` cancels them first",
                )
            if removed.issuperset(found.ended):
                return control.Forgotten(runs=len(found.ended))
            try:
                await self._dispatcher.endings.remove(found.ended)
            except OSError as error:
                raise RequestRefused(
                    f"cannot remove a run's files: {error.filename}: {error.strerror}"
                ) from None
            removed = frozenset(found.ended)

    async def _reload(self, _: control.Reload) -> control.Reloaded:
        self._dispatcher.reload()
        loaded = self._configuration
        return control.Reloaded(
            jobs=len(loaded.jobs), problems=[str(problem) for problem in loaded.problems]
        )

    async def _stop(self, _: control.Stop) -> control.Done:
        self._dispatcher.stop()
        return control.Done()


def _no_such_job(job: str) -> RequestRefused:
    return RequestRefused(f"no such job: {job}", "`zdeferctl jobs` lists them")
