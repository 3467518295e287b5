"""Stop the daemon. Running jobs go on; the next daemon takes them over.

Where a service keeps it alive the service is stopped, so that it stays away until
`zdeferctl start` or the next login. Elsewhere it is asked to leave, and shells start
none until `zdeferctl start`. Returns when it has left; nothing to stop is exit code 3.
"""

from __future__ import annotations

import fcntl
import os
import signal

from ..errors import NoDaemon, ZdeferdError
from ..install.plan import LABEL, STOPPED, UNITS, Host, installed_service
from ..install.steps import Command, carry_out
from ..ledger.reading import daemon_pid
from ..wire import messages
from ..wire.client import request
from .codes import DONE
from .demo.host import this_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from types import FrameType

    from .call import Call

LEAVE_LIMIT_S = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def perform(call: Call) -> int:
    """Stop it and wait until it is gone; -> 0."""
    host = this_host(call.env)
    pid = daemon_pid(host.paths.lock)
    service = stop(host)
    held_back = service is None and _hold_back(host)
    if pid is None and service is None and not held_back:
        raise NoDaemon("no daemon runs; `zdeferctl start` starts one")
    after = "; shells start none until `zdeferctl start`" if held_back else ""
    document = {"pid": pid, "service": service}
    return call.answer(document, lambda style: f"zdeferd has stopped{after}", DONE)


def stop(host: Host) -> str | None:
    """Stop what runs, by its service or by request; -> the service's manager, if any."""
    service = installed_service(host)
    if service == "systemd":
        carry_out(Command(("systemctl", "--user", "stop", *UNITS)))
    elif service == "launchd":
        carry_out(Command(("launchctl", "bootout", f"gui/{host.uid}/{LABEL}"), must=False))
    if daemon_pid(host.paths.lock) is not None:  # not, or not only, by the service
        request(host.paths.socket, messages.Stop())
        wait_until_gone(host.paths.lock)
    return service


def wait_until_gone(lock: str) -> None:
    """Wait until nobody holds the daemon's lock; ZdeferdError after the limit."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LEAVE_LIMIT_S)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except TimeoutError:
        pid = daemon_pid(lock)
        raise ZdeferdError(
            f"daemon does not leave: pid {pid} (waited {LEAVE_LIMIT_S} s);"
            " `kill -9` of it is safe: running jobs go on"
        ) from None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        os.close(descriptor)


def _hold_back(host: Host) -> bool:
    """Put the marker aside by which shells start a daemon; -> whether there was one."""
    try:
        os.rename(host.paths.autostart, host.paths.autostart + STOPPED)
    except FileNotFoundError:
        return False
    return True
