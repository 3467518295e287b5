"""Judge a run against its baselines: OK, WARN, FAIL, or BASELINE_CREATED where none was.

FILE is a capture, or a log of SEGMENT lines. The first run makes the baselines. Observe mode
exits with 0; enforce mode with 2 for WARN and 3 for FAIL. Examples:

zdeferctl perf classify --from perf.log

zdeferctl perf classify --from capture.json --goal ci --mode enforce --json-out status.json
"""

from __future__ import annotations

from ...errors import ZdeferdError
from ...perf import classify, evidence, goals, jsontext, reading
from ..codes import NO
from .capture import add_starts
from .shared import add_folder, answer, folder_of, locked, name, names, utc, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from typing import Any

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
    add("--json-out", metavar="FILE", help="write the status document to FILE")
    add("--no-record", action="store_true", help="count no run, make no baseline")
    add("--quiet", action="store_true", help="no lines on standard output")
    add_starts(parser)
    add_folder(parser)


def perform(call: Call) -> int:
    """Judge the run; -> the exit code of the contract."""
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
    metrics = metrics or reading.default_metrics(data.values)
    if is_single:
        return _single(call, data, metrics[0], _rules(call, evidence.load_state(folder_of(call))))
    return _several(call, data, metrics)


def _measured(call: Call) -> Data:
    args = call.args
    if not args.source:
        return _captured(call)
    return reading.read(args.source, (*(args.metrics or ()), args.metric or ""))


def _captured(call: Call) -> Data:
    """Capture cold starts; no data where not one succeeded."""
    from ...perf.starts.capture import NoSample
    from .capture import captured, plan_of

    goal, _ = goals.choose(call.args.goal, call.env.get("GOAL", ""))
    keep = goal.counts and not call.args.no_record
    try:
        document = captured(call, plan_of(call, call.args.runs), keep)
    except NoSample as error:
        call.warn(str(error))
        return reading.Data({})
    return reading.parse_capture(jsontext.layout(document).encode(), "the capture")


def _rules(call: Call, state: evidence.State) -> classify.Rules:
    args = call.args
    goal, warning = goals.choose(args.goal, call.env.get("GOAL", ""))
    if warning:
        call.warn(warning)
    mode = args.mode or (goals.ENFORCE if state.enforcement.active else goals.OBSERVE)
    return classify.Rules(goal, mode, args.warn_threshold, args.fail_threshold, args.robust)


# --- several metrics -----------------------------------------------------------


def _several(call: Call, data: Data, metrics: Sequence[str]) -> int:
    folder = folder_of(call)
    rules = _rules(call, evidence.load_state(folder))
    if not any(name in data.values for name in metrics):
        return _nothing(call, rules)
    if call.args.no_record or not rules.goal.counts:
        return _show(call, *_judged(call, data, metrics, rules, records=False), rules)
    with locked(call):
        verdict, document = _judged(call, data, metrics, rules, records=True)
    return _show(call, verdict, document, rules)


def _judged(
    call: Call, data: Data, metrics: Sequence[str], rules: classify.Rules, records: bool
) -> tuple[classify.Verdict, dict[str, Any]]:
    """Judge, and with `records` count the run and make its baselines; -> the document too."""
    folder = folder_of(call)
    paths = {name: f"{folder}/{evidence.baseline_file(name)}" for name in metrics}
    verdict = classify.judge(data, metrics, _baselines(paths), _making(rules, records))
    state = evidence.load_state(folder)
    if records:
        state = evidence.counted(state, verdict.overall)
    standing = classify.Standing(folder, state.streak, state.longest, state.enforcement.active)
    runs = data.samples or max(map(len, (one.values for one in verdict.judged)))
    document = classify.status_document(verdict, rules, runs, standing, utc(call.now))
    if records:
        _make_baselines(verdict, paths, document)
        seen = {"segments": list(data.labels), "synthetic": data.synthetic}
        evidence.save_state(folder, evidence.remember(state, document | seen))
    return verdict, document


def _making(rules: classify.Rules, records: bool) -> classify.Rules:
    """Return the rules, with a goal that makes no baselines where nothing is recorded."""
    return rules if records else rules._replace(goal=rules.goal._replace(makes_baselines=False))


def _baselines(paths: Mapping[str, str]) -> dict[str, classify.Baseline]:
    found = {name: evidence.load_baseline(path, name) for name, path in paths.items()}
    return {name: one for name, one in found.items() if one}


def _make_baselines(
    verdict: classify.Verdict, paths: Mapping[str, str], document: Mapping[str, Any]
) -> None:
    for one in verdict.judged:
        if one.status == classify.CREATED:
            run = document["metrics"][f"{one.metric}_ms"]
            text = evidence.baseline_text(one.metric, run, document["generated_at"])
            evidence.write_whole(paths[one.metric], text)


def _show(
    call: Call, verdict: classify.Verdict, document: Mapping[str, Any], rules: classify.Rules
) -> int:
    lines = [classify.line(one, rules) for one in verdict.judged]
    lines.append(classify.overall_line(verdict))
    code = goals.exit_code(rules.goal, rules.mode, verdict.overall)
    return _finish(call, lines, document, code)


# --- one metric ----------------------------------------------------------------


def _single(call: Call, data: Data, metric: str, rules: classify.Rules) -> int:
    if metric not in data.values:
        return _nothing(call, rules)
    records = not call.args.no_record and rules.goal.counts
    path = call.args.baseline or f"{folder_of(call)}/{evidence.SINGLE_BASELINE}"
    if not records:
        return _show_single(call, data, metric, rules, path, records=False)
    with locked(call):
        return _show_single(call, data, metric, rules, path, records=True)


def _show_single(
    call: Call, data: Data, metric: str, rules: classify.Rules, path: str, records: bool
) -> int:
    found = _baselines({metric: path})
    verdict = classify.judge(data, (metric,), found, _making(rules, records))
    document = classify.single_document(verdict, rules, path, utc(call.now))
    (one,) = verdict.judged
    if one.status == classify.CREATED:
        evidence.write_whole(path, evidence.baseline_text(metric, document, utc(call.now)))
    code = goals.exit_code(rules.goal, rules.mode, verdict.overall)
    return _finish(call, [classify.line(one, rules)], document, code)


# --- output --------------------------------------------------------------------


def _nothing(call: Call, rules: classify.Rules) -> int:
    document = classify.error_document(rules, utc(call.now))
    _write_out(call, document)
    if call.args.json:
        return answer(call, document, lambda _style: "", NO)
    raise ZdeferdError(
        f"nothing measured: {call.args.source or 'cold starts'}: no value of these metrics",
        "--metrics names others",
    )


def _finish(call: Call, lines: list[str], document: Mapping[str, Any], code: int) -> int:
    _write_out(call, document)
    shown = "" if call.args.quiet else "\n".join(lines)
    return answer(call, document, lambda _style: shown, code)


def _write_out(call: Call, document: Mapping[str, Any]) -> None:
    if path := call.args.json_out:
        evidence.write_whole(path, jsontext.layout(document))
