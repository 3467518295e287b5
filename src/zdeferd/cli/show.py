"""Show all that is known of one run: times, outcome, cost, where its output is.

Peak memory is of the largest single process and has a floor of the runner's own
size (about 10 MiB). Block counts are units of 512 bytes that reached a device.
"""

from __future__ import annotations

import os

from ..render import Style, clock, count, duration, fields, home_short, kib, octets, printable
from ..view import reading
from .rows import document, notes, wall_ms, word
from .standing import as_found
from .target import find_run, run_number
from .where import find_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call, Document


def configure(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    parser.add_argument(
        "run", metavar="RUN", type=run_number, help="its number, as `runs` lists it"
    )


def perform(call: Call) -> int:
    """Print the run; -> 0, or 1 where there is none."""
    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        row = as_found([find_run(view, call.args.run)], paths)[0]
    output = f"{paths.runs}/{row['id']}/output"
    found = document(row) | {"output_path": output if os.path.exists(output) else None}

    def text(style: Style) -> str:
        pairs = _pairs(row, call.now, style) + _cost(row, call.now)
        if found["output_path"]:
            pairs.append(("output", _output(row, printable(home_short(output, paths.home)))))
        return "\n".join([fields(pairs, style), *notes([row])])

    return call.answer({"run": found}, text)


def _pairs(row: Document, now: float, style: Style) -> list[tuple[str, str]]:
    rc = "" if row["rc"] is None else f", rc {row['rc']}"
    return [
        ("run", str(row["id"])),
        ("job", style.bold(row["job"])),
        ("state", style.state(word(row)) + rc),
        ("scope key", row["key"]),
        ("trigger", row["trigger"] if row["batch"] is not None else "zdeferctl run"),
        ("shell", row["shell"]),
        ("after", row["after"]),
        ("attempt", f"{row['attempt']} of {row['attempts']}" if row["attempts"] > 1 else ""),
        ("claimed", clock(row["claimed_at"], now)),
        ("dispatched", clock(row["dispatched_at"], now)),
        ("started", clock(row["started_at"], now)),
        ("ended", clock(row["ended_at"], now)),
    ]


def _cost(row: Document, now: float) -> list[tuple[str, str]]:
    pairs = [("wall", duration(wall_ms(row, now)))]
    if row["started_at"] is None or row["ended_at"] is None:
        return pairs
    return [
        *pairs,
        ("cpu", f"{duration(row['cpu_user_ms'])} user, {duration(row['cpu_system_ms'])} system"),
        ("peak memory", kib(row["max_rss_kib"])),
        ("block io", f"{octets(row['block_in'] * 512)} in, {octets(row['block_out'] * 512)} out"),
        ("switches", f"{row['switches_voluntary']} voluntary, {row['switches_involuntary']} not"),
    ]


def _output(row: Document, path: str) -> str:
    size = octets(row["output_bytes"]) if row["output_bytes"] is not None else "so far"
    dropped = row["output_dropped_bytes"]
    cut = f", {count(dropped, 'byte')} dropped" if dropped else ""
    return f"{path} ({size}{cut})"
