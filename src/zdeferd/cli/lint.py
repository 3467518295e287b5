"""Find in zsh files older log wrappers and log lines that are written by hand.

`zdeferctl lint zsh PATH…` prints `path:line: rule: remedy`. Of a folder it reads `*.zsh` and
files without a suffix that are zsh, but not `tests/`, `backups/` and `.ARCHIVE/`. Exit codes:
0 clean, 1 findings or no zsh file at all, 2 usage, or a path that is not there or cannot be read:
only regular files of at most 8 MiB are.

Examples:

zdeferctl lint zsh ~/.zshrc ~/.config/zsh

zdeferctl lint zsh ~/.zshrc --rule raw-log
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import NamedTuple

from ..errors import ZdeferdError
from ..features.lint import RULES, findings
from ..machine.files import read_text
from ..view.render import Style, printable, safe
from .codes import DONE, NO, USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from .call import Call

SKIPPED = frozenset({"tests", "backups", ".ARCHIVE", ".git"})
START_UP = frozenset(f"{dot}z{name}" for dot in ("", ".") for name in
                     ("shrc", "shenv", "profile", "login", "logout"))  # fmt: skip
"""Names of the files that zsh reads by itself."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the language, the paths and the options."""
    parser.add_argument("language", choices=("zsh",), help="what to look at")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, or a folder of files")
    parser.add_argument(
        "--rule", action="append", choices=tuple(RULES), help="this rule alone; may be repeated"
    )
    parser.add_argument("--warn", action="store_true", help="print, and exit with 0")


class NoSuchPath(ZdeferdError):
    """There is no such file or folder."""


class Looked(NamedTuple):
    """The result of a look at zsh files."""

    files: list[str]
    unread: list[str]
    """Files that could not be read."""
    findings: list[tuple[str, int, str, str]]
    """File, line, rule and remedy of each, sorted."""


def perform(call: Call) -> int:
    """Print the findings, sorted; -> the exit code."""
    try:
        looked = look(call.args.paths, call.args.rule or ())
    except NoSuchPath as error:
        return call.failed(str(error), USAGE)
    found = looked.findings

    def text(_: Style) -> str:
        return "\n".join(f"{printable(f)}:{line}: {rule}: {fix}" for f, line, rule, fix in found)

    keys = ("path", "line", "rule", "remedy")
    document = {
        "files": len(looked.files),
        "findings": [dict(zip(keys, one, strict=True)) for one in found],
    }
    # What could not be read is not clean.
    code = USAGE if looked.unread else NO if found else DONE
    return call.answer(document, text, DONE if call.args.warn else code)


def look(paths: Sequence[str], rules: Sequence[str] = ()) -> Looked:
    """Return what the rules, or all, find in these files and folders. ZdeferdError: no zsh file."""
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        raise NoSuchPath(f"lint: no such path: {missing[0]}", "name a file or a folder")
    files = sorted({file for path in paths for file in _zsh_files(path)})
    if not files:
        remedy = "files end in .zsh or begin with #!…zsh"
        raise ZdeferdError(f"lint: no zsh file: {' '.join(paths)}", remedy)
    texts = {file: _text(file) for file in files}
    found = [(file, *one) for file in files for one in findings(texts[file] or "", rules)]
    return Looked(files, [file for file in files if texts[file] is None], found)


def _zsh_files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for where, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in names:
            file = os.path.normpath(f"{where}/{name}")
            if os.path.isfile(file) and _is_zsh(file):
                yield file


def _is_zsh(file: str) -> bool:
    folder, name = os.path.split(file)
    if name.endswith(".zsh") or name in START_UP:
        return True
    if "." in name:
        return False
    first = (_text(file) or "").partition("\n")[0]
    is_said = first.startswith("#!") and "zsh" in first
    return (
        is_said
        or first.startswith(("#compdef", "#autoload"))
        or os.path.basename(folder) == "functions"  # of fpath, which need not say so
    )


def _text(file: str) -> str | None:
    """Return what a file holds; None, with a line on standard error: it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # before: a FIFO or a device may never end
            raise OSError(errno.EINVAL, "not a regular file; name one, or a folder")
        return read_text(file, errors="replace")
    except OSError as error:
        print(f"zdeferctl: lint: cannot read: {safe(file)}: {error.strerror}", file=sys.stderr)
        return None
