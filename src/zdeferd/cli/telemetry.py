"""Check the lines of a JSON sidecar against the allow-list.

`zdeferctl telemetry check FILE` (`-`: standard input) looks at every line that is a JSON object:
keys of its type, all and no others, and values that are timings, static names or enumerations.
Each deviation is a warning that names the line and the key, never the value. Exit codes:
0 it holds, or it does not and --strict is not given; 3 a deviation; 2 unreadable; 1 usage.

Examples:

zdeferctl telemetry check perf.jsonl --strict
"""

from __future__ import annotations

import sys
from itertools import islice

from ..view.render import Style, count, safe
from .codes import DONE
from .parsers import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import BinaryIO

    from .call import Call

UNREADABLE = 2
"""This verb's own: its code of usage errors is 1 (codes.USAGE_CODES)."""
DEVIATES = 3
LONGEST = 1 << 20
"""Bytes of a line; zdeferd writes none of more than a few hundred."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the action, the file and the options."""
    parser.add_argument("action", choices=("check",), help="what to do")
    parser.add_argument("file", metavar="FILE", help="the sidecar; `-`: standard input")
    parser.add_argument("--strict", action="store_true", help="exit with 3 where a line deviates")
    parser.add_argument("--allow-extra", action="store_true", help="more keys are no deviation")
    parser.add_argument("--max-lines", type=whole(0), metavar="N", help="look at the first N lines")
    parser.add_argument("--quiet", action="store_true", help="print nothing")


def perform(call: Call) -> int:
    """Print the deviations; -> the exit code."""
    args, name = call.args, call.args.file
    try:
        if name == "-":
            objects, found = look(sys.stdin.buffer, args.allow_extra, args.max_lines)
        else:
            with open(name, "rb") as file:
                objects, found = look(file, args.allow_extra, args.max_lines)
    except OSError as error:
        return call.failed(
            f"telemetry: cannot read: {name}: {error.strerror}; name another", UNREADABLE
        )
    if not args.quiet:
        for number, problem in found:
            print(f"zdeferctl: telemetry: {safe(name)}:{number}: {problem}", file=sys.stderr)

    def text(style: Style) -> str:
        if args.quiet:
            return ""
        if found:
            return f"{count(len(found), 'deviation')} in {count(objects, 'object')}"
        return f"{style.paint('holds', 'green')}: {count(objects, 'object')}"

    document = {
        "holds": not found,
        "objects": objects,
        "deviations": [{"line": number, "problem": problem} for number, problem in found],
    }
    return call.answer(document, text, DEVIATES if found and args.strict else DONE)


def look(
    file: BinaryIO, allow_extra: bool = False, most: int | None = None
) -> tuple[int, list[tuple[int, str]]]:
    """Return how many objects the first lines have, and the deviations with their numbers."""
    from ..telemetry.allowed import deviations

    objects, found = 0, []
    for number, line in enumerate(islice(_lines(file), most), 1):
        problems = deviations(line, allow_extra)
        if problems is not None:
            objects += 1
            found += [(number, problem) for problem in problems]
    return objects, found


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file; of a longer one than LONGEST only the beginning."""
    while line := file.readline(LONGEST):
        yield line
        while len(line) == LONGEST and line[-1:] != b"\n":
            line = file.readline(LONGEST)
