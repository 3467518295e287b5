"""Measure cold starts of zsh: each a new interactive shell in a terminal of its own.

Your configuration is not changed. A start that shows no prompt in time is tried again, then left
out and counted. The capture is kept in the evidence folder, and in --output. Examples:

zdeferctl perf capture -n 10

zdeferctl perf capture --zdotdir ~/.config/zsh-new --output new.json
"""

from __future__ import annotations

import os

from ...view.render import Style, count, table
from ..codes import DONE
from ..ending import interrupted_by_signals
from ..parsers import duration, span, whole
from .shared import add_folder, answer, check_folder, folder_of, locked, utc

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any

    from ...perf.starts.capture import Plan
    from ..call import Call

HEADS = ("METRIC", "MEDIAN", "MEAN", "MIN", "MAX", "P95", "RSD", "VALUES")
RIGHT = frozenset(range(1, 8))
LONGEST = "1h"
"""The longest wait for a prompt."""
SHOWN = ("median", "mean", "min", "max", "p95")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add how many starts, of what, and where the capture goes."""
    add = parser.add_argument
    add("-n", dest="count", type=whole(1), default=5, metavar="N", help="cold starts (5)")
    add("-s", dest="pause", type=duration, default=0.0, metavar="SECONDS", help="between them (0)")
    add("--output", metavar="FILE", help="write the capture to FILE too; -: print it")
    add("--quiet", action="store_true", help="print nothing")
    add("--dry-run", action="store_true", help="only say what would be done")
    add_starts(parser)
    add_folder(parser)


def add_starts(parser: argparse.ArgumentParser) -> None:
    """Add how a shell is started."""
    add = parser.add_argument
    add("--zdotdir", type=existing_folder, metavar="DIR", help="the folder of .zshrc")
    add("--timeout", type=span(LONGEST), default=10.0, metavar="TIME", help="for a prompt (10s)")
    add("--retries", type=whole(0), default=2, metavar="N", help="of a start that failed (2)")
    add("--no-segments", action="store_true", help="no sidecar and no feature telemetry")


def existing_folder(text: str) -> str:
    """Return the name of a folder that is there, for argparse."""
    from argparse import ArgumentTypeError

    if not os.path.isdir(text):
        raise ArgumentTypeError(f"not a folder: {text}")
    return text


def perform(call: Call) -> int:
    """Capture, keep and show; -> 0."""
    from ...perf.jsontext import layout

    plan = plan_of(call, call.args.count)
    if call.args.dry_run:
        return _say(call, plan)
    document = captured(call, plan)
    if (path := call.args.output) and call.put(layout(document), path):
        return DONE
    shown = not call.args.quiet
    return answer(call, document, lambda style: _text(document, style) if shown else "")


def plan_of(call: Call, number: int) -> Plan:
    """Return what to capture, by the options that there are."""
    from ...perf.starts.capture import Plan

    args = call.args
    pause = getattr(args, "pause", 0.0)
    return Plan(number, pause, args.zdotdir or "", args.timeout, args.retries, not args.no_segments)


def captured(call: Call, plan: Plan, keep: bool = True) -> dict[str, Any]:
    """Capture, and keep the document and the sidecar in the evidence folder; -> the document."""
    from ...machine.files import write_whole
    from ...perf import evidence
    from ...perf.jsontext import layout
    from ...perf.starts.capture import capture, document

    if keep:
        check_folder(call)  # before the starts, which take a while
    with interrupted_by_signals():
        found = capture(plan, call.env, call.live)
    made = document(found, plan, utc(call.now))
    if keep:
        folder = folder_of(call)
        with locked(call):
            write_whole(_free_name(folder, call.now), layout(made))
            if found.sidecar:
                write_whole(f"{folder}/{evidence.SIDECAR}", found.sidecar)
    return made


def _free_name(folder: str, now: float) -> str:
    """Return the name of a new capture."""
    stem = f"{folder}/perf-capture-{utc(now).replace(':', '').replace('-', '')}"
    number = 1
    while os.path.lexists(f"{stem}-{number}.json"):
        number += 1
    return f"{stem}-{number}.json"


def _say(call: Call, plan: Plan) -> int:
    from ...perf.starts.capture import environment, find_zsh

    env = environment(call.env, plan.zdotdir, "a private file", plan.segments)
    new = {name: value for name, value in env.items() if call.env.get(name) != value}
    words = f"{find_zsh(call.env)} -i"
    lines = [
        f"would start {count(plan.starts, 'cold start')} of {words}, {plan.limit_s:g} s each",
        *(f"  {name}={value}" for name, value in sorted(new.items())),
        f"would keep the capture in {folder_of(call)}",
    ]
    document = {"count": plan.starts, "command": words, "environment": new}
    return answer(call, document, lambda _: "\n".join(lines))


def _text(document: Mapping[str, Any], style: Style) -> str:
    from ...perf.jsontext import decimals

    rows = [
        [
            name,
            *(decimals(one[key]) for key in SHOWN),
            f"{decimals(one['rsd_pct'])}%",
            str(len(one["values"])),
        ]
        for name, one in document["metrics"].items()
    ]
    shown = table(HEADS, rows, style, RIGHT)
    if document["failed"]:
        failed = f"{document['failed']} of {document['requested']} starts gave no sample"
        shown += f"\n{style.paint(failed, 'yellow')}"
    return shown
