"""The daemon's event loop, its ledger thread and its other threads, all turned by hand.

Owns what a daemon has under way in memory; all of it is gone at its death. One `turn` is
one iteration of a real loop: what is readable and what has come due, then every callback
that was ready. Nothing here runs by itself, and the order within a turn is asyncio's own.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from zdeferd.ledger.store import Ledger
from zdeferd.recording.committer import Committer, Part, Transaction, _resolve

from .calls import Calls, Killed, Process


class Timer:
    """What `call_later` returns."""

    def __init__(self, timers: "list[Timer]", at: float, callback: Any, args: Any) -> None:
        self._timers, self.at, self.callback, self.args = timers, at, callback, args

    def cancel(self) -> None:
        if self in self._timers:
            self._timers.remove(self)


class Loop:
    """As much of an event loop as the daemon's code asks for."""

    def __init__(self, calls: Calls, process: Process, step: Callable[[], None]) -> None:
        self._calls, self._process, self._step = calls, process, step
        self.ready: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.timers: list[Timer] = []
        self.readers: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self.pool: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        """What was given to other threads and is not done."""
        self.coroutines: list[Any] = []
        self.now = 0.0
        """The clock that stands still in suspend."""
        self.own: Any = self
        """For who insists on the whole interface."""

    # what asyncio and the daemon call

    def get_debug(self) -> bool:
        return False

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self.ready.append((callback, args))

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self.ready.append((callback, args))

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        self.timers.append(Timer(self.timers, self.now + delay, callback, args))
        return self.timers[-1]

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self.own)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> Any:
        self.coroutines.append(coro)
        made = asyncio.Task(coro, loop=self.own)
        made._log_destroy_pending = False  # type: ignore[attr-defined]
        return made

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        self.readers[fd] = (callback, args)

    def remove_reader(self, fd: Any) -> bool:
        return self.readers.pop(fd, None) is not None

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = self.create_future()
        self.pool.append((lambda: func(*args), future))
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Said at the end of a daemon that was killed; the faults that matter are raised."""

    # what turns it

    def due(self) -> bool:
        """Whether a turn would do anything."""
        if self.ready or self._readable():
            return True
        return bool(self.timers) and min(timer.at for timer in self.timers) <= self.now

    def _readable(self) -> bool:
        files = self._process.files
        for fd in self.readers:
            one = files[fd]
            if one.node.data or (one.saw_writer and not one.node.writers):
                return True
        return False

    def turn(self) -> None:
        """One iteration; between any two callbacks something else may happen."""
        if self.readers and self._readable():
            files, readable = self._process.files, self._calls.disk.readable
            ready_files = [fd for fd in self.readers if readable(files[fd])]
            self.ready.extend((self._read, (fd, self.readers[fd])) for fd in ready_files)
        if self.timers:
            come = [timer for timer in self.timers if timer.at <= self.now]
            for timer in sorted(come, key=lambda timer: timer.at):
                self.timers.remove(timer)
                self.ready.append((timer.callback, timer.args))
        for _ in range(len(self.ready)):
            callback, args = self.ready.popleft()
            callback(*args)
            self._step()

    def _read(self, fd: int, call: tuple[Callable[..., Any], tuple[Any, ...]]) -> None:
        if self.readers.get(fd) is call:  # not removed since it was found to be readable
            call[0](*call[1])

    def run_pooled(self, index: int) -> None:
        """Another thread does what it was given, and tells the loop."""
        work, future = self.pool.pop(index)
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - it belongs to who waits for the result
            self.ready.append((_fail, (future, error)))
        else:
            self.ready.append((_succeed, (future, result)))

    def bury(self) -> None:
        """End what the dead daemon left in memory, so that nothing is said of it later."""
        for coroutine in self.coroutines:
            try:
                coroutine.close()
            except BaseException:  # noqa: BLE001 - a dead process' clean-up can do nothing
                pass
        self.coroutines.clear()
        self.ready.clear()


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.cancelled():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.cancelled():
        future.set_exception(error)


class TurnedCommitter(Committer):
    """The real one's commits, without its thread: `commit`, then `tell`."""

    def __init__(self, ledger: Ledger, loop: Loop, process: Process) -> None:
        # Not the base class's: there is no thread.
        self._ledger, self._loop, self._process = ledger, loop.own, process
        self.queued: list[Part] = []
        self.committed: list[tuple[list[asyncio.Future[Any]], list[Any]]] = []

    async def transact(self, transaction: Transaction[Any]) -> Any:
        if self._process.dead:
            raise Killed
        future = self._loop.create_future()
        self.queued.append((transaction, future))
        return await future

    def commit(self) -> None:
        """Everything that is queued, in one commit."""
        group, self.queued = self.queued, []
        results = self._commit([transaction for transaction, _ in group])
        self.committed.append(([future for _, future in group], results))

    def tell(self) -> None:
        """The loop learns of the oldest commit."""
        self._loop.call_soon_threadsafe(_resolve, *self.committed.pop(0))


def running(loop: Loop | None) -> None:
    """Make `loop` the one that asyncio's functions find."""
    asyncio._set_running_loop(loop.own if loop is not None else None)
