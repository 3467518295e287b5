"""`perf status`, `perf baseline` and `perf log`, with the files that they keep."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from support.perf import Evidence
from support.user import User, call

from zdeferd.perf import logbook

TODAY = time.strftime("%Y-%m-%d", time.gmtime())


# --- status --------------------------------------------------------------------


def test_status_without_a_run(evidence: Evidence) -> None:
    result = evidence.perf("status")
    assert result.code == 1
    assert "no run yet" in result.err


def test_status_shows_the_last_run(evidence: Evidence) -> None:
    evidence.classify()
    evidence.classify(pre_plugin_total=[130] * 5, deferred_total=[])
    result = evidence.perf("status")
    assert result.code == 0
    assert re.search(r"pre_plugin_total_ms\s+FAIL\s+\+30.00%\s+130.00\s+100.00", result.out)
    assert re.search(r"missing\s+deferred_total_ms", result.out)
    document = evidence.perf("status", "--json").document
    assert document["ok_streak_current"] == 0
    assert document["last"]["overall_status"] == "FAIL"


# --- baseline ------------------------------------------------------------------


def damaged(state: dict[str, Any], key: str, value: object) -> None:
    """Replace a key of the only run, of its `_debug` or of one of its metrics; None: remove it."""
    run = state["runs"][0]
    for place in (run, run["_debug"], run["metrics"]["prompt_ready_ms"]):
        if key in place:
            place[key] = value
            if value is None:
                del place[key]
            return


@pytest.mark.parametrize(
    "key",
    ["overall_status", "goal", "generated_at", "segments", "_debug", "missing_metrics", "rsd_pct"],
)
@pytest.mark.parametrize("value", [None, {}])
def test_a_damaged_state_is_named(evidence: Evidence, key: str, value: object) -> None:
    evidence.classify()
    state = evidence.state
    damaged(state, key, value)
    path = evidence.folder / "perf-state.json"
    path.write_text(json.dumps(state))
    for words in (("status",), ("ready",), ("badge", "performance")):
        result = evidence.perf(*words)
        assert result.code == 1
        assert result.err.startswith(f"zdeferctl: damaged state: {path}: ")


def test_baselines_are_shown(evidence: Evidence) -> None:
    assert evidence.perf("baseline", "show").code == 1
    evidence.classify()
    shown = evidence.perf("baseline", "show", "prompt_ready_ms")
    assert re.search(r"prompt_ready_ms\s+335.00\s+335.00\s+5\s+\d{4}-", shown.out)
    document = evidence.perf("baseline", "show", "--json").document
    assert [one["metric"] for one in document["baselines"]] == sorted(
        f"{name}_ms"
        for name in ("prompt_ready", "pre_plugin_total", "post_plugin_total", "deferred_total")
    )


def test_baselines_are_checked(evidence: Evidence) -> None:
    evidence.classify()
    assert evidence.perf("baseline", "check").out.splitlines()[0] == "prompt_ready_ms: ok"
    assert evidence.perf("baseline", "check").code == 0
    (evidence.folder / "prompt_ready-baseline.json").unlink()
    missing = evidence.perf("baseline", "check")
    assert missing.out.startswith("prompt_ready_ms: missing: no file ")
    assert missing.code == 2
    (evidence.folder / "deferred_total-baseline.json").write_text("{")
    invalid = evidence.perf("baseline", "check")
    assert "deferred_total_ms: invalid: baseline cannot be read" in invalid.out
    assert invalid.code == 3
    assert evidence.perf("baseline", "check", "pre_plugin_total").code == 0
    assert (
        evidence.perf("baseline", "check", "--json").document["baselines"][0]["state"] == "missing"
    )


def test_the_baseline_of_one_metric_is_no_metric_of_its_own(evidence: Evidence) -> None:
    evidence.classify("--metric", "prompt_ready")
    assert (evidence.folder / "perf-baseline.json").exists()
    evidence.classify()
    assert "perf_ms" not in evidence.perf("baseline", "check").out
    assert evidence.perf("baseline", "check").code == 0
    assert evidence.perf("baseline", "show").code == 0


def test_a_check_of_nothing_finds_the_usual_ones_missing(evidence: Evidence) -> None:
    assert evidence.perf("baseline", "check").code == 2
    assert not evidence.folder.exists()


def test_reset_takes_the_last_run_and_keeps_the_old(evidence: Evidence) -> None:
    evidence.classify()
    evidence.classify(scale=1.5)
    old = evidence.baseline("prompt_ready")
    result = evidence.perf("baseline", "reset", "--reason", "new | laptop")
    assert result.code == 0
    assert evidence.baseline("prompt_ready")["mean_ms"] == pytest.approx(502.4)
    kept = json.loads((evidence.folder / f"prompt_ready-baseline.{TODAY}.json").read_text())
    assert kept == old
    row = logbook.rows((evidence.folder / "PERFORMANCE_LOG.md").read_text())[-1]
    assert row == (
        f"| {TODAY} | governance | rebaseline | 0 | — | 502ms | 0.3% | baseline-{TODAY} | fail "
        "| new laptop |"
    )
    assert evidence.perf("baseline", "reset", "prompt_ready", "--reason", "again").code == 0
    assert (evidence.folder / f"prompt_ready-baseline.{TODAY}.2.json").is_file()
    assert "OK" in evidence.classify(scale=1.5).out.splitlines()[0]


def test_the_row_of_reset_refers_to_the_baseline_of_prompt_ready(evidence: Evidence) -> None:
    evidence.classify()
    path = evidence.folder / "prompt_ready-baseline.json"
    path.write_text(path.read_text().replace(TODAY, "2026-01-10"))
    words = ("baseline", "reset", "pre_plugin_total", "--reason", "x")
    assert evidence.perf(*words).code == 0
    path.unlink()
    assert evidence.perf(*words).code == 0
    first, second = logbook.rows((evidence.folder / "PERFORMANCE_LOG.md").read_text())
    assert "| baseline-2026-01-10 | pass | x |" in first
    assert "| — | pass | x |" in second


@pytest.mark.parametrize("words", [(), ("--reason", " "), ("--reason", "x", "unheard")])
def test_reset_is_refused(evidence: Evidence, words: tuple[str, ...]) -> None:
    evidence.classify()
    before = {path: path.read_bytes() for path in evidence.folder.iterdir()}
    assert evidence.perf("baseline", "reset", *words).code == 1
    assert {path: path.read_bytes() for path in evidence.folder.iterdir()} == before


def test_reset_without_a_run(evidence: Evidence) -> None:
    assert "no run yet" in evidence.perf("baseline", "reset", "--reason", "x").err


# --- log -----------------------------------------------------------------------


def log_of(evidence: Evidence) -> Path:
    return evidence.folder / "PERFORMANCE_LOG.md"


def add(evidence: Evidence, *words: str) -> int:
    return evidence.perf("log", "add", "--type", "refactor", "--scope", "plugins", *words).code


def test_a_row_says_what_the_last_run_says(evidence: Evidence) -> None:
    evidence.classify()
    assert add(evidence, "--sync=-12ms", "--notes", "compinit\n-C | quick") == 0
    text = log_of(evidence).read_text()
    assert text.splitlines()[-1] == (
        f"| {TODAY} | refactor | plugins | -12ms | — | 335ms | 0.3% | baseline-{TODAY} | pass "
        "| compinit -C quick |"
    )
    assert logbook.HEADER in text.splitlines()
    for word in ("Metrics", "Thresholds", "Statuses", "Types"):
        assert f"**{word}**" in text


def test_a_row_without_a_run(evidence: Evidence) -> None:
    assert add(evidence) == 0
    assert (
        log_of(evidence)
        .read_text()
        .endswith(f"| {TODAY} | refactor | plugins | 0 | — | — | — | — | pass |  |\n")
    )


def test_a_row_with_all_of_its_cells(evidence: Evidence) -> None:
    words = ("--total", "212.4", "--rsd", "1.44", "--baseline", "x", "--status", "warn")
    assert add(evidence, *words, "--deferred", "3") == 0
    assert "| 0 | 3 | 212ms | 1.4% | x | warn |" in log_of(evidence).read_text()


@pytest.mark.parametrize("gain", ["-12", "-12ms", "-1.5ms"])
def test_a_gain_with_its_unit_is_no_option(evidence: Evidence, gain: str) -> None:
    assert add(evidence, "--sync", gain, "--deferred", gain) == 0
    assert f"| {gain} | {gain} |" in log_of(evidence).read_text()


def test_the_table_is_shown(evidence: Evidence) -> None:
    add(evidence, "--notes", "why")
    document = evidence.perf("log", "show", "--json").document
    assert list(document["rows"][0]) == list(logbook.KEYS)
    assert document["rows"][0]["notes"] == "why"
    assert re.search(r"Date\s+Type.*\n.*refactor\s+plugins", evidence.perf("log", "show").out)


def test_rows_go_to_the_end_of_the_table(evidence: Evidence) -> None:
    add(evidence)
    log_of(evidence).write_text(log_of(evidence).read_text() + "\nA last word.\n")
    add(evidence, "--notes", "second")
    lines = log_of(evidence).read_text().splitlines()
    assert lines[-1] == "A last word."
    assert lines[-3].endswith("| second |")


def test_rows_added_by_hand_are_taken_over(evidence: Evidence) -> None:
    add(evidence)
    by_hand = "| 2026-01-01 | infra | disk | 0 | — | 1ms | 1.0% | — | pass | by hand |\n"
    log_of(evidence).write_text(log_of(evidence).read_text() + by_hand)
    assert add(evidence) == 0
    log_of(evidence).write_text(log_of(evidence).read_text().replace("by hand", "otherwise"))
    assert evidence.perf("log", "check").code == 1


def _edited(text: str) -> str:
    return text.replace("| first |", "| other |")


def _removed(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "| first |" not in line) + "\n"


def _moved(text: str) -> str:
    *lines, first, second = text.splitlines()
    return "\n".join([*lines, second, first]) + "\n"


def _emptied(_text: str) -> str:
    return ""


@pytest.mark.parametrize("change", [_edited, _removed, _moved, _emptied])
def test_an_edited_log_is_refused_and_nothing_is_written(evidence: Evidence, change) -> None:  # type: ignore[no-untyped-def]
    add(evidence, "--notes", "first")
    add(evidence, "--notes", "second")
    assert evidence.perf("log", "check").code == 0
    log_of(evidence).write_text(change(log_of(evidence).read_text()))
    before = log_of(evidence).read_text()
    result = evidence.perf("log", "add", "--type", "infra", "--scope", "x")
    assert result.code == 1
    assert "edited log" in result.err
    assert evidence.perf("log", "check").code == 1
    assert log_of(evidence).read_text() == before


def test_another_log_has_rows_of_its_own(evidence: Evidence) -> None:
    other = evidence.root / "docs-log.md"
    other.write_text("# Ours\n\nSome words.\n")
    assert add(evidence, "--log", str(other)) == 0
    assert other.read_text().startswith("# Ours\n\nSome words.\n\n| Date |")
    assert add(evidence) == 0
    assert evidence.perf("log", "check", "--log", str(other)).code == 0


def test_a_log_that_cannot_be_read(evidence: Evidence) -> None:
    result = evidence.perf("log", "show", "--log", str(evidence.root))
    assert result.code == 1
    said = f"the log cannot be read: {evidence.root}: Is a directory; --log names another\n"
    assert result.err == f"zdeferctl: {said}"


@pytest.mark.parametrize("name", ["prompt_ready-baseline.json", "perf-state.json"])
def test_a_fifo_in_the_folder_is_refused_at_once(name: str, evidence: Evidence) -> None:
    evidence.folder.mkdir()
    os.mkfifo(evidence.folder / name)
    result = evidence.classify("--metrics", "prompt_ready")
    assert result.code == 1
    assert f"{evidence.folder / name}: it is not a regular file; " in result.err
    assert result.err.count("\n") == 1


def test_a_fifo_is_no_log_and_no_capture(evidence: Evidence) -> None:
    os.mkfifo(evidence.root / "log")
    result = evidence.perf("log", "show", "--log", str(evidence.root / "log"))
    assert "it is not a regular file; --log names another" in result.err
    evidence.folder.mkdir()
    os.mkfifo(evidence.folder / "capture-1.json")
    assert "no capture in" in evidence.perf("trend").err


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (("classify", "--from", ""), "no file is named: --from; name one, or leave it out"),
        (("status", "--baseline-dir", ""), "no folder is named: --baseline-dir; name one, or"),
        (("capture", "--output", ""), "no file is named: --output; name one, or - to print"),
        (("features", ""), "no file is named: FILE; name one, or leave it out"),
        (("trend", "a.json", ""), "no file is named: FILE; name one, or leave it out"),
    ],
)
def test_an_empty_name_is_not_one_that_is_left_out(
    verb: tuple[str, ...], said: str, user: User
) -> None:
    result = call("perf", *verb)
    assert (result.code, result.out) == (1, "")
    assert said in result.err


def test_a_folder_may_move_with_its_log(evidence: Evidence) -> None:
    add(evidence)
    moved = evidence.folder.rename(evidence.root / "elsewhere")
    evidence.folder = moved
    log_of(evidence).write_text("")
    assert evidence.perf("log", "check").code == 1


@pytest.mark.parametrize(
    "words",
    [
        ("add",),
        ("add", "--type", "infra"),
        ("add", "--type", "infra", "--scope", " | "),
        ("add", "--type", "rebaseline", "--scope", "x"),
        ("add", "--type", "infra", "--scope", "x", "--total", "nan"),
        ("add", "--type", "infra", "--scope", "x", "--rsd", "-1"),
        ("add", "--type", "infra", "--scope", "x", "--status", "fine"),
        (),
    ],
)
def test_a_row_is_refused(evidence: Evidence, words: tuple[str, ...]) -> None:
    assert evidence.perf("log", *words).code == 1
    assert not evidence.folder.exists()
