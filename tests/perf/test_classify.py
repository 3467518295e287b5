"""`zdeferctl perf classify`: lines, documents, baselines and exit codes of the contract."""

import errno
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.perf import STEADY, SYNTHETIC, Evidence, capture_file, log_file
from support.user import SOURCE, User, call

from zdeferd.perf.classify import Rules, delta, judge
from zdeferd.perf.reading import Data
from zdeferd.perf.samples import Baseline

LINE = (
    "CLASSIFIER status=OK delta=+1.20% mean_ms=338.00 baseline_mean_ms=334.00 median_ms=338.00 "
    "rsd=0.47% runs=5 metric=prompt_ready_ms warn_threshold=10% fail_threshold=25% mode=observe"
)
KEYS = (
    "overall_status goal mode runs warn_threshold_pct fail_threshold_pct worst_metric "
    "worst_delta_pct metrics generated_at baseline_dir ok_streak_current ok_streak_max "
    "enforce_active _debug"
)
SINGLE_KEYS = (
    "metric goal status mean_ms median_ms stddev_ms rsd_pct delta_pct baseline_mean_ms "
    "warn_threshold_pct fail_threshold_pct runs values mode generated_at baseline_file _debug"
)
FOUR = ("prompt_ready_ms", "pre_plugin_total_ms", "post_plugin_total_ms", "deferred_total_ms")


# --- lines and documents -------------------------------------------------------


def test_the_line_is_the_contracts(evidence: Evidence) -> None:
    evidence.classify(prompt_ready=[334] * 5)
    lines = evidence.classify(prompt_ready=[336, 337, 338, 339, 340]).out.splitlines()
    assert lines[0] == LINE
    assert len(lines) == 5


def test_the_overall_line_names_the_worst_metric(evidence: Evidence) -> None:
    evidence.classify()
    result = evidence.classify(pre_plugin_total=[114] * 5, post_plugin_total=[222] * 5)
    assert result.out.splitlines()[-1] == (
        "CLASSIFIER status=OVERALL overall_status=WARN metrics=4 "
        "worst_metric=pre_plugin_total_ms worst_delta=14.00%"
    )
    assert result.code == 0


def test_the_first_run_makes_baselines_and_compares_with_nothing(evidence: Evidence) -> None:
    lines = evidence.classify().out.splitlines()
    assert "status=BASELINE_CREATED delta=+0.00% mean_ms=335.00 baseline_mean_ms=335.00" in lines[0]
    assert lines[-1] == "CLASSIFIER status=OVERALL overall_status=BASELINE_CREATED metrics=4"
    found = evidence.baseline("prompt_ready")
    assert list(found) == (
        ["metric", "mean_ms", "median_ms", "stddev_ms", "rsd_pct", "runs", "created_at", "values"]
    )
    assert (found["metric"], found["runs"]) == ("prompt_ready_ms", 5)


def test_a_gain_is_ok(evidence: Evidence) -> None:
    evidence.classify()
    document = evidence.status(prompt_ready=[100] * 5)
    assert document["metrics"]["prompt_ready_ms"]["status"] == "OK"
    assert document["metrics"]["prompt_ready_ms"]["delta_pct"] == -70.15


def test_the_status_document(evidence: Evidence) -> None:
    evidence.classify()
    document = evidence.status(pre_plugin_total=[130] * 5)
    assert " ".join(document) == KEYS
    assert tuple(document["metrics"]) == FOUR
    assert " ".join(document["metrics"]["prompt_ready_ms"]) == (
        "status delta_pct mean_ms median_ms p95_ms stddev_ms rsd_pct baseline_mean_ms values"
    )
    assert document["worst_metric"] == "pre_plugin_total_ms"
    assert document["worst_delta_pct"] == 30
    assert document["_debug"] == {"synthetic_used": 0, "partial": 0, "missing_metrics": []}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["generated_at"])


def test_grep_finds_keys_and_metrics_in_lines(evidence: Evidence) -> None:
    evidence.classify("--json-out", str(evidence.root / "status.json"), "--goal", "CI")
    lines = (evidence.root / "status.json").read_text().splitlines()
    assert '  "goal": "ci",' in lines
    assert sum(line.startswith('    "prompt_ready_ms": {"status": ') for line in lines) == 1
    assert '"mean_ms": 335.00' in "\n".join(lines)
    assert lines[-2].startswith('  "_debug": {')


def test_quiet_leaves_the_lines_out(evidence: Evidence) -> None:
    assert evidence.classify("--quiet") == (0, "", "")


def test_options_with_an_equals_sign(evidence: Evidence) -> None:
    result = evidence.classify("--warn-threshold=3", "--fail-threshold=4", "--mode=enforce")
    assert "warn_threshold=3% fail_threshold=4% mode=enforce" in result.out


# --- what is compared ----------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "status", "code"),
    [
        (1100, "OK", 0),
        (1100.04, "OK", 0),
        (1100.06, "WARN", 2),
        (1250, "WARN", 2),
        (1250.06, "FAIL", 3),
        (1300, "FAIL", 3),
    ],
)
def test_above_the_threshold_after_rounding(
    evidence: Evidence, now: float, status: str, code: int
) -> None:
    path = capture_file(evidence.root / "a.json", {"prompt_ready": [1000] * 5})
    options = ("--metrics", "prompt_ready", "--from", path)
    evidence.perf("classify", *options)
    capture_file(evidence.root / "a.json", {"prompt_ready": [now] * 5})
    result = evidence.perf("classify", *options, "--mode", "enforce")
    assert f"status={status} " in result.out
    assert result.code == code


@pytest.mark.parametrize(
    ("now", "then", "change"), [(0, 0, 0), (0.9, 0, 0), (1, 0.99, 100), (50, 0, 100), (1, 1, 0)]
)
def test_a_baseline_under_one_millisecond(now: float, then: float, change: float) -> None:
    assert delta(now, then) == change
    verdict = judge(Data({"a": [now]}), ["a"], {"a": Baseline(then, then)}, Rules())
    assert verdict.overall == ("WARN" if change else "OK")


def test_robust_needs_the_whole_interval_above(evidence: Evidence) -> None:
    noisy = [100, 100, 100, 180, 180]
    evidence.classify("--metrics", "x", x=[100, 101, 99, 100, 102])
    plain = evidence.classify("--metrics", "x", "--no-record", x=noisy)
    assert "status=FAIL" in plain.out
    robust = evidence.classify(
        "--metrics", "x", "--robust", "--no-record", x=[100, 100, 140, 150, 99]
    )
    assert "status=OK" in robust.out
    sure = evidence.classify("--metrics", "x", "--robust", x=[140, 141, 139, 140, 142])
    assert "status=FAIL delta=+40.00%" in sure.out


def test_one_outlier_moves_no_median(evidence: Evidence) -> None:
    evidence.classify("--metrics", "x", x=[100] * 5)
    result = evidence.classify("--metrics", "x", "--robust", x=[100, 100, 100, 100, 900])
    assert "status=OK delta=+0.00%" in result.out


# --- metrics -------------------------------------------------------------------


def test_names_with_and_without_ms(evidence: Evidence) -> None:
    result = evidence.classify("--metrics", "prompt_ready_ms,pre_plugin_total")
    assert "metrics=2" in result.out


def test_a_label_with_a_slash_has_a_baseline_of_its_own(evidence: Evidence) -> None:
    source = log_file(evidence.root / "x.log", {"essential/git": [7]})
    result = evidence.perf("classify", "--from", source, "--metrics", "essential/git")
    assert "metric=essential/git_ms" in result.out
    assert (evidence.folder / "essential%2Fgit-baseline.json").is_file()


def test_a_metric_without_a_value_has_no_line(evidence: Evidence) -> None:
    result = evidence.classify(deferred_total=[])
    assert "deferred_total" not in result.out
    assert "metrics=4" in result.out


def test_lags_where_there_are_no_segments(evidence: Evidence) -> None:
    path = capture_file(
        evidence.root / "a.json", {"first_prompt_lag": [50.5] * 5, "command_lag": [1] * 5}
    )
    result = evidence.perf("classify", "--from", path)
    assert re.findall(r"metric=(\w+)", result.out) == ["first_prompt_lag_ms", "command_lag_ms"]


# --- goals ---------------------------------------------------------------------


def partial(evidence: Evidence, *words: str) -> tuple[int, dict[str, object]]:
    """A run in enforce mode whose `deferred_total` is missing."""
    result = evidence.classify("--mode", "enforce", "--json", *words, deferred_total=[])
    return result.code, result.document


def single(evidence: Evidence, *words: str) -> tuple[int, dict[str, object]]:
    """A run of one metric in enforce mode that has too few values."""
    path = capture_file(evidence.root / "few.json", {"prompt_ready": [300] * 3})
    result = evidence.perf(
        "classify",
        "--from",
        path,
        "--metric",
        "prompt_ready",
        "--mode",
        "enforce",
        "--json",
        *words,
    )
    return result.code, result.document


BOTH = pytest.mark.parametrize("run", [partial, single], ids=["several", "single"])


@BOTH
def test_t_goal_01_explore_tolerates_and_records_nothing(evidence: Evidence, run) -> None:  # type: ignore[no-untyped-def]
    code, document = run(evidence, "--goal", "explore")
    assert code == 0
    assert document["ephemeral"] is True
    assert document["partial"] is True
    assert not evidence.folder.exists()


@BOTH
def test_t_goal_02_streak_tolerates(evidence: Evidence, run) -> None:  # type: ignore[no-untyped-def]
    code, document = run(evidence, "--goal", "streak")
    assert code == 0
    assert document["partial"] is True
    assert "ephemeral" not in document


FLAGS = {"partial", "synthetic_used", "ephemeral"}


def strict(evidence: Evidence, run, goal: str) -> None:  # type: ignore[no-untyped-def]
    code, document = run(evidence, "--goal", goal)
    assert code == 3
    assert not FLAGS & document.keys()
    assert document["_debug"]["partial"] == 1
    assert document["_debug"]["missing_metrics"] in (["deferred_total_ms"], ["prompt_ready_ms"])
    for mode, expected in (("enforce", 3), ("observe", 0)):
        result = evidence.classify("--goal", goal, "--mode", mode, "--json", extra=SYNTHETIC)
        assert result.code == expected
        assert not FLAGS & result.document.keys()
        assert result.document["_debug"]["synthetic_used"] == 1
        assert result.document["overall_status"] == "FAIL"
        assert result.document["worst_metric"] is None


@BOTH
def test_t_goal_03_governance_is_strict(evidence: Evidence, run) -> None:  # type: ignore[no-untyped-def]
    strict(evidence, run, "governance")


@BOTH
def test_t_goal_04_ci_is_strict(evidence: Evidence, run) -> None:  # type: ignore[no-untyped-def]
    strict(evidence, run, "ci")


@pytest.mark.parametrize("value", [None, "", "streak", "STREAK"])
def test_t_goal_05_unset_or_empty_is_streak(
    evidence: Evidence, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("GOAL", value)
    result = evidence.classify("--json")
    assert result.document["goal"] == "streak"
    assert result.err == ""


@pytest.mark.parametrize("goal", ["streak", "governance", "explore", "ci"])
def test_t_goal_06_no_flag_without_its_condition(evidence: Evidence, goal: str) -> None:
    document = evidence.status("--goal", goal)
    assert FLAGS & document.keys() == ({"ephemeral"} if goal == "explore" else set())
    path = capture_file(evidence.root / "one.json", {"prompt_ready": [300] * 5})
    result = evidence.perf(
        "classify", "--from", path, "--metric", "prompt_ready", "--goal", goal, "--json"
    )
    assert FLAGS & result.document.keys() == ({"ephemeral"} if goal == "explore" else set())


def test_an_unknown_goal_is_streak_with_a_warning(evidence: Evidence) -> None:
    result = evidence.classify("--goal", "speed", "--json")
    assert result.document["goal"] == "streak"
    assert "unknown goal: speed" in result.err


def test_the_option_beats_the_variable(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOAL", "ci")
    assert evidence.status("--goal", "Explore")["goal"] == "explore"


def test_synthetic_data_makes_no_baseline(evidence: Evidence) -> None:
    result = evidence.classify(extra=SYNTHETIC)
    assert "status=NO_BASELINE delta=+0.00% mean_ms=335.00 baseline_mean_ms=335.00" in result.out
    assert evidence.status("--no-record", extra=SYNTHETIC)["synthetic_used"] is True
    assert not list(evidence.folder.glob("*-baseline.json"))


def test_governance_makes_baselines_of_whole_runs_only(evidence: Evidence) -> None:
    evidence.classify("--goal", "governance", deferred_total=[])
    assert not list(evidence.folder.glob("*-baseline.json"))
    evidence.classify("--goal", "governance")
    assert len(list(evidence.folder.glob("*-baseline.json"))) == 4


def test_explore_compares_and_exits_with_0(evidence: Evidence) -> None:
    evidence.classify()
    before = evidence.state
    result = evidence.classify("--goal", "explore", "--mode", "enforce", "--json", scale=2)
    assert (result.code, result.document["overall_status"]) == (0, "FAIL")
    assert evidence.state == before


def test_explore_has_no_baseline_to_show(evidence: Evidence) -> None:
    document = evidence.status("--goal", "explore")
    assert document["overall_status"] == "BASELINE_CREATED"
    assert document["metrics"]["prompt_ready_ms"]["status"] == "NO_BASELINE"
    assert document["metrics"]["prompt_ready_ms"]["baseline_mean_ms"] is None


@pytest.mark.parametrize(("scale", "code"), [(1, 0), (1.15, 2), (1.5, 3)])
@pytest.mark.parametrize("goal", ["streak", "governance", "ci"])
def test_exit_codes_of_enforce(evidence: Evidence, goal: str, scale: float, code: int) -> None:
    evidence.classify()
    assert evidence.classify("--goal", goal, "--mode", "enforce", scale=scale).code == code
    assert evidence.classify("--goal", goal, scale=scale).code == 0


# --- the streak ----------------------------------------------------------------


def test_the_streak_counts_ok_runs_in_a_row(evidence: Evidence) -> None:
    streaks = [evidence.status(scale=scale)["ok_streak_current"] for scale in (1, 1, 1, 2, 1)]
    assert streaks == [0, 1, 2, 0, 1]
    assert evidence.state["ok_streak_max"] == 2


def test_what_is_not_recorded_does_not_count(evidence: Evidence) -> None:
    evidence.classify()
    assert evidence.status("--no-record", scale=2)["ok_streak_current"] == 0
    assert evidence.status()["ok_streak_current"] == 1
    assert evidence.status("--no-record", "--metrics", "prompt_ready")["ok_streak_current"] == 1


def test_two_processes_at_once_leave_both_runs(evidence: Evidence, user: User) -> None:
    evidence.classify()
    source = str(evidence.root / "perf.log")
    words = ["perf", "classify", "--from", source, "--baseline-dir", str(evidence.folder)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "zdeferd.cli", *words],
            env=user.env | {"PYTHONPATH": str(SOURCE)},
            stdout=subprocess.DEVNULL,
        )
        for _ in range(6)
    ]
    assert [one.wait(timeout=200) for one in started] == [0] * 6
    assert evidence.state["ok_streak_current"] == 6
    assert len(evidence.state["runs"]) == 7


def test_old_runs_are_forgotten_and_governance_stays(evidence: Evidence) -> None:
    for _ in range(2):
        evidence.classify("--goal", "governance")
    for _ in range(52):
        evidence.classify()
    runs = evidence.state["runs"]
    assert len(runs) == 52
    assert [run["goal"] for run in runs[:2]] == ["governance"] * 2
    assert runs[-1]["metrics"]["prompt_ready_ms"]["values"] == [334, 336, 335, 334, 336]
    assert runs[-2]["metrics"]["prompt_ready_ms"]["values"] == []


# --- the older options ---------------------------------------------------------


def test_one_metric_in_the_older_format(evidence: Evidence) -> None:
    path = str(evidence.root / "own.json")
    options = ("--metric", "prompt_ready", "--baseline", path)
    assert "status=BASELINE_CREATED" in evidence.classify(*options).out
    result = evidence.classify(*options, scale=1.3)
    assert result.out.count("\n") == 1
    assert "status=FAIL delta=+30.03%" in result.out
    document = evidence.classify(*options, "--json", scale=1.3).document
    assert " ".join(document) == SINGLE_KEYS
    assert document["baseline_file"] == path
    assert evidence.classify(*options, "--mode=enforce", scale=1.3).code == 3


def test_the_older_baseline_has_a_name_of_its_own(evidence: Evidence) -> None:
    evidence.classify("--metric", "prompt_ready")
    assert json.loads((evidence.folder / "perf-baseline.json").read_text())["mean_ms"] == 335


# --- bad input -----------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("--warn-threshold", "25"),
        ("--warn-threshold", "30"),
        ("--fail-threshold", "0"),
        ("--warn-threshold", "1.5"),
        ("--warn-threshold", "-1"),
        ("--runs", "0"),
        ("--runs", "many"),
        ("--mode", "strict"),
        ("--metrics", ""),
        ("--metrics", "Bad Name!"),
        ("--metric", "a,b"),
        ("--metric", "a", "--metrics", "b"),
        ("--unknown",),
        ("surplus",),
    ],
)
def test_usage_errors_exit_with_1(evidence: Evidence, words: tuple[str, ...]) -> None:
    result = evidence.classify(*words)
    assert result.code == 1
    assert result.err.startswith("zdeferctl: ")
    assert not evidence.folder.exists()


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_nothing_measured(evidence: Evidence, mode: str) -> None:
    out = evidence.root / "status.json"
    result = evidence.classify(
        "--metrics", "absent", "--mode", mode, "--json-out", str(out), "--goal", "ci"
    )
    assert result.code == 1
    assert "nothing measured" in result.err
    document = json.loads(out.read_text())
    assert list(document) == ["overall_status", "goal", "mode", "error", "generated_at"]
    assert document["error"] == "no_successful_captures"
    assert evidence.status("--metrics", "absent", "--mode", mode)["overall_status"] == "ERROR"


@pytest.mark.parametrize("text", ["", "some words\n", "SEGMENT name=prompt_ready ms=33"])
def test_a_log_without_a_segment(evidence: Evidence, text: str) -> None:
    path = evidence.root / "perf.log"
    path.write_text(text)
    result = evidence.perf("classify", "--from", str(path))
    assert result.code == 1
    assert "nothing measured" in result.err
    assert not list(evidence.folder.glob("*-baseline.json"))


def test_a_run_of_one_value(evidence: Evidence) -> None:
    for _ in range(2):
        result = evidence.classify("--runs", "1", "--metrics", "prompt_ready", prompt_ready=[300])
    assert result.code == 0
    assert "status=OK delta=+0.00% " in result.out
    assert " rsd=0.00% runs=1 " in result.out


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "of another metric"),
        ('{"schema": "other.v9", "name": "prompt_ready", "mean": 5}', "of another metric"),
        ('{"metric": "x_ms", "mean_ms": 5}', "of another metric"),
        ('{"metric": "prompt_ready_ms"}', "mean_ms None"),
        ('{"metric": "prompt_ready_ms", "mean_ms": -1}', "mean_ms -1"),
        ('{"metric": "prompt_ready_ms", "mean_ms": NaN}', "mean_ms nan"),
        ('{"metric": "prompt_ready_ms", "mean_ms": true}', "mean_ms True"),
        ('{"metric": "prompt_ready_ms", "mean_ms": 5, "values": 7}', "values 7"),
    ],
)
def test_a_bad_baseline_is_named(evidence: Evidence, text: str, named: str) -> None:
    evidence.classify()
    path = evidence.folder / "prompt_ready-baseline.json"
    path.write_text(text)
    result = evidence.classify()
    assert result.code == 1
    assert str(path) in result.err
    assert named in result.err
    assert path.read_text() == text
    assert len(evidence.state["runs"]) == 1


def test_a_baseline_needs_metric_and_mean_only(evidence: Evidence) -> None:
    evidence.folder.mkdir()
    (evidence.folder / "prompt_ready-baseline.json").write_text(
        '{"metric": "prompt_ready_ms", "mean_ms": 300}'
    )
    assert "status=WARN delta=+11.67%" in evidence.classify().out


def test_a_folder_that_cannot_be_used(evidence: Evidence) -> None:
    evidence.folder.write_text("a file")
    result = evidence.classify()
    assert result.code == 1
    assert str(evidence.folder) in result.err


def test_a_baseline_that_cannot_be_written(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.replace

    def refuse(source: str, target: str) -> None:
        if str(target).endswith("-baseline.json"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), target)
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    result = evidence.classify()
    assert result.code == 1
    assert "-baseline.json" in result.err
    assert "Read-only file system" in result.err
    assert not [path.name for path in evidence.folder.iterdir() if "baseline" in path.name]
    assert evidence.perf("status").code == 1


def test_a_damaged_state_is_named_and_stays(evidence: Evidence) -> None:
    evidence.classify()
    path = evidence.folder / "perf-state.json"
    path.write_text("{}")
    result = evidence.classify()
    assert result.code == 1
    assert "damaged state" in result.err
    assert path.read_text() == "{}"


def test_the_status_file_cannot_be_written(evidence: Evidence) -> None:
    result = evidence.classify("--json-out", str(evidence.root / "absent/status.json"))
    assert result.code == 1
    assert "absent/status.json" in result.err


# --- the evidence folder -------------------------------------------------------


def test_a_status_document_on_standard_output(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(evidence.root)
    evidence.classify()
    result = evidence.classify("--json-out", "-", "--mode", "enforce", scale=1.2)
    assert (result.code, result.document["overall_status"], result.err) == (2, "WARN", "")
    nothing = evidence.classify("--json-out", "-", "--metrics", "absent")
    assert (nothing.code, nothing.document["overall_status"]) == (1, "ERROR")
    assert not (evidence.root / "-").exists()
    refused = evidence.classify("--json-out", "-", "--json")
    assert (refused.code, refused.out) == (1, "")
    assert "--json-out - and --json; leave one out" in refused.err


def test_the_default_folder_is_private(user: User) -> None:
    source = log_file(user.root / "perf.log", {"prompt_ready": [1]})
    assert call("perf", "classify", "--from", source).code == 0
    folder = user.state / "perf"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_repositorys_folder_comes_first(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = user.root / "artifacts/metrics"
    folder.mkdir(parents=True)
    monkeypatch.chdir(user.root)
    source = log_file(user.root / "perf.log", {"prompt_ready": [1]})
    document = call("perf", "classify", "--from", source, "--json").document
    assert document["baseline_dir"] == "artifacts/metrics"
    assert (folder / "prompt_ready-baseline.json").is_file()


def test_no_piece_of_a_file_is_left(evidence: Evidence) -> None:
    evidence.classify()
    found = {path.name for path in evidence.folder.iterdir()}
    assert found == {".lock", "perf-state.json", *(f"{name}-baseline.json" for name in STEADY)}


def test_the_goals_of_the_page_are_those_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs/performance.md").read_text()
    from zdeferd.perf.goals import GOALS

    table = re.search(r"^\| +\| (streak.*?)\n\n", text, re.M | re.S)
    assert table
    heads, _, *rows = [line.strip("| ").split("|") for line in table[0].splitlines()]
    names = [head.split()[0] for head in heads]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    for at, name in enumerate(names):
        goal = GOALS[name]
        assert cells["synthetic data"][at] == ("3 in enforce" if goal.strict else "flagged")
        assert cells["missing metric"][at] == ("3 in enforce" if goal.strict else "flagged")
        assert cells["counts for the streak"][at].startswith("yes" if goal.counts else "never")
        assert cells["exit of WARN, FAIL in enforce"][at] == ("2, 3" if goal.fails else "0")
        assert cells["new baseline"][at].startswith(
            ("if" if goal.only_complete else "yes") if goal.makes_baselines else "no"
        )
