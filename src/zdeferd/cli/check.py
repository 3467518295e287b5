"""Check config.toml and every job file, and say all that is wrong with them at once.

Reads the files itself; no daemon is needed. Each problem names the file, the line
and the key, what was found and what was expected.

Examples:

zdeferctl check
"""

from __future__ import annotations

from ..config.problems import in_order
from ..view.render import Style, count, home_short, marked
from ..view.where import find_paths
from .codes import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def perform(call: Call) -> int:
    """Print the problems; -> 0 where there are none, else 1."""
    from ..jobs.files import load

    paths = find_paths(call.env)
    loaded = load(paths)
    problems = [str(problem) for problem in in_order(loaded.problems)]

    def text(style: Style) -> str:
        jobs = count(len(loaded.jobs), "job")
        where = home_short(paths.jobs_dir, paths.home)
        if not problems:
            return f"{style.paint('valid', 'green')}: the settings and {jobs} in {where}"
        lines = marked(style.paint("refused", "red"), problems, call.columns, paths.home)
        return "\n".join([*lines, f"{count(len(lines), 'problem')}; {jobs} valid in {where}"])

    document = {
        "valid": not problems,
        "problems": problems,
        "jobs": list(loaded.jobs),
        "config_file": paths.config_file,
        "jobs_dir": paths.jobs_dir,
    }
    return call.answer(document, text, NO if problems else DONE)
