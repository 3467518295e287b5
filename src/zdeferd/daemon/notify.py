"""Notifies a service manager (sd_notify(3)) and takes its socket (sd_listen_fds(3)).

Without a service manager every call does nothing. The watchdog is armed while there is work
and disarmed at rest, when the daemon makes no system call.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

LISTEN_FDS_START = 3


def inherited_socket(env: Mapping[str, str]) -> int | None:
    """Return the descriptor that systemd listens on for this process; None: there is none."""
    if env.get("LISTEN_PID") == str(os.getpid()) and env.get("LISTEN_FDS") == "1":
        return LISTEN_FDS_START
    return None


class Notifier:
    """Sends states to the manager that `NOTIFY_SOCKET` names."""

    def __init__(self, env: Mapping[str, str], loop: asyncio.AbstractEventLoop) -> None:
        self._address = env.get("NOTIFY_SOCKET", "")
        self._watchdog_us = int(env.get("WATCHDOG_USEC", "0") or 0) if self._address else 0
        self._loop = loop
        self._ping: asyncio.TimerHandle | None = None

    def ready(self) -> None:
        """Report that the start is over."""
        self._send("READY=1")
        if self._watchdog_us:
            self._send("WATCHDOG_USEC=0")

    def stopping(self) -> None:
        """Report that the daemon ends."""
        self.busy(False)
        self._send("STOPPING=1")

    def busy(self, flag: bool) -> None:
        """Arm the watchdog while there is work, else disarm it."""
        if not self._watchdog_us or flag == (self._ping is not None):
            return
        if flag:
            self._send(f"WATCHDOG_USEC={self._watchdog_us}")
            self._beat()
        elif self._ping is not None:
            self._ping.cancel()
            self._ping = None
            self._send("WATCHDOG_USEC=0")

    def _beat(self) -> None:
        self._send("WATCHDOG=1")
        self._ping = self._loop.call_later(self._watchdog_us / 2e6, self._beat)

    def _send(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer,
        ):
            peer.sendto(state.encode(), address)
