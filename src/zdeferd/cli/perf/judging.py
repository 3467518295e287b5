"""Judges a run by the rules of a call, keeps the evidence, and prints the verdict."""

from __future__ import annotations

from ...errors import ZdeferdError
from ...machine.files import write_whole
from ...perf import classify, evidence, goals, jsontext
from ..codes import NO
from .shared import answer, folder_of, locked, utc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ...perf.reading import Data
    from ...perf.samples import Baseline
    from ..call import Call


def _rules(call: Call, state: evidence.State) -> classify.Rules:
    args = call.args
    goal, warning = goals.choose(args.goal, call.env.get("GOAL", ""))
    if warning:
        call.warn(warning)
    mode = args.mode or (goals.ENFORCE if state.enforcement.active else goals.OBSERVE)
    return classify.Rules(goal, mode, args.warn_threshold, args.fail_threshold, args.robust)


# --- several metrics -----------------------------------------------------------


def several(call: Call, data: Data, metrics: Sequence[str]) -> int:
    """Judge these metrics, count the run, and print the verdict; -> the exit code."""
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


def _baselines(paths: Mapping[str, str]) -> dict[str, Baseline]:
    found = {name: evidence.load_baseline(path, name) for name, path in paths.items()}
    return {name: one for name, one in found.items() if one}


def _make_baselines(
    verdict: classify.Verdict, paths: Mapping[str, str], document: Mapping[str, Any]
) -> None:
    for one in verdict.judged:
        if one.status == classify.CREATED:
            run = document["metrics"][f"{one.metric}_ms"]
            text = evidence.baseline_text(one.metric, run, document["generated_at"])
            write_whole(paths[one.metric], text)


def _show(
    call: Call, verdict: classify.Verdict, document: Mapping[str, Any], rules: classify.Rules
) -> int:
    lines = [classify.line(one, rules) for one in verdict.judged]
    lines.append(classify.overall_line(verdict))
    code = goals.exit_code(rules.goal, rules.mode, verdict.overall)
    return _finish(call, lines, document, code)


# --- one metric ----------------------------------------------------------------


def single(call: Call, data: Data, metric: str) -> int:
    """Judge one metric, in the older format, and print the verdict; -> the exit code."""
    rules = _rules(call, evidence.load_state(folder_of(call)))
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
        write_whole(path, evidence.baseline_text(metric, document, utc(call.now)))
    code = goals.exit_code(rules.goal, rules.mode, verdict.overall)
    return _finish(call, [classify.line(one, rules)], document, code)


# --- output --------------------------------------------------------------------


def _nothing(call: Call, rules: classify.Rules) -> int:
    document = classify.error_document(rules, utc(call.now))
    if not _put(call, document) and call.args.json:
        return answer(call, document, lambda _: "", NO)
    raise ZdeferdError(
        f"nothing measured: {call.args.source or 'cold starts'}: no value of these metrics",
        "--metrics names others",
    )


def _finish(call: Call, lines: list[str], document: Mapping[str, Any], code: int) -> int:
    if _put(call, document):
        return code
    shown = "" if call.args.quiet else "\n".join(lines)
    return answer(call, document, lambda _: shown, code)


def _put(call: Call, document: Mapping[str, Any]) -> bool:
    """Write the document where --json-out asks for it; True: it is the answer."""
    path = call.args.json_out
    return bool(path) and call.put(jsontext.layout(document), path)
