"""Run jobs now, whatever their scopes say, show what they write, and wait for their ends.

Each run gets a claim of its own, so the job's next turn by itself is not spent. It
runs in the daemon, with this shell's environment cut to the allow-list; Ctrl-C ends
the waiting, not the run. Several jobs run in the order given, and their outputs are shown one
after the other. With --json the outputs are not shown. The exit code is 0 where each job
succeeded, else 1.

Examples:

zdeferctl run updates-waiting

zdeferctl run history-backup plugin-zcompile

zdeferctl run updates-waiting --no-wait
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from ..errors import NoDaemon, RequestRefused
from ..jobs.environment import cut_env
from ..view.render import Style, clock, duration, kib
from ..view.runs import cpu_ms, document, wall_ms, word
from ..view.target import find_run, job_id, told_why
from ..view.where import find_paths
from .codes import DONE, INTERRUPTED, NO
from .stream import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from ..ledger.reading import RunRow
    from ..machine.paths import Paths
    from ..view.render import Document
    from ..wire import control
    from ..wire.client import Client
    from .call import Call

LANE = "postprompt"
"""The lane of each run that is asked for by hand, as `rules.schedule.lane` has it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the jobs, --quiet and --no-wait."""
    parser.add_argument(
        "jobs", metavar="JOB", nargs="+", type=job_id, help="its id, as `jobs` lists it"
    )
    how_to_wait(parser)


def how_to_wait(parser: argparse.ArgumentParser) -> None:
    """Add --quiet and --no-wait."""
    add = parser.add_argument
    add("-q", "--quiet", action="store_true", help="do not show what it writes")
    add("--no-wait", action="store_true", help="say the run's number and leave")


def perform(call: Call) -> int:
    """Claim the runs, wait for their ends and print them; -> 0 where all succeeded, else 1."""
    from ..wire import control
    from ..wire.client import Client

    paths = find_paths(call.env)
    claims: list[Claim] = []
    with Client(paths.socket) as client:
        for job in call.args.jobs:
            try:
                claimed = _claim(client, call, paths, job)
            except RequestRefused as error:
                if not claims:
                    raise
                raise RequestRefused(f"{error.found}; {_go_on(claims)}", error.remedy) from None
            except KeyboardInterrupt:
                return _leave(call, claims)
            assert isinstance(claimed, control.RunClaimed)
            claims.append(Claim(job, claimed.run, claimed.ledger))
        return follow(call, client, claims)


class Claim(NamedTuple):
    """A run that a request made."""

    job: str
    run: int
    ledger: bytes
    """The path of the ledger that has the run; empty: that of this user's paths."""


def follow(call: Call, client: Client, claims: list[Claim]) -> int:
    """Wait for the ends of claimed runs, unless --no-wait, and print them; -> the exit code."""
    left = list(claims)
    try:
        _warn_paused(call, claims)
        if call.args.no_wait:
            return _queued(call, claims)
        rows = _ends(call, client, left)
    except KeyboardInterrupt:
        return _leave(call, left)
    code = DONE if all(row["outcome"] == "succeeded" for row in rows) else NO
    if call.args.json:
        call.answer(_documents([document(row) for row in rows]), str)
    return code


def _ends(call: Call, client: Client, left: list[Claim]) -> list[RunRow]:
    """Wait for the end of each run and print it; each is taken out of `left` then."""
    rows: list[RunRow] = []
    while left:
        paths = _paths_of(left[0], find_paths(call.env))
        try:
            _await(call, client, paths, left[0])
        except (NoDaemon, RequestRefused):  # it died, or it is leaving
            raise NoDaemon(f"the daemon has gone: {_go_on(left)}", _later(left)) from None
        rows.append(tell(call, paths, left[0].run))
        del left[0]
    return rows


def _leave(call: Call, left: list[Claim]) -> int:
    """Print which runs go on after Ctrl-C; -> the exit code."""
    if not left:
        raise KeyboardInterrupt
    return call.failed(f"no longer waiting: {_go_on(left)}; {_later(left)}", INTERRUPTED)


def _warn_paused(call: Call, claims: list[Claim]) -> None:
    """Print why the runs do not start, where their lane is paused."""
    from ..ledger.reading import reading

    with reading(_paths_of(claims[0], find_paths(call.env)).ledger) as view:
        if LANE in view.paused():
            call.warn(f"{LANE} lane is paused: {_waits(claims)}; zdeferctl resume {LANE}")


def _paths_of(claim: Claim, paths: Paths) -> Paths:
    """Return the paths with the run: the daemon's state folder need not be this shell's."""
    ledger = os.fsdecode(claim.ledger) or paths.ledger
    return paths._replace(ledger=ledger, runs=f"{os.path.dirname(ledger)}/runs")


def _await(call: Call, client: Client, paths: Paths, claim: Claim) -> None:
    """Wait for the end of a run, and show its output as it comes."""
    from ..wire import control

    if call.args.json or call.args.quiet:
        client.ask(control.AwaitRun(run=claim.run), None, _progress(call, paths, claim.run))
        return
    tail = Tail(f"{paths.runs}/{claim.run}", call)
    try:
        tick = _progress(call, paths, claim.run, tail)
        client.ask(control.AwaitRun(run=claim.run), None, tick, tail)
    finally:
        tail.close()


def _queued(call: Call, claims: list[Claim]) -> int:
    runs = [{"run": claim.run, "job": claim.job} for claim in claims]
    said = "\n".join(f"run {claim.run} of {claim.job} is queued" for claim in claims)
    return call.answer(_documents(runs), lambda _: said)


def _documents(runs: Sequence[Document]) -> Document:
    """Return the runs; one alone also under `run`."""
    return {"run": runs[0], "runs": runs} if len(runs) == 1 else {"runs": runs}


def _go_on(claims: list[Claim]) -> str:
    numbers = ", ".join(str(claim.run) for claim in claims)
    return f"run {numbers} goes on" if len(claims) == 1 else f"runs {numbers} go on"


def _waits(claims: list[Claim]) -> str:
    numbers = ", ".join(str(claim.run) for claim in claims)
    return f"run {numbers} waits" if len(claims) == 1 else f"runs {numbers} wait"


def _later(claims: list[Claim]) -> str:
    numbers = " ".join(str(claim.run) for claim in claims)
    if len(claims) == 1:
        return f"see `zdeferctl show {numbers}`, end it with `zdeferctl cancel {numbers}`"
    return f"see `zdeferctl status`, end them with `zdeferctl cancel {numbers}`"


def _claim(client: Client, call: Call, paths: Paths, job: str) -> control.Reply:
    """Return the daemon's claim; RequestRefused says why a refused job is not known to it."""
    from ..ledger.reading import reading
    from ..wire import control

    try:
        return client.ask(control.run_job(job, cut_env(call.env)))
    except RequestRefused as error:
        with reading(paths.ledger) as view:
            raise told_why(error, view, paths, job) from None


def _progress(
    call: Call, paths: Paths, run: int, tail: Tail | None = None
) -> Callable[[], None] | None:
    """Return a function that keeps one line up to date; None: no terminal shows it."""
    if not call.watched:
        return None

    def show() -> None:
        from ..ledger.reading import reading

        if tail is not None and tail.is_line_open:
            return
        with reading(paths.ledger) as view:
            row = view.run(run)
        if row is None or row["ended_at"] is not None:
            return
        age = duration(wall_ms(row, time.time()))
        call.live(f"run {run} of {row['job']}: {word(row)} {age}  (Ctrl-C leaves it running)")

    return show


# --- how it ended --------------------------------------------------------------


def tell(call: Call, paths: Paths, run: int) -> RunRow:
    """Return a run that has ended, and print it with its cost, unless --json."""
    from ..ledger.reading import reading

    with reading(paths.ledger) as view:
        row = find_run(view, run)
        again = next((one for one in view.live_runs() if one["retry_of"] == run), None)
    if not call.args.json:
        call.answer({}, lambda style: _line(row, style) + _again(again, call.now))
    return row


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
