"""Stop the daemon and remove what install put in place; your own files stay.

Settings, jobs, the ledger and the logs stay; with --purge the ledger, the runs'
output and the logs in the state folder go as well. A line that you wrote into .zshrc
yourself is yours to take out.
"""

from __future__ import annotations

from ..errors import NoDaemon, ZdeferdError
from ..render import Style, home_short
from ..service import ADDED, uninstall_plan
from ..steps import carry_out, describe, sources_shim
from ..view import reading
from . import DONE
from .host import this_host
from .standing import still_run
from .stop import stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..service import Host
    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """How much goes, and whether to do anything."""
    parser.add_argument("--purge", action="store_true", help="the ledger, outputs and logs as well")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def perform(call: Call) -> int:
    """Carry out the plan; -> 0."""
    host = this_host(call.env)
    if call.args.purge:
        _refuse_while_jobs_run(host)
    if not call.args.dry_run:
        try:
            stop(host)
        except NoDaemon:
            pass  # it left by itself meanwhile
    plan = uninstall_plan(host, call.args.purge)
    changed = [describe(step) for step in plan if call.args.dry_run or carry_out(step)]
    leftover = written_line(host)
    document = {"dry_run": call.args.dry_run, "changed": changed, "zshrc_line_left": leftover}

    def text(style: Style) -> str:
        lines = [f"{'would ' if call.args.dry_run else ''}{step}" for step in changed]
        if leftover:
            zshrc = home_short(host.zshrc, host.paths.home)
            lines += ["", f"Take this line out of {zshrc}; it was not added by install:"]
            lines += [f"  {style.bold(leftover)}"]
        return "\n".join(lines or ["nothing was installed"])

    return call.answer(document, text, DONE)


def _refuse_while_jobs_run(host: Host) -> None:
    with reading(host.paths.ledger) as view:
        running = still_run(view.live_runs(), host.paths)
    if running:
        raise ZdeferdError(
            f"jobs are running: run {', '.join(map(str, running))};"
            " wait for them or `zdeferctl cancel` them before --purge"
        )


def written_line(host: Host) -> str | None:
    """A line of the user's own in .zshrc that loads the plugin, or None."""
    try:
        with open(host.zshrc, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip() for line in file]
    except OSError:
        return None
    found = (line for line in lines if sources_shim(line) and not line.endswith(ADDED))
    return next(found, None)
