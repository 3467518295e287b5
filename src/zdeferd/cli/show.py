"""Show all that is known of one run: what it runs, times, outcome, cost, where its output is.

Peak memory is of the largest single process and has a floor of the runner's own
size (about 10 MiB). Block counts are units of 512 bytes that reached a device.

Examples:

zdeferctl show updates-waiting

zdeferctl show 26
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..view.live import as_found, cost_document, live_cost
from ..view.render import Style, clock, count, duration, fields, home_short, kib, octets, printable
from ..view.runs import document, notes, wall_ms, word
from ..view.target import latest_run, run_or_job
from ..view.where import find_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..ledger.reading import RunRow, View
    from ..machine.paths import Paths
    from ..machine.processes import LiveCost
    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the run or the job."""
    parser.add_argument(
        "target", metavar="RUN|JOB", type=run_or_job, help="a run's number, or a job: its newest"
    )


def perform(call: Call) -> int:
    """Print the run; -> 0, or 1 where there is none."""
    from ..ledger.reading import reading

    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        row = as_found([latest_run(view, paths, call.args.target)], paths)[0]
        ran = _definition(view, paths, row)
    output = f"{paths.runs}/{row['id']}/output"
    cost = live_cost(row, paths)
    found = document(row) | {
        "command": ran.command,
        "timeout_s": ran.timeout_s,
        "live_cost": cost_document(cost),
        "output_path": output if os.path.exists(output) else None,
    }

    def text(style: Style) -> str:
        pairs = [
            *_pairs(row, call.now, style),
            *_defined(ran),
            *_cost(row, call.now),
            *_so_far(cost),
        ]
        if found["output_path"]:
            pairs.append(("output", _output(row, printable(home_short(output, paths.home)))))
        made = [fields(pairs, style), *notes([row])]
        if found["output_path"] and row["outcome"] in ("failed", "timed_out", "abandoned"):
            made.append(f"its output: zdeferctl log {row['id']}")
        return "\n".join(made)

    return call.answer({"run": found}, text)


class Ran(NamedTuple):
    """The command of a run, as it was at the claim."""

    command: str | None
    """None: it is not known any more."""
    timeout_s: float
    is_default: bool
    """The limit is that of the settings, as they are now."""


def _definition(view: View, paths: Paths, row: RunRow) -> Ran:
    import json

    from ..jobs.files import load

    settings = load(paths).settings
    kept = view.ran(row["id"])
    limit, text = kept.get("timeout_s"), kept.get("command")
    command = None if text is None else str(json.loads(text))
    return Ran(command, limit or settings.default_timeout_s, limit is None)


def _defined(ran: Ran) -> list[tuple[str, str]]:
    if ran.command is None:
        return [("command", "not known: it was claimed by an older zdeferd")]
    default = " (the default, as set now)" if ran.is_default else ""
    limit = duration(ran.timeout_s * 1000)
    return [("command", printable(ran.command)), ("time limit", limit + default)]


def _trigger(row: RunRow) -> str:
    """Return the event that claimed the run; the key of one that was asked for says so."""
    return "zdeferctl run" if row["key"].startswith("run:") else str(row["trigger"])


def _pairs(row: RunRow, now: float, style: Style) -> list[tuple[str, str]]:
    rc = "" if row["rc"] is None else f", rc {row['rc']}"
    return [
        ("run", str(row["id"])),
        ("job", style.bold(row["job"])),
        ("state", style.state(word(row)) + rc),
        ("scope key", row["key"]),
        ("trigger", _trigger(row)),
        ("shell", row["shell"]),
        ("after", row["after"]),
        ("retry", _retry(row, now)),
        ("refused", printable(row["refusal"] or "")),
        ("attempt", f"{row['attempt']} of {row['attempts']}" if row["attempts"] > 1 else ""),
        ("queued", clock(row["claimed_at"], now)),
        ("started", clock(row["started_at"] or row["dispatched_at"], now)),
        ("ended", clock(row["ended_at"], now)),
    ]


def _retry(row: RunRow, now: float) -> str:
    """Return which retry it is, of which run, and when it starts; empty: it is none."""
    if row["retry_of"] is None:
        return ""
    number = f"number {row['retry']}, " if row["retry"] else ""
    waits = row["state"] == "claimed" and row["retry_at"] > now
    return f"{number}of run {row['retry_of']}" + f", at {clock(row['retry_at'], now)}" * waits


def _cost(row: RunRow, now: float) -> list[tuple[str, str]]:
    pairs = [("wall", duration(wall_ms(row, now)))]
    if row["started_at"] is None or row["ended_at"] is None:
        return pairs
    return [
        *pairs,
        ("cpu", f"{duration(row['cpu_user_ms'])} user, {duration(row['cpu_system_ms'])} system"),
        ("peak memory", kib(row["max_rss_kib"])),
        ("block io", f"{_blocks(row['block_in'])} in, {_blocks(row['block_out'])} out"),
        ("behind", _behind(row["ended_behind"])),
        ("switches", f"{row['switches_voluntary']} voluntary, {row['switches_involuntary']} not"),
    ]


def _behind(number: int | None) -> str:
    """Return how many processes were ended behind the main process; empty: none."""
    return f"{count(number, 'process', 'processes')} ended" if number else ""


def _so_far(cost: LiveCost | None) -> list[tuple[str, str]]:
    if cost is None:
        return []
    used = f"cpu {duration(cost.cpu_s * 1000)}, memory {octets(cost.memory_bytes)}"
    return [("so far", f"{used}, {count(cost.processes, 'process', 'processes')}")]


def _output(row: RunRow, path: str) -> str:
    size = octets(row["output_bytes"]) if row["output_bytes"] is not None else "so far"
    dropped = row["output_dropped_bytes"]
    cut = f", {count(dropped, 'byte')} dropped" if dropped else ""
    return f"{path} ({size}{cut})"


def _blocks(number: int | None) -> str:
    return octets((number or 0) * 512)
