"""Judge a run against its baselines: OK, WARN, FAIL, or BASELINE_CREATED where none was.

FILE is a capture, or a log of SEGMENT lines. The first run makes the baselines. Observe mode
exits with 0; enforce mode with 2 for WARN and 3 for FAIL. Examples:

zdeferctl perf classify --from perf.log

zdeferctl perf classify --from capture.json --goal ci --mode enforce --json-out status.json
"""

from __future__ import annotations

from ...errors import ZdeferdError
from ...perf import goals
from ..parsers import whole
from .capture import add_starts
from .shared import add_folder, name, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ...perf.reading import Data
    from ..call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to judge, by which rules, and where the evidence is."""
    add = parser.add_argument
    add("--runs", type=whole(1), default=5, metavar="N", help="cold starts to measure (5)")
    add("--from", dest="source", metavar="FILE", help="a capture or a log, in place of measuring")
    add("--metrics", type=names, metavar="LIST", help="what to judge")
    add("--metric", type=name, metavar="NAME", help="one metric, in the older format")
    add("--baseline", metavar="FILE", help="its baseline (perf-baseline.json)")
    add("--mode", choices=goals.MODES, help="observe, or enforce: exit 2 on WARN, 3 on FAIL")
    add("--goal", metavar="GOAL", help=f"{', '.join(goals.GOALS)}; else $GOAL")
    add("--warn-threshold", type=whole(0), default=10, metavar="PCT", help="WARN above this (10)")
    add("--fail-threshold", type=whole(0), default=25, metavar="PCT", help="FAIL above this (25)")
    add("--robust", action="store_true", help="compare medians; judge by the 95 %% interval")
    add("--json-out", metavar="FILE", help="write the status document to FILE; -: print it")
    add("--no-record", action="store_true", help="count no run, make no baseline")
    add("--quiet", action="store_true", help="no lines on standard output")
    add_starts(parser)
    add_folder(parser)


def perform(call: Call) -> int:
    """Judge the run; -> the exit code of the contract."""
    from ...perf.reading import default_metrics
    from . import judging

    args = call.args
    if args.warn_threshold >= args.fail_threshold:
        raise ZdeferdError(
            f"the warn threshold is not below the fail threshold: {args.warn_threshold},"
            f" {args.fail_threshold}"
        )
    is_single = args.metric is not None or args.baseline is not None
    if is_single and args.metrics:
        raise ZdeferdError("--metrics does not go with --metric and --baseline", "use one of them")
    data = _measured(call)
    metrics = args.metrics or ((args.metric,) if args.metric else ())
    metrics = metrics or default_metrics(data.values)
    if is_single:
        return judging.single(call, data, metrics[0])
    return judging.several(call, data, metrics)


def _measured(call: Call) -> Data:
    from ...perf.reading import read

    args = call.args
    if not args.source:
        return _captured(call)
    return read(args.source, (*(args.metrics or ()), args.metric or ""))


def _captured(call: Call) -> Data:
    """Capture cold starts; no data where not one succeeded."""
    from ...perf.jsontext import layout
    from ...perf.reading import Data, parse_capture
    from ...perf.starts.capture import NoSample
    from .capture import captured, plan_of

    goal, _ = goals.choose(call.args.goal, call.env.get("GOAL", ""))
    keep = goal.counts and not call.args.no_record
    try:
        document = captured(call, plan_of(call, call.args.runs), keep)
    except NoSample as error:
        call.warn(str(error))
        return Data({})
    return parse_capture(layout(document).encode(), "the capture")
