"""Stop the daemon, where one runs, and start it: after an upgrade, for instance.

Running jobs go on, and the new daemon takes them over. Returns when it answers.

Examples:

zdeferctl restart
"""

from __future__ import annotations

from contextlib import suppress

from ..errors import NoDaemon
from ..machine.lock import daemon_pid
from ..machine.paths import check_home
from .codes import DONE
from .host import this_host
from .start import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def perform(call: Call) -> int:
    """Stop, start and wait for the answer; -> 0."""
    from .stop import stop

    check_home(call.env)
    host = this_host(call.env, needs_program=True)
    before = daemon_pid(host.paths.lock)
    with suppress(NoDaemon):  # it left by itself meanwhile
        stop(host)
    started = start(call)
    by = f" by {started.service}" if started.service else ""
    document = {"pid": started.pid, "stopped": before, "service": started.service}
    how = "started" if before is None else "started again"
    return call.answer(document, lambda _: f"zdeferd {how}{by}, pid {started.pid}", DONE)
