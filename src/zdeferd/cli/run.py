"""Run a job now, whatever its scope says, and wait for its end.

The run gets a claim of its own, so the job's next turn by itself is not spent. It
runs in the daemon, with this shell's environment cut to the allow-list; Ctrl-C ends
the waiting, not the run. The exit code is 0 where the job succeeded, else 1.

Examples:

zdeferctl run updates-waiting

zdeferctl run updates-waiting --no-wait
"""

from __future__ import annotations

import os
import time

from ..errors import NoDaemon, RequestRefused
from ..jobs.environment import cut_env
from ..ledger.reading import reading
from ..view.jobs import declared
from ..view.render import Style, clock, duration, home_short, kib
from ..view.runs import cpu_ms, document, wall_ms, word
from ..view.target import find_run, job_id
from ..view.where import find_paths
from ..wire import control
from ..wire.client import Client
from .codes import DONE, INTERRUPTED, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..ledger.reading import RunRow
    from ..machine.paths import Paths
    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the job and --no-wait."""
    parser.add_argument("job", metavar="JOB", type=job_id, help="its id, as `jobs` lists it")
    parser.add_argument("--no-wait", action="store_true", help="say the run's number and leave")


def perform(call: Call) -> int:
    """Claim a run, wait for its end and print it; -> 0 where it succeeded, else 1."""
    paths = find_paths(call.env)
    with Client(paths.socket) as client:
        claimed = _claim(client, call, paths)
        assert isinstance(claimed, control.RunClaimed)
        return follow(call, client, claimed, call.args.job)


def follow(call: Call, client: Client, claimed: control.RunClaimed, job: str) -> int:
    """Wait for the end of a claimed run, unless --no-wait, and print it; -> the exit code."""
    paths, run = find_paths(call.env), claimed.run
    if claimed.ledger:  # the daemon's state folder need not be the one of this shell
        paths = paths._replace(ledger=os.fsdecode(claimed.ledger))
    if call.args.no_wait:
        document = {"run": {"run": run, "job": job}}
        return call.answer(document, lambda _: f"run {run} of {job} is queued")
    try:
        client.ask(control.AwaitRun(run=run), None, _progress(call, paths, run))
    except (NoDaemon, RequestRefused):  # it died, or it is leaving
        raise NoDaemon(f"the daemon has gone: run {run} goes on", _later(run)) from None
    except KeyboardInterrupt:
        call.failed(f"no longer waiting: run {run} goes on; {_later(run)}", INTERRUPTED)
        return INTERRUPTED
    return tell(call, paths, run)


def _claim(client: Client, call: Call, paths: Paths) -> control.Reply:
    """Return the daemon's claim; RequestRefused says why a refused job is not known to it."""
    job = call.args.job
    try:
        return client.ask(control.RunJob(job=job, env=cut_env(call.env)))
    except RequestRefused:
        with reading(paths.ledger) as view:
            item = declared(view, paths)[0].get(job)
        if item is None or item.job or not item.refused:
            raise
        why = home_short(item.refused, paths.home)
        raise RequestRefused(f"job is refused: {job}: {why}", "mend it first") from None


def _progress(call: Call, paths: Paths, run: int) -> Callable[[], None] | None:
    """Return a function that keeps one line up to date; None: no terminal shows it."""
    if not call.watched:
        return None

    def show() -> None:
        with reading(paths.ledger) as view:
            row = view.run(run)
        if row is None or row["ended_at"] is not None:
            return
        age = duration(wall_ms(row, time.time()))
        call.live(f"run {run} of {row['job']}: {word(row)} {age}  (Ctrl-C leaves it running)")

    return show


def _later(run: int) -> str:
    return f"see `zdeferctl show {run}`, end it with `zdeferctl cancel {run}`"


# --- how it ended --------------------------------------------------------------


def tell(call: Call, paths: Paths, run: int) -> int:
    """Print a run that has ended, with its cost; -> 0 where it succeeded, else 1."""
    with reading(paths.ledger) as view:
        row = find_run(view, run)
        again = next((one for one in view.live_runs() if one["retry_of"] == run), None)
    code = DONE if row["outcome"] == "succeeded" else NO
    return call.answer(
        {"run": document(row)}, lambda style: _line(row, style) + _again(again, call.now), code
    )


def _again(row: RunRow | None, now: float) -> str:
    """Return a line that says when the job is tried again; empty: it is not."""
    if row is None:
        return ""
    return f"\ntried again at {clock(row['retry_at'], now)} as run {row['id']}"


def _line(row: RunRow, style: Style) -> str:
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
