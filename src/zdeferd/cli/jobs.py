"""List every job that files and shells have declared, and how its last run ended.

A job of a shell is known from its first declaration on. `zdeferctl why JOB` says
what a job waits for.

Examples:

zdeferctl jobs

zdeferctl jobs --json
"""

from __future__ import annotations

import os

from ..view.live import as_found
from ..view.render import Style, cut, home_short, marked, printable, table, width
from ..view.runs import document as run_document
from ..view.runs import last_words
from ..view.where import find_paths
from .codes import DONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from ..ledger.reading import RunRow
    from ..view.jobs import Declared
    from .call import Call

_HEADS = ("JOB", "ON", "ONCE PER", "FROM", "LAST RUN", "DESCRIPTION")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add --ids, which completion uses."""
    from argparse import SUPPRESS

    parser.add_argument("--ids", action="store_true", help=SUPPRESS)


def perform(call: Call) -> int:
    """Print the jobs; -> 0."""
    from ..ledger.reading import reading
    from ..view.jobs import declared, tally

    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        found, loaded = declared(view, paths)
        disabled = view.disabled()
        last = {row["job"]: row for row in as_found(view.last_runs().values(), paths)}
    if call.args.ids:
        for item in found.values():
            print(":".join(filter(None, (printable(item.id), _description(item)))))
        return DONE

    def text(style: Style) -> str:
        if not found:
            folder = home_short(paths.jobs_dir, paths.home)
            return f"no jobs yet; put a file into {folder} or see `zdefer help`"
        rows = [
            _cells(item, last.get(item.id), item.id in disabled, call.now, style)
            for item in found.values()
        ]
        notes = list(_refusals(found.values()))
        if loaded.problems:
            notes.append(f"{tally(loaded.problems, paths)}; zdeferctl check")
        lines = marked(style.paint("!", "red"), notes, call.columns, paths.home)
        return "\n".join([_table(rows, call.columns, style), *([""] if lines else []), *lines])

    documents = [
        _document(item, last.get(item.id)) | {"enabled": item.id not in disabled}
        for item in found.values()
    ]
    return call.answer({"jobs": documents, "problems": [str(p) for p in loaded.problems]}, text)


def _description(item: Declared) -> str:
    return printable(item.job.description) if item.job else "refused"


def _document(item: Declared, last: RunRow | None) -> dict[str, object]:
    from ..view.jobs import document

    unknown: dict[str, object] = {"job": item.id, "source": item.source}
    made = document(item.job) if item.job else unknown
    return made | {
        "refused": item.refused,
        "declared_at_s": item.declared_at,
        "last_run": None if last is None else run_document(last),
    }


def _cells(item: Declared, last: RunRow | None, off: bool, now: float, style: Style) -> list[str]:
    job = item.job
    return [
        style.bold(printable(item.id)),
        _on(item, off, style),
        str(job.once_per) if job else "",
        printable(os.path.basename(item.source).removesuffix(".toml")),
        last_words(last, now, style),
        printable(job.description) if job else "",
    ]


def _on(item: Declared, off: bool, style: Style) -> str:
    if item.job is None:
        return style.paint("refused", "red")
    return style.paint("disabled", "yellow") if off else ", ".join(item.job.on)


def _table(rows: list[list[str]], columns: int | None, style: Style) -> str:
    """Return the table; descriptions are cut to the width of the terminal."""
    made = table(_HEADS[:-1], [row[:-1] for row in rows], style)
    room = (columns or 1000) - max(map(width, made.splitlines())) - 2
    if room < len(_HEADS[-1]) or not any(row[-1] for row in rows):
        return made
    return table(_HEADS, [[*row[:-1], cut(row[-1], room)] for row in rows], style)


def _refusals(items: Iterable[Declared]) -> Iterator[str]:
    """Yield a note for each refused declaration of a shell."""
    for item in items:
        if item.refused and item.job:
            yield f"{item.id} of a shell is refused: {item.refused}"
        elif item.refused and item.source == "shell":
            yield f"{item.id} is refused: {item.refused}"
