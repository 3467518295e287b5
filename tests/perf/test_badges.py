"""The badges: states, colours, exit codes, pictures."""

import json
import shutil
from typing import Any
from xml.etree import ElementTree

import pytest
from support.perf import SYNTHETIC, Evidence

from zdeferd.perf.badges import goal_state, summary

CLEAN = {"governance": "clean", "ci": "strict", "streak": "stable", "explore": "sandbox"}


def status(**changes: Any) -> dict[str, Any]:
    made = {
        "overall_status": "OK", "goal": "streak", "mode": "observe", "ok_streak_current": 0,
        "generated_at": "2026-01-01T00:00:00Z", "_debug": {"partial": 0, "synthetic_used": 0},
    }  # fmt: skip
    return made | changes


# --- goal state ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "clean"),
        ({"_debug": {"partial": 1, "synthetic_used": 0}}, "warning"),
        ({"_debug": {"partial": 0, "synthetic_used": 1}}, "warning"),
        ({"overall_status": "WARN"}, "warning"),
        ({"overall_status": "FAIL"}, "failing"),
        ({"overall_status": "BASELINE_CREATED"}, "baseline"),
        ({"overall_status": "ERROR"}, "unknown"),
    ],
)
def test_governance(changes: dict[str, Any], state: str) -> None:
    assert goal_state(status(**changes), "x")["governance"] == state


@pytest.mark.parametrize(
    ("changes", "ci", "streak"),
    [
        ({"goal": "ci", "mode": "enforce", "ok_streak_current": 3}, "strict", "stable"),
        ({"goal": "ci", "ok_streak_current": 2}, "lenient", "building"),
        ({"mode": "enforce"}, "lenient", "building"),
        (
            {"ok_streak_current": 9, "_debug": {"partial": 1, "synthetic_used": 0}},
            "lenient", "building",
        ),
    ],
)  # fmt: skip
def test_ci_and_streak(changes: dict[str, Any], ci: str, streak: str) -> None:
    found = goal_state(status(**changes), "x")
    assert (found["ci"], found["streak"], found["explore"]) == (ci, streak, "sandbox")


def test_a_goal_state_of_a_status(evidence: Evidence) -> None:
    path = evidence.root / "status.json"
    evidence.classify("--json-out", str(path), "--goal", "ci", "--mode", "enforce")
    words = ("badge", "goal-state", "--status", str(path))
    first, second = evidence.perf(*words), evidence.perf(*words)
    assert first == second
    made = json.loads(path.read_text())
    assert list(first.document) == [
        "governance", "ci", "streak", "explore", "generated_at", "source"
    ]  # fmt: skip
    assert first.document["generated_at"] == made["generated_at"]
    assert '  "ci": "strict",' in first.out.splitlines()


@pytest.mark.parametrize(
    ("flags", "governance"),
    [({}, "clean"), ({"partial": True}, "warning"), ({"synthetic_used": True}, "warning")],
)
def test_a_status_without_its_last_key(
    evidence: Evidence, flags: dict[str, bool], governance: str
) -> None:
    path = evidence.root / "status.json"
    path.write_text(json.dumps({"overall_status": "OK", "ok_streak_current": 3, **flags}))
    found = evidence.perf("badge", "goal-state", "--status", str(path)).document
    streak = "building" if flags.get("partial") else "stable"
    assert (found["governance"], found["streak"]) == (governance, streak)


def test_a_goal_state_of_the_last_run(evidence: Evidence) -> None:
    none = evidence.perf("badge", "goal-state").document
    assert (none["governance"], none["generated_at"]) == ("unknown", None)
    evidence.classify()
    evidence.classify(extra=SYNTHETIC)
    assert evidence.perf("badge", "goal-state").document["governance"] == "warning"


def test_a_state_is_required(evidence: Evidence) -> None:
    out = evidence.root / "goal-state.json"
    evidence.classify("--goal", "ci", "--mode", "enforce")
    words = ("badge", "goal-state", "--output", str(out), "--require", "ci=strict")
    assert evidence.perf(*words) == (0, "", "")
    result = evidence.perf(*words, "governance=clean")
    assert result.code == 1
    assert "governance=baseline, not clean" in result.err
    assert json.loads(out.read_text())["governance"] == "baseline"


def test_a_dash_is_standard_output(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(evidence.root)
    for badge in ("goal-state", "summary-goal", "streak"):
        assert evidence.perf("badge", badge, "--output", "-") == evidence.perf("badge", badge)
    assert not (evidence.root / "-").exists()


def test_variables_override(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOAL_STATE_GOVERNANCE", "clean")
    monkeypatch.setenv("GOAL_STATE_STREAK", "")
    found = evidence.perf("badge", "goal-state").document
    assert (found["governance"], found["streak"]) == ("clean", "building")


# --- summary -------------------------------------------------------------------


def made(
    drift: dict[str, str] | None = None, struct: dict[str, str] | None = None, **states: str
) -> tuple[dict[str, Any], int]:
    return summary(CLEAN | states, drift, struct, "goal", "zsh", 300)


def test_all_green() -> None:
    assert made() == (
        {
            "schemaVersion": 1,
            "label": "goal",
            "message": "gov:clean | ci:strict | streak:stable | explore:sandbox",
            "color": "brightgreen",
            "namedLogo": "zsh",
            "cacheSeconds": 300,
            "isError": False,
        },
        0,
    )


@pytest.mark.parametrize(
    ("state", "colour"),
    [
        ("failing", "red"), ("warning", "yellow"), ("baseline", "blue"), ("unknown", "blue"),
        ("odd", "blue"), ("clean", "brightgreen"),
    ],
)  # fmt: skip
def test_the_colour_of_a_state(state: str, colour: str) -> None:
    badge, _ = made(governance=state)
    assert (badge["color"], badge["isError"]) == (colour, colour == "red")


@pytest.mark.parametrize(
    ("message", "colour", "severity"),
    [
        ("0", "green", 0), ("1 fail (+12.0% max)", "red", 3), ("2 FAIL", "blue", 3),
        ("2 warn (+7.1% max)", "yellow", 2), ("a warn", "green", 2), ("no data", "lightgrey", 1),
        ("failover", "green", 1), ("", "red", 0),
    ],
)  # fmt: skip
def test_drift_in_the_summary(message: str, colour: str, severity: int) -> None:
    badge, worst = made({"message": message, "color": colour})
    assert worst == severity
    assert badge["message"].endswith(f" | drift:{message}") == bool(message)


@pytest.mark.parametrize(
    ("colour", "severity"),
    [("green", 0), ("brightgreen", 0), ("yellow", 2), ("red", 3), ("lightgrey", 1)],
)
def test_structure_in_the_summary(colour: str, severity: int) -> None:
    badge, worst = made({"message": "0", "color": "green"}, {"message": "stable", "color": colour})
    assert worst == severity
    assert badge["message"].endswith(" | drift:0 | struct:stable")


def test_a_badge_whose_colour_is_no_text() -> None:
    odd: Any = {"message": "x", "color": ["red"]}
    assert made(struct=odd)[1] == made(drift=odd)[1] == 1


@pytest.mark.parametrize("nothing", ["", " \n"])
def test_the_summary_of_files(evidence: Evidence, nothing: str) -> None:
    states, drift = evidence.root / "states.json", evidence.root / "drift.json"
    states.write_text(json.dumps(CLEAN))
    drift.write_text(nothing)
    words = ("badge", "summary-goal", "--input", str(states), "--drift", str(drift))
    result = evidence.perf(*words, "--struct", str(evidence.root / "absent"))
    assert result.document["message"].endswith("explore:sandbox")
    assert list(result.document) == [
        "schemaVersion", "label", "message", "color", "namedLogo", "cacheSeconds", "isError"
    ]  # fmt: skip
    drift.write_text('{"message": "1 fail", "color": "red"}')
    assert evidence.perf(*words).document["isError"] is True


@pytest.mark.parametrize(
    ("state", "limit", "code"),
    [
        ("failing", "red", 1), ("warning", "red", 0), ("warning", "yellow", 1),
        ("failing", "blue", 1), ("baseline", "yellow", 0), ("baseline", "blue", 1),
        ("clean", "blue", 0),
    ],
)  # fmt: skip
def test_fail_on(evidence: Evidence, state: str, limit: str, code: int) -> None:
    states, out = evidence.root / "states.json", evidence.root / "badge.json"
    states.write_text(json.dumps(CLEAN | {"governance": state}))
    words = ("--input", str(states), "--output", str(out), "--fail-on", limit)
    assert evidence.perf("badge", "summary-goal", *words).code == code
    assert json.loads(out.read_text())["label"] == "goal"


def test_defaults_from_variables(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    states, out = evidence.root / "states.json", evidence.root / "badge.json"
    states.write_text(json.dumps(CLEAN))
    for name, value in {
        "INPUT": str(states), "OUTPUT": str(out), "LABEL": "perf", "LOGO": "gnu",
        "CACHE_SECONDS": "60",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"SUMMARY_GOAL_{name}", value)
    assert evidence.perf("badge", "summary-goal") == (0, "", "")
    badge = json.loads(out.read_text())
    assert (badge["label"], badge["namedLogo"], badge["cacheSeconds"]) == ("perf", "gnu", 60)
    evidence.perf("badge", "summary-goal", "--label", "mine")
    assert json.loads(out.read_text())["label"] == "mine"
    monkeypatch.setenv("SUMMARY_GOAL_CACHE_SECONDS", "soon")
    assert evidence.perf("badge", "summary-goal").code == 1


# --- the others ----------------------------------------------------------------


def test_the_streak(evidence: Evidence) -> None:
    for _ in range(4):
        evidence.classify("--goal", "governance")
    badge = evidence.perf("badge", "streak").document
    assert badge == {
        "schemaVersion": 1, "label": "perf streak", "message": "3 ok", "color": "blue"
    }  # fmt: skip
    evidence.perf("enforce", "on", "--reason", "x", "--readme", str(evidence.root / "absent"))
    assert evidence.perf("badge", "streak").document["color"] == "purple"


@pytest.mark.parametrize(
    ("ready", "total", "message", "colour"),
    [
        (1049, 1000, "0", "green"),
        (1050, 1071, "2 warn (+7.1% max)", "yellow"),
        (1120, 1060, "1 fail (+12.0% max)", "red"),
        (1100, 900, "1 fail (+10.0% max)", "red"),
    ],
)
def test_drift(evidence: Evidence, ready: int, total: int, message: str, colour: str) -> None:
    words = ("--metrics", "prompt_ready,pre_plugin_total")
    evidence.classify(*words, prompt_ready=[1000], pre_plugin_total=[1000])
    evidence.classify(*words, prompt_ready=[ready], pre_plugin_total=[total])
    badge = evidence.perf("badge", "drift").document
    assert (badge["label"], badge["message"], badge["color"]) == ("perf drift", message, colour)


def test_thresholds_of_drift(evidence: Evidence) -> None:
    evidence.classify()
    evidence.classify(scale=1.2)
    words = ("badge", "drift", "--warn", "15", "--fail", "30")
    assert "warn" in evidence.perf(*words).document["message"]
    assert evidence.perf("badge", "drift", "--warn", "10").code == 1


def test_performance(evidence: Evidence) -> None:
    def badge() -> tuple[str, str]:
        found = evidence.perf("badge", "performance").document
        return found["message"], found["color"]

    assert badge() == ("no data", "lightgrey")
    evidence.classify()
    assert badge() == ("BASELINE_CREATED", "blue")
    evidence.classify()
    assert badge() == ("OK", "brightgreen")
    evidence.classify(pre_plugin_total=[114] * 5)
    assert badge() == ("WARN: pre_plugin_total_ms 14.00%", "yellow")
    evidence.classify(pre_plugin_total=[200] * 5)
    assert badge() == ("FAIL: pre_plugin_total_ms 100.00%", "red")
    assert evidence.perf("badge", "drift").document["color"] == "red"


@pytest.mark.parametrize("name", ["goal-state", "summary-goal", "streak", "drift", "performance"])
def test_a_picture_needs_no_network(evidence: Evidence, name: str) -> None:
    evidence.classify()
    picture = evidence.perf("badge", name, "--svg")
    assert picture == evidence.perf("badge", name, "--svg")
    root = ElementTree.fromstring(picture.out)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert picture.out.count("http") == 1


def test_a_picture_escapes_its_label(evidence: Evidence) -> None:
    out = evidence.perf("badge", "summary-goal", "--svg", "--label", "a<b>&c").out
    assert "a&lt;b&gt;&amp;c" in out
    assert ElementTree.fromstring(out) is not None


# --- bad input -----------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("goal-state", "--status", "/nowhere/at-all"),
        ("goal-state", "--require", "ci"),
        ("goal-state", "--require", "weather=fine"),
        ("goal-state", "--fail-on", "red"),
        ("streak", "--label", "x"),
        ("drift", "--warn", "0"),
        ("drift", "--warn", "nan"),
        ("summary-goal", "--fail-on", "green"),
        ("sunny",),
        (),
    ],
)
def test_bad_input_exits_with_1(evidence: Evidence, words: tuple[str, ...]) -> None:
    assert evidence.perf("badge", *words).code == 1


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"governance": 7}'])
def test_bad_files_exit_with_1(evidence: Evidence, text: str) -> None:
    path = evidence.root / "x.json"
    path.write_text(text)
    assert evidence.perf("badge", "summary-goal", "--input", str(path)).code == 1
    code = evidence.perf("badge", "goal-state", "--status", str(path)).code
    assert code == (0 if text in ("{}", '{"governance": 7}') else 1)


# --- structure -----------------------------------------------------------------

FEATURE = """\
FEATURE_NAME="mine"
feature_mine_register() { feature_registry_add mine {phase} '' no misc '' '' }
"""


def test_the_structure_of_zsh_code(evidence: Evidence) -> None:
    folder = evidence.root / "zsh"
    folder.mkdir()

    def badge() -> tuple[str, str]:
        found = evidence.perf("badge", "struct", str(folder)).document
        assert found["label"] == "structure"
        return found["message"], found["color"]

    (folder / "a.zsh").write_text("print hello\n")
    assert badge() == ("stable", "green")
    (folder / "a.zsh").write_text("zf_log hello\n")
    assert badge() == ("1 violation", "yellow")
    (folder / "b.zsh").write_text("_zf_warn hello\n")
    assert badge() == ("2 violations", "yellow")


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_a_failing_self_check_is_red(evidence: Evidence) -> None:
    path = evidence.root / "mine.zsh"
    path.write_text(FEATURE.replace("{phase}", "2"))
    assert evidence.perf("badge", "struct", str(path)).document["color"] == "green"
    path.write_text(FEATURE.replace("{phase}", "two"))
    badge = evidence.perf("badge", "struct", str(path)).document
    assert (badge["message"], badge["color"]) == ("self-check failed", "red")


@pytest.mark.parametrize("words", [("struct",), ("struct", "/nowhere/at-all"), ("streak", "/tmp")])
def test_structure_of_nothing(evidence: Evidence, words: tuple[str, ...]) -> None:
    assert evidence.perf("badge", *words).code == 1


def test_code_that_cannot_be_read_has_no_badge(evidence: Evidence) -> None:
    result = evidence.perf("badge", "struct", "/dev/null")
    assert (result.code, result.out) == (1, "")
    assert "cannot read: /dev/null; leave it out" in result.err


def test_a_folder_without_zsh_code(evidence: Evidence) -> None:
    (evidence.root / "empty").mkdir()
    result = evidence.perf("badge", "struct", str(evidence.root / "empty"))
    assert result.code == 1
    assert "no zsh file" in result.err
