"""Add a row to PERFORMANCE_LOG.md, show its table, or check that no row was edited.

Rows are only added: a row that was edited, moved or removed since is refused, and nothing is
written. A correction is a new row whose notes name the old. Examples:

zdeferctl perf log add --type refactor --scope plugins --sync -12 --notes "compinit -C"

zdeferctl perf log check
"""

from __future__ import annotations

from ...errors import ZdeferdError
from ...perf import evidence, logbook
from ...view.render import Style, count, table
from .logfile import add_row, known_rows, log_path, read_log
from .shared import add_folder, answer, folder_of, locked, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..call import Call

ACTIONS = ("add", "show", "check")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to do and the cells of a row."""
    add = parser.add_argument
    add("action", choices=ACTIONS, help="add a row, show the table, or check it for edits")
    add("--type", choices=logbook.TYPES, metavar="T", help=", ".join(logbook.TYPES))
    add("--scope", metavar="S", help="what was changed")
    add("--sync", metavar="MS", default="0", help="what it adds before the prompt (0)")
    add("--deferred", metavar="MS", default=logbook.NONE, help="what it adds after the prompt")
    add("--total", type=number, metavar="MS", help="the new total; else the last run's")
    add("--rsd", type=number, metavar="PCT", help="its spread; else the last run's")
    add("--baseline", metavar="REF", help="the baseline; else the date of prompt_ready's")
    add("--status", choices=logbook.STATUSES, help="else the last run's")
    add("--notes", metavar="TEXT", default="", help="why")
    add("--log", metavar="FILE", help="another log than the evidence folder's")
    add_folder(parser)


def perform(call: Call) -> int:
    """Do what was asked; -> 0."""
    if call.args.action == "add":
        return _add(call)
    path, folder = log_path(call), folder_of(call)
    found = logbook.rows(read_log(path))
    if call.args.action == "show":
        documents = [logbook.as_document(row) for row in found]
        return answer(call, {"rows": documents}, lambda style: _text(documents, style))
    logbook.check(found, known_rows(evidence.load_state(folder), folder, path), path)
    said = f"{path}: {count(len(found), 'row')}, none edited"
    return answer(call, {"log": path, "rows": len(found)}, lambda _: said)


def _add(call: Call) -> int:
    args = call.args
    if not args.type or not logbook.cell(args.scope or ""):
        raise ZdeferdError("a row needs --type and --scope")
    values = {
        "type": args.type,
        "scope": args.scope,
        "sync": args.sync,
        "notes": args.notes,
        "deferred": args.deferred,
        "total": None if args.total is None else logbook.total(args.total),
        "rsd": None if args.rsd is None else logbook.spread(args.rsd),
        "baseline_ref": args.baseline,
        "status": args.status,
    }
    given = {key: value for key, value in values.items() if value is not None}
    with locked(call):
        folder = folder_of(call)
        state = add_row(call, evidence.load_state(folder), given)
        evidence.save_state(folder, state)
    row = logbook.rows(read_log(log_path(call)))[-1]
    return answer(call, logbook.as_document(row), lambda _: row)


def _text(documents: list[dict[str, str]], style: Style) -> str:
    if not documents:
        return "no rows yet"
    heads = [head.strip() for head in logbook.HEADER.strip("|").split("|")]
    return table(heads, [list(one.values()) for one in documents], style)
