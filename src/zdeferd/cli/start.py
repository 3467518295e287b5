"""Start the daemon: through its service where it is installed, else by itself.

With systemd its socket is opened, too, and the daemon leaves and returns by itself
from then on. Without a service manager it goes to the background (`zdeferd --detach`), and shells
start it again from then on, if `zdeferctl stop` had ended that.
Returns when it answers; one that runs already is left alone.

Examples:

zdeferctl start
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from ..errors import NoDaemon, ZdeferdError
from ..machine.lock import daemon_pid
from ..machine.paths import check_home
from ..machine.processes import named
from .codes import DONE
from .host import this_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..install.plan import Host
    from ..wire import control
    from .call import Call

DETACH_LIMIT_S = 30.0


class Started(NamedTuple):
    """A daemon that answers: its process, and who started it."""

    pid: int
    is_new: bool
    """False: it ran already."""
    service: str | None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def perform(call: Call) -> int:
    """Start the daemon and wait for its answer; -> 0."""
    check_home(call.env)
    started = start(call)
    how = "started" if started.is_new else "is running already"
    by = f" by {started.service}" if started.service and started.is_new else ""
    document = {"pid": started.pid, "started": started.is_new, "service": started.service}
    return call.answer(document, lambda _: f"zdeferd {how}{by}, pid {started.pid}", DONE)


def start(call: Call) -> Started:
    """Start the daemon unless one runs, let shells do so again, and wait for its answer."""
    from ..install.plan import STOPPED, installed_service
    from ..view.where import find_paths

    host = this_host(call.env, needs_program=True)
    before = daemon_pid(host.paths.lock)
    service = installed_service(host)
    with suppress(FileNotFoundError):  # `stop` put it aside
        os.rename(host.paths.autostart + STOPPED, host.paths.autostart)
    if before is None:
        _start(host, service)
        host = host._replace(paths=find_paths(call.env))  # the daemon decides where its socket is
    return Started(_ping(host, before).pid, before is None, service)


def _ping(host: Host, before: int | None) -> control.Pong:
    """Return the answer of the daemon; NoDaemon where the holder of the lock gives none."""
    from ..wire import control
    from ..wire.client import request

    try:
        pong = request(host.paths.socket, control.Ping())
    except NoDaemon as error:
        if not before:
            raise
        found = f"{error.found}; {named(before)} holds the lock"
        raise NoDaemon(found, "`zdeferctl stop` ends it; then start one") from None
    assert isinstance(pong, control.Pong)
    return pong


def _start(host: Host, service: str | None) -> None:
    from ..install.plan import LABEL
    from ..install.steps import Command, carry_out

    if service == "systemd":
        for unit in ("zdeferd.socket", "zdeferd.service"):
            carry_out(Command(("systemctl", "--user", "start", unit)))
    elif service == "launchd":
        domain = f"gui/{host.uid}"
        carry_out(Command(("launchctl", "bootstrap", domain, host.agent), must=False))
        carry_out(Command(("launchctl", "kickstart", f"{domain}/{LABEL}")))
    else:
        _detach(host)


def _detach(host: Host) -> None:
    """Start the daemon in the background; ZdeferdError with its message if it fails."""
    import subprocess

    done = subprocess.run(
        [host.program, "--detach"],
        env={name: value for name, value in host.env.items() if not name.startswith("PYTHON")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=DETACH_LIMIT_S,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ZdeferdError(
            f"daemon did not start: {said[-1] if said else f'exit code {done.returncode}'}"
        )
