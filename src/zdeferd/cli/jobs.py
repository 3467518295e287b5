"""List every job that files and shells have declared, and how its last run ended.

A job of a shell is known from its first declaration on. `zdeferctl why JOB` says
what a job waits for.
"""

from __future__ import annotations

import os

from ..render import Style, printable, table
from ..view import reading
from . import DONE
from .declared import Declared, declared, document
from .rows import document as run_document
from .rows import last_words
from .standing import as_found
from .where import find_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call, Document

_HEADS = ("JOB", "ON", "ONCE PER", "FROM", "LAST RUN", "DESCRIPTION")


def configure(parser: argparse.ArgumentParser) -> None:
    """No options that people need."""
    from argparse import SUPPRESS

    parser.add_argument("--ids", action="store_true", help=SUPPRESS)


def perform(call: Call) -> int:
    """Print the jobs; -> 0."""
    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        found, loaded = declared(view, paths)
        last = {row["job"]: row for row in as_found(view.last_runs().values(), paths)}
    if call.args.ids:
        for item in found.values():
            print(f"{item.id}:{_description(item)}")
        return DONE

    def text(style: Style) -> str:
        if not found:
            return f"no jobs yet; put a file into {paths.jobs_dir} or see `zdefer help`"
        rows = [_cells(item, last.get(item.id), call.now, style) for item in found.values()]
        made = table(_HEADS, rows, style)
        if loaded.problems:
            made += f"\n\n{style.paint('!', 'red')} some files are refused: see `zdeferctl check`"
        return made

    documents = [_document(item, last.get(item.id)) for item in found.values()]
    return call.answer({"jobs": documents, "problems": list(loaded.problems)}, text)


def _description(item: Declared) -> str:
    return printable(item.job.description) if item.job else "refused"


def _document(item: Declared, last: Document | None) -> Document:
    made = document(item.job) if item.job else {"job": item.id}
    return made | {
        "refused": item.refused,
        "declared_at_s": item.declared_at,
        "last_run": None if last is None else run_document(last),
    }


def _cells(item: Declared, last: Document | None, now: float, style: Style) -> list[str]:
    job = item.job
    if job is None:
        refused = f"{style.paint('refused', 'red')}: {printable(item.refused or '')}"
        return [style.bold(item.id), "", "", "shell", last_words(last, now, style), refused]
    return [
        style.bold(item.id),
        ", ".join(job.on),
        str(job.once_per),
        printable(os.path.basename(job.source)),
        last_words(last, now, style),
        printable(job.description),
    ]
