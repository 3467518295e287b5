"""Make the daemon read config.toml and jobs.d again, now.

It does so by itself at the next first prompt of a shell. Bad files and keys are
refused and listed; the other jobs and the last good settings stay in force.

Examples:

zdeferctl reload
"""

from __future__ import annotations

from ..view.render import Style, count, marked
from ..view.where import find_paths
from .codes import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def perform(call: Call) -> int:
    """Reload; -> 0, or 1 where something was refused."""
    from ..wire import control
    from ..wire.client import request

    paths = find_paths(call.env)
    reloaded = request(paths.socket, control.Reload())
    assert isinstance(reloaded, control.Reloaded)

    def text(style: Style) -> str:
        word = style.paint("refused", "red")
        refused = marked(word, reloaded.problems, call.columns, paths.home)
        return "\n".join([f"{count(reloaded.jobs, 'job')} of files in force", *refused])

    document = {"jobs": reloaded.jobs, "problems": reloaded.problems}
    return call.answer(document, text, NO if reloaded.problems else DONE)
