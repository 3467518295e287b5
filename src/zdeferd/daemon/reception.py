"""Takes in the messages of shells and zdeferctl, and sends the answers.

Owns the endpoint. A visit goes to the dispatcher, a request of zdeferctl to `Requests`, each
beside all others; its answer is sent when it is known. Messages that cannot be decoded are
answered with an error.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from .. import crashpoints
from ..errors import RequestRefused, WireError, ZdeferdError
from ..machine.processes import process_of
from ..runs.dispatcher import Dispatcher
from ..runs.followers import Caller
from ..telemetry.journal import Journal
from ..wire import control, frames, messages
from ..wire.pieces import Again, Pieces
from ..wire.router import MAX_MESSAGE_BYTES, Endpoint, Message
from .requests import Requests

MOST_WAITING = 1024
"""Requests without a reply. libzmq does not tell which clients have left."""
REASON_LIMIT = 200
"""Characters of the reason for which a message is refused; it may quote the message."""


class Reception:
    """Answers messages; `is_gone()` is checked before each: True, and it gets no answer."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        dispatcher: Dispatcher,
        requests: Requests,
        journal: Journal,
        is_gone: Callable[[], bool],
    ) -> None:
        self._dispatcher, self._requests = dispatcher, requests
        self._journal, self._is_gone = journal, is_gone
        self._endpoint = Endpoint(self._message, loop, journal.once)
        self._answering: dict[asyncio.Future[None], None] = {}
        self._pieces = Pieces()

    def listen(self, path: str, inherited_fd: int | None) -> None:
        """Listen at `path`, or on a descriptor that listens there already."""
        self._endpoint.listen(path, inherited_fd)

    async def finish(self) -> None:
        """Wait until all requests are answered."""
        await asyncio.gather(*self._answering, return_exceptions=True)

    def close(self) -> None:
        """Close the socket."""
        self._endpoint.close()

    def _message(self, message: Message) -> None:
        """Obey one message of a shell or of zdeferctl; answer a malformed one with an error."""
        if self._is_gone():
            return  # without an answer, a shell makes its visit again
        try:
            self._decode(message)
        except WireError as error:
            reason = str(error)[:REASON_LIMIT]
            self._journal.once(f"dropped a message: {reason}")
            self._endpoint.release(message)
            self._endpoint.answer(message, frames.answer("error", reason=reason))
        except Again:
            self._endpoint.release(message)
            self._endpoint.answer(message, frames.answer("again"))
        except Exception:
            self._endpoint.release(message)  # else its bytes count for ever
            raise

    def _decode(self, message: Message) -> None:
        if message.size > MAX_MESSAGE_BYTES:
            raise WireError(f"too many bytes: {message.size}; {MAX_MESSAGE_BYTES} are allowed")
        if message.frames[:1] == [b"request"]:
            request = control.decode_request(message.frames)
            self._endpoint.release(message)
            self._in_background(self._request(message, request))
        else:
            self._visit(message, messages.decode_visit(message.frames))

    def _visit(self, message: Message, visit: messages.Visit) -> None:
        crashpoints.reached("daemon.visit-arrived")
        messages.check(visit.hello)

        def answer(notes: list[bytes]) -> None:
            self._endpoint.release(message)
            send([*frames.answer("ok", seq=visit.hello.seq), *notes])

        def send(reply: list[bytes]) -> None:
            self._endpoint.answer(message, reply)

        if whole := self._pieces.whole(visit, time.monotonic()):
            caller = Caller(answer, lambda: self._endpoint.release(message), send)
            shell = process_of(self._endpoint.pid_of(message))
            self._dispatcher.visit(whole, caller, shell)
        else:
            answer([])

    async def _request(self, message: Message, request: control.Request) -> None:
        try:
            reply = control.encode_reply(await self._requests.answer(request))
        except ZdeferdError as error:
            reply = [b"refused", str(error).encode(errors="replace")]
            if not isinstance(error, RequestRefused):
                self._journal.once(str(error))
        except asyncio.CancelledError:
            reason = f"{MOST_WAITING} newer requests wait; ask again"
            self._endpoint.answer(message, [b"refused", reason.encode()])
            raise
        except Exception as error:  # noqa: BLE001 - one request is no reason to end
            self._journal.fault(error)
            reply = [b"refused", b"internal error; `zdeferctl doctor` says more"]
        self._endpoint.answer(message, reply)

    def _in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run one more request; above MOST_WAITING cancel the oldest one."""
        if len(self._answering) >= MOST_WAITING:
            oldest = next(iter(self._answering))
            del self._answering[oldest]
            oldest.cancel()
        answering = asyncio.ensure_future(coroutine)
        self._answering[answering] = None
        answering.add_done_callback(lambda done: self._answering.pop(done, None))
