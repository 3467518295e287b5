"""Check the whole path from a shell to its daemon, as a shell would meet it.

Each finding is ok, warn or bad, and comes with what to do. The exit code is 1 where
anything is bad.

Examples:

zdeferctl doctor
"""

from __future__ import annotations

import os

from ..view.render import Style, count, home_short, printable, wrapped
from .codes import DONE, NO
from .host import this_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from ..doctor.findings import Finding
    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def perform(call: Call) -> int:
    """Print the findings; -> 0, or 1 where one is bad."""
    from ..doctor.findings import Level

    findings = examine(call.env)
    bad = sum(finding.level is Level.BAD for finding in findings)
    warned = sum(finding.level is Level.WARN for finding in findings)

    def text(style: Style) -> str:
        home = call.env.get("HOME", "")
        lines = [_line(finding, home, style, call.columns) for finding in findings]
        summary = f"{bad} bad, {count(warned, 'warning')}" if bad or warned else "all is well"
        return "\n".join([*lines, "", style.bold(summary)])

    document = {
        "findings": [finding._asdict() for finding in findings],
        "bad": bad,
        "warnings": warned,
    }
    return call.answer(document, text, NO if bad else DONE)


def _line(finding: Finding, home: str, style: Style, columns: int | None) -> str:
    found, remedy = (printable(home_short(t, home)) for t in (finding.found, finding.remedy))
    word = style.state(finding.level) + " " * (5 - len(finding.level))
    line = wrapped(f"{word}{finding.check:<10} {found}", columns, 16)
    advice = wrapped(f"{' ' * 16}{style.dim('->')} {remedy}", columns, 19)
    return f"{line}\n{advice}" if remedy else line


def _calling_zsh() -> str:
    """Return the program of the parent process where that is a zsh; empty elsewhere. Linux."""
    try:
        program = os.readlink(f"/proc/{os.getppid()}/exe")
    except OSError:
        return ""
    return program if os.path.basename(program).startswith("zsh") else ""


def examine(env: Mapping[str, str]) -> list[Finding]:
    """Return the findings of all checks, in the order in which a user would meet them."""
    from ..doctor import connection, files, machine
    from ..doctor.findings import Scene
    from ..jobs.files import load

    host = this_host(env, asks_zsh=True)
    scene = Scene(env, host.paths, load(host.paths), host, shell=_calling_zsh())
    checks = (*connection.CHECKS, *files.CHECKS, *machine.CHECKS)
    return [finding for check in checks for finding in check(scene)]
