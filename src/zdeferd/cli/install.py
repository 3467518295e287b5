"""Put the zsh plugin and the service in place; doing it again brings them up to date.

The service: systemd user units, socket-activated, or a launchd agent; where neither
manager answers, a marker that lets a shell start zdeferd after its prompt. The plugin
goes to ~/.local/share/zdeferd/shell; one line in .zshrc loads it, and --zshrc writes
that line for you, once, with a backup beside the file. Where that file cannot be written
all else is done and the line is printed. The manual pages go to ~/.local/share/man. Makes
the folders of settings and jobs, too.

Examples:

zdeferctl install --zshrc

zdeferctl install --dry-run --verbose
"""

from __future__ import annotations

import os

from ..install.plan import ADDED, Host, install_plan
from ..install.steps import AddLine, StepFailed, backup_of, carry_out, describe
from ..install.zshrc import loads_shim
from ..machine.paths import check_home
from ..view.render import Style, home_short
from .codes import DONE, NO
from .host import this_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..install.steps import Step
    from .call import Call

_SERVICES = {
    "systemd": "systemd user units, started by the first visit of a shell",
    "launchd": "launchd agent",
    None: "no service manager answers here: shells start zdeferd after their prompt",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add --zshrc, --dry-run and --verbose."""
    parser.add_argument("--zshrc", action="store_true", help="add the line to .zshrc, once")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--verbose", action="store_true", help="each step as well")


def perform(call: Call) -> int:
    """Carry out the plan; -> 0."""
    from .manual import pages  # it loads the modules of all verbs

    check_home(call.env)
    host = this_host(call.env, needs_program=True, asks_zsh=True)
    plan = install_plan(host, call.args.zshrc, pages())
    changed, refused = _carried_out(plan, call.args.dry_run)
    document = {
        "dry_run": call.args.dry_run,
        "service": host.manager or "autostart",
        "changed": changed,
        "zshrc_line": host.line,
        "zshrc": host.zshrc,
        "zshrc_problem": refused or None,
        "shell_dir": host.shim,
    }

    def text(style: Style) -> str:
        lines = _lines(host, changed, refused, call, style)
        return home_short("\n".join(lines), host.paths.home)

    return call.answer(document, text, NO if refused else DONE)


def _carried_out(plan: list[Step], dry_run: bool) -> tuple[list[str], str]:
    """Carry out the plan; return the steps that changed something, and why no line was added."""
    changed, refused = [], ""
    for step in plan:
        try:
            if dry_run or carry_out(step):
                changed.append(describe(step))
        except StepFailed as error:
            if not isinstance(step, AddLine):
                raise
            refused = error.found  # the file may be generated, or on a disk that is read only
    return changed, refused


def _lines(host: Host, changed: list[str], refused: str, call: Call, style: Style) -> Iterator[str]:
    args = call.args
    if args.dry_run:
        yield "Would be put in place; nothing is done:"
    yield f"service  {_SERVICES[host.manager]}"
    yield f"plugin   {host.shim}" + ("" if changed else ", up to date")
    yield f"manual   {host.manual}: man zdeferctl"
    yield from _zshrc(host, changed, refused, call, style)
    if args.verbose and changed:
        yield from ["", *changed]
    if not args.dry_run:
        yield from ["", "Then open a new shell; `zdeferctl doctor` checks the rest."]


def _zshrc(host: Host, changed: list[str], refused: str, call: Call, style: Style) -> Iterator[str]:
    """Yield what was done, or is to be done, in the user's .zshrc."""
    if refused:
        real = os.path.realpath(host.zshrc)
        behind = f", a link to {real}" if real != host.zshrc else ""
        yield f".zshrc   {refused}"
        yield from ["", f"Put this line where {host.zshrc} comes from{behind}:", ""]
        yield "  " + style.bold(host.line)
    elif describe(AddLine(host.zshrc, host.line, ADDED)) in changed and not call.args.dry_run:
        yield f".zshrc   line added to {host.zshrc}{_backup(host)}"
    elif loads_shim(host.zshrc):
        yield f".zshrc   {host.zshrc} loads it already"
    elif call.args.zshrc:
        yield f".zshrc   one line is added to {host.zshrc}"
    else:
        yield from ["", f"Put this line into {host.zshrc} (or use --zshrc):", ""]
        yield "  " + style.bold(host.line)


def _backup(host: Host) -> str:
    backup = backup_of(os.path.realpath(host.zshrc))
    return f"; as it was: {backup}" if os.path.exists(backup) else ""
