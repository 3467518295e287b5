"""Stop the daemon. Running jobs go on; the next daemon takes them over.

Where a service keeps it alive the service is stopped, so that it stays away until
`zdeferctl start` or the next login. Elsewhere it is asked to leave, and shells start
none until `zdeferctl start`. Returns when it has left. The exit code is 3 where there
was nothing to stop.

Examples:

zdeferctl stop
"""

from __future__ import annotations

import os
import signal

from ..errors import NoDaemon, ZdeferdError
from ..machine.lock import daemon_pid, wait_until_free
from ..machine.processes import openers
from .codes import DONE
from .host import this_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..install.plan import Host
    from ..machine.paths import Paths
    from .call import Call

LEAVE_LIMIT_S = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def perform(call: Call) -> int:
    """Stop the daemon and wait for its end; -> 0."""
    host = this_host(call.env)
    pid = daemon_pid(host.paths.lock)
    service = stop(host)
    held_back = service is None and _hold_back(host)
    if pid is None and service is None and not held_back:
        raise NoDaemon("no daemon runs", "`zdeferctl start` starts one")
    after = "; shells start none until `zdeferctl start`" if held_back else ""
    document = {"pid": pid, "service": service}
    return call.answer(document, lambda _: f"zdeferd has stopped{after}", DONE)


def stop(host: Host) -> str | None:
    """Stop what runs, by its service or by request; -> the service's manager, if any."""
    from ..install.plan import LABEL, UNITS, installed_service
    from ..install.steps import Command, carry_out

    service = installed_service(host)
    if service == "systemd":
        carry_out(Command(("systemctl", "--user", "stop", *UNITS)))
    elif service == "launchd":
        carry_out(Command(("launchctl", "bootout", f"gui/{host.uid}/{LABEL}"), must=False))
    pid = daemon_pid(host.paths.lock)
    if pid is not None:  # not, or not only, by the service
        _ask_to_leave(host.paths, pid)
        wait_until_gone(host.paths.lock)
    return service


def _ask_to_leave(paths: Paths, pid: int) -> None:
    """Ask the daemon that holds the lock to leave, by a signal where its socket is not known."""
    from ..wire import control
    from ..wire.client import request

    try:
        request(paths.socket, control.Stop())
    except NoDaemon:
        # The file can name a process of another container that shares this home folder.
        if pid not in openers(paths.lock):
            raise
        os.kill(pid, signal.SIGTERM)


def wait_until_gone(lock: str) -> None:
    """Wait until no process holds the daemon's lock; ZdeferdError after the limit."""
    try:
        wait_until_free(lock, LEAVE_LIMIT_S)
    except TimeoutError:
        pid = daemon_pid(lock)
        raise ZdeferdError(
            f"daemon does not leave: pid {pid} (waited {LEAVE_LIMIT_S} s)",
            "`kill -9` of it is safe: running jobs go on",
        ) from None


def _hold_back(host: Host) -> bool:
    """Put the marker aside by which shells start a daemon; -> whether there was one."""
    from ..install.plan import STOPPED

    try:
        os.rename(host.paths.autostart, host.paths.autostart + STOPPED)
    except FileNotFoundError:
        return False
    return True
