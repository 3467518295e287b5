"""One function per zdeferctl request, named as its verb: request in, reply out.

RequestRefused becomes a refusal with its text. A reply may take its time (`cancel`,
`await`); the daemon goes on serving meanwhile.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..errors import RequestRefused
from ..jobs import environment
from ..jobs.files import Configuration
from ..machine.journal import Journal
from ..runs.dispatcher import Dispatcher
from ..wire import messages


@dataclass(frozen=True)
class Desk:
    """What requests are answered from."""

    dispatcher: Dispatcher
    configuration: Configuration
    journal: Journal
    activated: bool
    started_at: float


async def ping(desk: Desk, _: messages.Ping) -> messages.Pong:
    """The daemon's own state."""
    return messages.Pong(
        version=__version__,
        pid=os.getpid(),
        protocol=messages.PROTOCOL,
        started_at=desk.started_at,
        activated=desk.activated,
        jobs=len(desk.configuration.jobs),
        problems=desk.journal.problems,
    )


async def run(desk: Desk, request: messages.RunJob) -> messages.Claimed:
    """Claim a job by hand."""
    env = environment.cut_env(request.env)
    # The claim is made whether or not the caller waits for the answer.
    claimed = await asyncio.shield(desk.dispatcher.claim_by_hand(request.job, env))
    if claimed is None:
        raise RequestRefused(f"no such job: {request.job}", "`zdeferctl jobs` lists them")
    return messages.Claimed(run=claimed.id)


async def cancel(desk: Desk, request: messages.CancelRun) -> messages.Done:
    """End a run; answered when it has ended."""
    ended = desk.dispatcher.endings.when_ended(request.run)
    if ended is None:
        raise RequestRefused(f"this run is not waiting or running: {request.run}")
    desk.dispatcher.endings.cancel(request.run)
    ending = await ended
    return messages.Done(outcome=ending.outcome, rc=ending.rc)


async def await_end(desk: Desk, request: messages.AwaitRun) -> messages.Done:
    """Answered when the run has ended."""
    if ended := desk.dispatcher.endings.when_ended(request.run):
        ending = await ended
        return messages.Done(outcome=ending.outcome, rc=ending.rc)
    row = await desk.dispatcher.read(lambda ledger: ledger.ended_run(request.run))
    if row is None:
        raise RequestRefused(f"no such run: {request.run}", "`zdeferctl runs` lists them")
    return messages.Done(outcome=row[0], rc=row[1])


async def reload(desk: Desk, _: messages.Reload) -> messages.Reloaded:
    """Read the configuration again."""
    desk.dispatcher.reload()
    loaded = desk.configuration
    return messages.Reloaded(
        jobs=len(loaded.jobs), problems=[str(problem) for problem in loaded.problems]
    )


async def stop(desk: Desk, _: messages.Stop) -> messages.Done:
    """Leave; running jobs go on."""
    desk.dispatcher.stop()
    return messages.Done()


_VERBS: dict[type[Any], Callable[[Desk, Any], Awaitable[messages.Reply]]] = {
    messages.Ping: ping,
    messages.RunJob: run,
    messages.CancelRun: cancel,
    messages.AwaitRun: await_end,
    messages.Reload: reload,
    messages.Stop: stop,
}


async def answer(desk: Desk, request: messages.Request) -> messages.Reply:
    """The reply, or RequestRefused."""
    return await _VERBS[type(request)](desk, request)
