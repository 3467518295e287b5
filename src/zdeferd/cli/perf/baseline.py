"""Show the baselines, check that they can be read, or renew them from the last run.

`reset` keeps the old file beside the new one, with its date, and adds a row to the log. `check`
exits with 2 where one is missing, with 3 where one is invalid. Examples:

zdeferctl perf baseline check

zdeferctl perf baseline reset --reason "new laptop"
"""

from __future__ import annotations

import os

from ...errors import ZdeferdError
from ...machine.files import write_whole
from ...perf import evidence, reading
from ...perf.evidence import BadBaseline, baseline_file, load_baseline
from ...perf.jsontext import decimals
from ...view.render import table
from ..codes import DONE
from .shared import add_folder, answer, day, folder_of, locked, name, utc

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from ..call import Call

ACTIONS = ("show", "check", "reset")
MISSING, INVALID = 2, 3
HEADS = ("METRIC", "MEAN", "MEDIAN", "VALUES", "MADE")
RIGHT = frozenset({1, 2, 3})


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to do, the metrics and the reason."""
    parser.add_argument("action", choices=ACTIONS, help="show, check, or reset to the last run")
    parser.add_argument("metric", nargs="*", type=name, metavar="METRIC", help="only these")
    parser.add_argument("--reason", metavar="TEXT", help="why there is a new baseline, for reset")
    parser.add_argument("--log", metavar="FILE", help="the log that gets the row of reset")
    add_folder(parser)


def perform(call: Call) -> int:
    """Do what was asked; -> the exit code of the contract."""
    if call.args.action == "reset":
        return _reset(call)
    folder = folder_of(call)
    if call.args.action == "check":
        return _check(call, folder, call.args.metric or _expected(folder))
    return _show(call, folder, call.args.metric or evidence.baselines(folder))


def _expected(folder: str) -> list[str]:
    """Return the metrics of the last run and those that have a file."""
    last = evidence.load_state(folder).last
    governed = [reading.bare(key) for key in last["metrics"]] if last else []
    found = [*governed, *(one for one in evidence.baselines(folder) if one not in governed)]
    return found or list(reading.FIRST_CHOICE)


def _show(call: Call, folder: str, metrics: Sequence[str]) -> int:
    documents = [_document(folder, metric) for metric in metrics]
    shown = [one for one in documents if one]
    if not shown:
        raise ZdeferdError(f"no baseline in {folder}", "`zdeferctl perf classify` makes them")
    rows = [
        [
            one["metric"],
            decimals(one["mean_ms"]),
            decimals(one["median_ms"]),
            str(one["runs"]),
            one["created_at"] or "-",
        ]
        for one in shown
    ]
    return answer(call, {"baselines": shown}, lambda style: table(HEADS, rows, style, RIGHT))


def _document(folder: str, metric: str) -> dict[str, Any] | None:
    path = f"{folder}/{baseline_file(metric)}"
    found = load_baseline(path, metric)
    return found and {
        "metric": f"{metric}_ms",
        "mean_ms": float(found.mean_ms),
        "median_ms": float(found.median_ms),
        "runs": len(found.values),
        "created_at": evidence.created_at(path),
    }


def _check(call: Call, folder: str, metrics: Sequence[str]) -> int:
    found = {f"{metric}_ms": _state(folder, metric) for metric in metrics}
    code = max((_CODES[state] for state, _why in found.values()), default=DONE)
    lines = [f"{key}: {state}{why and f': {why}'}" for key, (state, why) in found.items()]
    documents = [{"metric": key, "state": state, "why": why} for key, (state, why) in found.items()]
    return answer(call, {"baselines": documents}, lambda _: "\n".join(lines), code)


_CODES = {"ok": DONE, "missing": MISSING, "invalid": INVALID}


def _state(folder: str, metric: str) -> tuple[str, str]:
    path = f"{folder}/{baseline_file(metric)}"
    try:
        found = load_baseline(path, metric)
    except BadBaseline as error:
        return "invalid", error.found
    return ("ok", "") if found else ("missing", f"no file {path}")


def _reset(call: Call) -> int:
    if not (call.args.reason or "").strip():
        raise ZdeferdError("a new baseline needs --reason")
    from .logfile import add_row

    folder = folder_of(call)
    with locked(call):
        state = evidence.load_state(folder)
        run = state.last
        if run is None:
            raise ZdeferdError(f"no run yet in {folder}", "`zdeferctl perf classify` makes one")
        metrics = call.args.metric or [reading.bare(key) for key in run["metrics"]]
        if unknown := [one for one in metrics if f"{one}_ms" not in run["metrics"]]:
            raise ZdeferdError(f"not in the last run: {unknown[0]}_ms")
        row = {"type": "governance", "scope": "rebaseline", "notes": call.args.reason}
        if "prompt_ready" in metrics:  # the row refers to its baseline, which is made today
            row["baseline_ref"] = f"baseline-{day(call.now)}"
        state = add_row(call, state, row)
        for metric in metrics:
            _renew(call, f"{folder}/{baseline_file(metric)}", metric, run)
        evidence.save_state(folder, state)
    made = [f"{metric}_ms" for metric in metrics]
    return answer(call, {"reset": made}, lambda _: f"new baselines: {' '.join(made)}")


def _renew(call: Call, path: str, metric: str, run: dict[str, Any]) -> None:
    text = evidence.baseline_text(metric, run["metrics"][f"{metric}_ms"], utc(call.now))
    if os.path.lexists(path):
        os.link(path, _free_name(path, evidence.created_at(path)[:10] or day(call.now)))
    write_whole(path, text)


def _free_name(path: str, date: str) -> str:
    """Return the name of an old baseline beside the new one, which nothing has yet."""
    stem = path.removesuffix("-baseline.json")
    made = f"{stem}-baseline.{date}.json"
    number = 1
    while os.path.lexists(made):
        number += 1
        made = f"{stem}-baseline.{date}.{number}.json"
    return made
