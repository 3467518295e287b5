"""Carries out the requests of zdeferctl: one method a verb, from request to reply."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from .. import __version__
from ..errors import RequestRefused
from ..jobs import environment
from ..jobs.files import Configuration
from ..machine.journal import Journal
from ..runs.dispatcher import Dispatcher
from ..wire import messages


class Requests:
    """Replies to requests. `cancel` and `await` reply when a run has ended.

    `started_at`: when the daemon started, in seconds since the epoch.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        configuration: Configuration,
        journal: Journal,
        started_at: float,
    ) -> None:
        self._dispatcher, self._configuration = dispatcher, configuration
        self._journal, self._started_at = journal, started_at
        self._verbs: dict[type[Any], Callable[[Any], Awaitable[messages.Reply]]] = {
            messages.Ping: self._ping,
            messages.RunJob: self._run,
            messages.CancelRun: self._cancel,
            messages.AwaitRun: self._await,
            messages.Reload: self._reload,
            messages.Stop: self._stop,
        }

    async def answer(self, request: messages.Request) -> messages.Reply:
        """Carry out a request and return the reply; RequestRefused: it is refused."""
        return await self._verbs[type(request)](request)

    async def _ping(self, _: messages.Ping) -> messages.Pong:
        return messages.Pong(
            version=__version__,
            pid=os.getpid(),
            protocol=messages.PROTOCOL,
            started_at=self._started_at,
            activated=self._dispatcher.may_leave,
            jobs=len(self._configuration.jobs),
            problems=self._journal.problems,
        )

    async def _run(self, request: messages.RunJob) -> messages.RunClaimed:
        env = environment.cut_env(request.env)
        self._dispatcher.reload(only_if_changed=True)
        if problem := self._configuration.refusal(request.job):
            raise RequestRefused(f"job is refused: {request.job}: {problem}", "mend it first")
        # The claim is made whether or not the caller waits for the reply.
        claimed = await asyncio.shield(self._dispatcher.claim_by_hand(request.job, env))
        if claimed is None:
            raise RequestRefused(f"no such job: {request.job}", "`zdeferctl jobs` lists them")
        return messages.RunClaimed(run=claimed.id)

    async def _cancel(self, request: messages.CancelRun) -> messages.Done:
        endings = self._dispatcher.endings
        ended = endings.when_ended(request.run)
        if ended is None:
            raise RequestRefused(f"this run is not waiting or running: {request.run}")
        endings.cancel(request.run)
        ending = await ended
        return messages.Done(outcome=ending.outcome, rc=ending.rc)

    async def _await(self, request: messages.AwaitRun) -> messages.Done:
        if ended := self._dispatcher.endings.when_ended(request.run):
            ending = await ended
            return messages.Done(outcome=ending.outcome, rc=ending.rc)
        row = await self._dispatcher.read(lambda ledger: ledger.ended_run(request.run))
        if row is None:
            raise RequestRefused(f"no such run: {request.run}", "`zdeferctl runs` lists them")
        return messages.Done(outcome=row[0], rc=row[1])

    async def _reload(self, _: messages.Reload) -> messages.Reloaded:
        self._dispatcher.reload()
        loaded = self._configuration
        return messages.Reloaded(
            jobs=len(loaded.jobs), problems=[str(problem) for problem in loaded.problems]
        )

    async def _stop(self, _: messages.Stop) -> messages.Done:
        self._dispatcher.stop()
        return messages.Done()
