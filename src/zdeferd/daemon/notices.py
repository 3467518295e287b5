"""Notifies the user of failures by a command: one of the user's, or notify-send on the desktop.

One command runs at a time, in a session of its own, with the message as its last argument. One that
takes longer than LIMIT_S is ended. Messages beyond MOST_WAITING are dropped.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping

from ..jobs.files import Configuration
from ..ledger.standing import Failure
from ..telemetry.journal import Journal

LIMIT_S = 10.0
"""The time limit of a command."""
MOST_WAITING = 20
"""Messages that wait for the command before them."""
DESKTOP = ("notify-send", "--app-name=zdeferd", "--")


class Notices:
    """Runs a command for each failure, in a thread."""

    def __init__(
        self,
        configuration: Configuration,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
        env: Mapping[str, str],
    ) -> None:
        self._configuration, self._journal = configuration, journal
        self._loop, self._env = loop, dict(env)
        self._waiting: list[Failure] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._busy = False

    def notify(self, failure: Failure) -> None:
        """Tell the user, once the commands before this one have ended."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(failure)
        self._next()

    def close(self) -> None:
        """End the command that runs; no other one begins."""
        self._waiting.clear()
        if self._child is not None:
            _end(self._child)

    def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        notify = self._configuration.settings.notify
        words = DESKTOP if notify == "desktop" else tuple(notify) if notify != "off" else ()
        failure = self._waiting.pop(0)
        if not words:  # the setting has changed meanwhile
            return
        self._busy = True
        running = self._loop.run_in_executor(None, self._run, (*words, failure.message))
        running.add_done_callback(self._ended)

    def _ended(self, done: "asyncio.Future[str]") -> None:
        self._busy = False
        if problem := done.result():
            self._journal.once(f"notify: {problem}")
        self._next()

    def _run(self, words: tuple[str, ...]) -> str:
        """Run the command to its end, or to its time limit; return what went wrong, or nothing."""
        program = shutil.which(words[0], path=self._env.get("PATH"))
        if program is None:
            return f"no such command: {words[0]}; see the setting `notify`"
        try:
            child = self._child = subprocess.Popen(
                [program, *words[1:]],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot run {program}: {error.strerror}"
        try:
            rc = child.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            _end(child)
            return f"ended after {LIMIT_S:g} s: {program}"
        finally:
            self._child = None
        return f"{program} failed: exit code {rc}" if rc else ""


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the command and the processes of its session."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait()
