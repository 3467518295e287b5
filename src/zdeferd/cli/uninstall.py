"""Stop the daemon and remove what install put in place; your own files stay.

Settings, jobs, the ledger and the logs stay; with --purge the ledger, the runs'
output and the logs in the state folder go as well. A line that you wrote into .zshrc
yourself is yours to take out.

Examples:

zdeferctl uninstall --dry-run

zdeferctl uninstall --purge
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from ..errors import NoDaemon, ZdeferdError
from ..install.plan import ADDED, uninstall_plan
from ..install.steps import (
    Command,
    Remove,
    RemoveLine,
    Step,
    StepFailed,
    backup_of,
    carry_out,
    describe,
)
from ..install.zshrc import calls_shim, lines_of, sources_shim
from ..machine.lock import daemon_pid
from ..machine.paths import cache_dir, check_home
from ..view.render import Style, home_short
from .codes import DONE
from .host import this_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from ..install.plan import Host
    from .call import Call


class Removal(NamedTuple):
    """The paths that were removed (dry run: would be), and those that remain."""

    dry_run: bool
    changed: list[str]
    daemon_stopped: bool
    running: list[int]
    """Ids of runs that go on to their end."""
    kept: list[str]
    """Folders and files that stay."""
    zshrc_line_left: str | None
    """A line of the user's own that loads the plugin."""
    zshrc_calls_left: list[str]
    """Lines that call the plugin's functions."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add --purge, --dry-run and --verbose."""
    parser.add_argument("--purge", action="store_true", help="the ledger, outputs and logs as well")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--verbose", action="store_true", help="each step as well")


def perform(call: Call) -> int:
    """Carry out the plan; -> 0."""
    from .stop import stop

    check_home(call.env)
    host, dry_run = this_host(call.env, asks_zsh=True), call.args.dry_run
    running = _running(host, call.args.purge)
    stopped = daemon_pid(host.paths.lock)
    if not dry_run:
        with suppress(NoDaemon):  # it left by itself meanwhile
            stop(host)
        running = _running(host, call.args.purge)  # what started before the daemon had left
    plan = uninstall_plan(host, call.args.purge)
    steps = [step for step in plan if (_applies(step) if dry_run else _carried_out(step))]
    found = Removal(
        dry_run=dry_run,
        changed=[describe(step) for step in steps],
        daemon_stopped=stopped is not None,
        running=running,
        kept=[path for path in _kept(host, call.env) if not (dry_run and _goes(path, steps))],
        zshrc_line_left=written_line(host, dry_run),
        zshrc_calls_left=[line.strip() for line in lines_of(host.zshrc) if calls_shim(line)],
    )
    parts = list(dict.fromkeys(filter(None, (_part(step, host) for step in steps))))

    def text(style: Style) -> str:
        lines = _lines(found, parts, host, call, style)
        return home_short("\n".join(lines), host.paths.home)

    return call.answer(found._asdict(), text, DONE)


def _running(host: Host, purge: bool) -> list[int]:
    """Return the runs that have a process; ZdeferdError where their files are to be removed."""
    from ..ledger.reading import reading
    from ..view.live import still_run

    with reading(host.paths.ledger) as view:
        running = still_run(view.live_runs(), host.paths)
    if purge and running:
        raise ZdeferdError(
            f"jobs are running: run {', '.join(map(str, running))}",
            "wait for them, or end them: zdeferctl start, then zdeferctl cancel RUN",
        )
    return running


def _carried_out(step: Step) -> bool:
    """Carry out a step; False where it changed nothing, or .zshrc cannot be written."""
    try:
        return carry_out(step)
    except StepFailed:
        if not isinstance(step, RemoveLine):
            raise
        return False


def _lines(found: Removal, parts: list[str], host: Host, call: Call, style: Style) -> Iterator[str]:
    """Yield what was done (or would be) and what remains."""
    stopped, removed, kept = (
        ("would stop  ", "would remove", "would keep  ")
        if found.dry_run
        else ("stopped", "removed", "kept   ")
    )
    if found.daemon_stopped:
        yield f"{stopped}  the daemon"
    if not parts:
        yield "nothing was installed"
    yield from (f"{removed}  {part}" for part in parts)
    yield from (f"{kept}  {path}: {_what(path, host, call.args.purge)}" for path in found.kept)
    for run in found.running:
        yield f"run {run} goes on to its end"
    if call.args.verbose:
        yield from ["", *found.changed]
    if found.zshrc_line_left:
        yield from ["", f"Take this line out of {host.zshrc}; it is yours, or cannot be written:"]
        yield f"  {style.bold(found.zshrc_line_left)}"
    if calls := found.zshrc_calls_left:
        yield from ["", f"Take these lines out of {host.zshrc} as well; they need the plugin:"]
        yield from (f"  {style.bold(line)}" for line in calls)
    if parts and not found.dry_run:
        yield from ["", "Shells that are open still have their half of it: open new ones."]


def _part(step: Step, host: Host) -> str:
    """Return the part of an installation that a step removes; empty: none to name."""
    match step:
        case RemoveLine(path):
            return f"the line in {path}"
        case Remove(path) if path.startswith(f"{host.data}/"):
            return f"the plugin, {path}"
        case Remove(path) if path.startswith(f"{host.manual}/"):
            return f"the manual pages in {host.manual}"
        case Remove(path) if path == host.agent or path.startswith(f"{host.units}/"):
            return f"the service, {path}"
        case Remove(path) if path.startswith(host.paths.autostart):
            return "the marker by which shells start zdeferd"
        case Remove(path) if path != host.paths.socket:
            return f"ledger, outputs and logs in {host.paths.state}"
    return ""


def _applies(step: Step) -> bool:
    """Return whether the step would change something."""
    match step:
        case Remove(path):
            return os.path.lexists(path)
        case RemoveLine(path, mark):
            return any(line.rstrip().endswith(mark) for line in lines_of(path))
    return isinstance(step, Command)


def _goes(path: str, steps: list[Step]) -> bool:
    """Return whether the steps leave no file in a folder."""
    gone = {step.path for step in steps if isinstance(step, Remove)}
    return all(any(f.startswith(name) for name in gone) for f in _files(path))


def _kept(host: Host, env: Mapping[str, str]) -> list[str]:
    """Return the folders and files that stay and hold something."""
    folders = (os.path.dirname(host.paths.config_file), host.paths.state, cache_dir(env))
    backup = backup_of(os.path.realpath(host.zshrc))
    return [path for path in (*folders, backup) if any(_files(path))]


def _files(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        yield path
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names)


def _what(path: str, host: Host, purge: bool) -> str:
    if path == host.paths.state:
        return (
            "what `zdeferctl perf` measured, and files of yours"
            if purge
            else "ledger, outputs and logs; --purge removes them"
        )
    if path.startswith(os.path.dirname(host.paths.config_file)):
        return "settings and jobs"
    if os.path.isdir(path):
        return "caches of `zdefer eval` and `zdefer compinit`, without use now"
    return f"{os.path.basename(host.zshrc)} as it was before install"


def written_line(host: Host, dry_run: bool) -> str | None:
    """Return a line in .zshrc that loads the plugin and that is left to the user, or None."""
    lines = (line.strip() for line in lines_of(host.zshrc))
    found = (line for line in lines if sources_shim(line))
    found = (line for line in found if not (dry_run and line.endswith(ADDED)))
    return next(found, None)
