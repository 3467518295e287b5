"""Shows one job: its declaration, what it waits for, and its runs: `zdeferctl status JOB`."""

from __future__ import annotations

from ..ledger.reading import reading
from ..view.answers import WhyCode
from ..view.facts import gather
from ..view.jobs import declared
from ..view.jobs import document as job_document
from ..view.live import as_found
from ..view.render import Style, fields, home_short, printable, wrapped
from ..view.runs import document as run_document
from ..view.runs import runs_table
from ..view.why import why
from .codes import DONE, NO
from .redraw import redraw
from .stream import open_output, skip_to_last
from .visible import Visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ledger.reading import RunRow
    from ..machine.paths import Paths
    from ..view.jobs import Declared
    from ..view.render import Document
    from .call import Call

RUNS = 5
"""Latest runs that are shown."""
LINES = 10
"""Last lines of output that are shown."""


def perform(call: Call, paths: Paths) -> int:
    """Print the status of a job; -> 0, or 1 for an unknown or refused one."""
    if call.args.watch:
        return redraw(call, paths, lambda: _look(call, paths)[:2])
    return call.answer(*_look(call, paths))


def _look(call: Call, paths: Paths) -> tuple[Document, Callable[[Style], str], int]:
    """Return the document, the text and the exit code."""
    job = call.args.job
    with reading(paths.ledger) as view:
        answer = why(gather(job, call.now, call.env, paths, view))
        item = declared(view, paths)[0].get(job)
        rows = as_found(view.runs(job, limit=RUNS), paths)
    output = _output(paths, rows)
    document = {
        "job": job,
        "declared": job_document(item.job) if item and item.job else None,
        "code": str(answer.code),
        "sentence": answer.sentence,
        "runs": [run_document(row) for row in rows],
        "output": output,
    }

    def text(style: Style) -> str:
        sentence = printable(home_short(answer.sentence, paths.home))
        parts = [wrapped(f"{style.bold(job)} {sentence}", call.columns)]
        parts += ["", fields(_pairs(item, paths.home), style)] if item and item.job else []
        parts += ["", runs_table(rows, call.now, style)] if rows else []
        parts += ["", output] if output else []
        return "\n".join(parts)

    refused = answer.code in (WhyCode.UNKNOWN, WhyCode.REFUSED)
    return document, text, NO if refused else DONE


def _pairs(item: Declared, home: str) -> list[tuple[str, str]]:
    job = item.job
    assert job is not None
    return [
        ("about", printable(job.description)),
        ("from", printable(home_short(item.source, home))),
        ("on", ", ".join(job.on)),
        ("once per", str(job.once_per)),
        ("after", ", ".join(job.after)),
        ("output", printable(home_short(job.output, home))),
    ]


def _output(paths: Paths, rows: list[RunRow]) -> str:
    """Return the last lines that the latest started run wrote, with marks for what is no text."""
    started = next((row for row in rows if row["dispatched_at"] is not None), None)
    if started is None:
        return ""
    try:
        with open_output(f"{paths.runs}/{started['id']}/output") as file:
            skip_to_last(file, LINES)
            return Visible().text(file.read(), final=True).rstrip("\n")
    except OSError:  # no file of ours
        return ""
