"""How the end of a run is told, and turned into an exit code: 0 where it succeeded."""

from __future__ import annotations

from ..ledger.reading import reading
from ..view.render import Style, duration, kib
from ..view.runs import cpu_ms, document
from ..view.target import find_run
from . import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine.paths import Paths
    from .call import Call, Document


def tell(call: Call, paths: Paths, run: int) -> int:
    """Print a run that has ended, with its cost; -> 0 where it succeeded, else 1."""
    with reading(paths.ledger) as view:
        row = find_run(view, run)
    code = DONE if row["outcome"] == "succeeded" else NO
    return call.answer({"run": document(row)}, lambda style: _line(row, style), code)


def _line(row: Document, style: Style) -> str:
    rc = f" (rc {row['rc']})" if row["rc"] else ""
    parts = [f"{style.bold(row['job'])} {style.state(str(row['outcome']))}{rc}"]
    if row["started_at"] is not None:
        parts.append(f"in {duration(row['wall_ms'])}")
    cost = [f"run {row['id']}"]
    if cpu_ms(row) is not None:
        cost += [f"cpu {duration(cpu_ms(row))}", f"peak {kib(row['max_rss_kib'])}"]
    line = " ".join(parts) + style.dim(f"  ({', '.join(cost)})")
    if row["outcome"] == "failed":
        line += f"\nits output: zdeferctl log {row['id']}"
    return line
