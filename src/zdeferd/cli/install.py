"""Put the zsh plugin and the service in place; doing it again brings them up to date.

The service: systemd user units, socket-activated, or a launchd agent; where neither
manager answers, a marker that lets a shell start zdeferd after its prompt. The plugin
goes to ~/.local/share/zdeferd/shell; one line in .zshrc loads it, and --zshrc writes
that line for you, once, with a backup beside the file.
"""

from __future__ import annotations

import os

from ..render import Style, home_short
from ..service import Host, install_plan
from ..steps import AddLine, backup_of, carry_out, describe
from . import DONE
from .host import this_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call

_SERVICES = {
    "systemd": "systemd user units, started by the first visit of a shell",
    "launchd": "launchd agent",
    None: "no service manager answers here: shells start zdeferd after their prompt",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Whether to touch .zshrc, and whether to do anything."""
    parser.add_argument("--zshrc", action="store_true", help="add the line to .zshrc, once")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def perform(call: Call) -> int:
    """Carry out the plan; -> 0."""
    host = this_host(call.env, needs_program=True)
    plan = install_plan(host, call.args.zshrc)
    changed = [describe(s) for s in plan if call.args.dry_run or carry_out(s)]
    added = [s.path for s in plan if isinstance(s, AddLine) and describe(s) in changed]
    document = {
        "dry_run": call.args.dry_run,
        "service": host.manager or "autostart",
        "changed": changed,
        "zshrc_line": host.line,
        "zshrc": host.zshrc,
        "shell_dir": host.shim,
    }
    return call.answer(document, lambda style: _text(host, changed, bool(added), call, style), DONE)


def _text(host: Host, changed: list[str], added: bool, call: Call, style: Style) -> str:
    def short(path: str) -> str:
        return home_short(path, host.paths.home)

    if call.args.dry_run:
        return "\n".join(["would:", *(f"  {step}" for step in changed)])
    lines = [
        f"service  {_SERVICES[host.manager]}",
        f"plugin   {short(host.shim)}" + ("" if changed else ", up to date"),
    ]
    if added:
        lines.append(f".zshrc   line added to {short(host.zshrc)}{_backup(host)}")
    elif not call.args.zshrc:
        lines += ["", f"Put this line into {short(host.zshrc)} (or use --zshrc):", ""]
        lines += ["  " + style.bold(host.line)]
    return "\n".join([*lines, "", "Then open a new shell; `zdeferctl doctor` checks the rest."])


def _backup(host: Host) -> str:
    backup = backup_of(os.path.realpath(host.zshrc))
    if not os.path.exists(backup):
        return ""
    return f"; as it was: {home_short(backup, host.paths.home)}"
