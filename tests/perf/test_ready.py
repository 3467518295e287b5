"""A1 to A8, and `perf ready` and `perf enforce`."""

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.perf import SYNTHETIC, Evidence
from support.spawning import until
from support.user import Result, User, ctl_script

from zdeferd.perf import evidence as storage
from zdeferd.perf import logbook
from zdeferd.perf.readiness import Outside, criteria

TODAY = time.strftime("%Y-%m-%d", time.gmtime())
ALL_WELL = Outside([], None, None, None)


def run(**changes: Any) -> dict[str, Any]:
    made = {
        "overall_status": "OK",
        "goal": "governance",
        "metrics": {"prompt_ready_ms": {"delta_pct": 1.0, "rsd_pct": 2.0}},
        "segments": ["a", "b"],
        "_debug": {"partial": 0, "synthetic_used": 0},
    }
    return made | changes


def states(runs: list[dict[str, Any]], outside: Outside = ALL_WELL) -> dict[str, str]:
    return {one.name: one.state for one in criteria(runs, outside)}


def test_all_hold() -> None:
    assert states([run()] * 3) == {
        "A1": "yes", "A2": "yes", "A3": "n/a", "A4": "yes", "A5": "n/a", "A6": "yes", "A7": "n/a",
        "A8": "yes",
    }  # fmt: skip


def test_nothing_yet() -> None:
    assert states([])["A1"] == "no"
    assert [name for name, state in states([]).items() if state == "no"] == ["A1", "A2", "A6", "A8"]


WARNED = run(overall_status="WARN")
NEAR = run(metrics={"prompt_ready_ms": {"delta_pct": 9.01, "rsd_pct": 2}})
NOISY = run(metrics={"prompt_ready_ms": {"delta_pct": 1, "rsd_pct": 5.01}})
LAGGING = run(metrics={"first_prompt_lag_ms": {"delta_pct": 1, "rsd_pct": 5.01}})
BARE = run(metrics={"command_lag_ms": {"delta_pct": 1, "rsd_pct": 1}})
RENAMED = run(segments=["a"])
UNSEGMENTED = run(segments=[])
PARTIAL = run(_debug={"partial": 1, "synthetic_used": 0})
FILLED = run(_debug={"partial": 0, "synthetic_used": 1})
STREAK = run(goal="streak")


@pytest.mark.parametrize(
    ("runs", "name", "state"),
    [
        ([run()] * 2, "A1", "no"),
        ([WARNED, run(), run(), run()], "A1", "yes"),
        ([run(), WARNED, run(), run()], "A1", "no"),
        ([run(), run(), NEAR], "A1", "no"),
        ([run(), NEAR, run()], "A1", "yes"),
        ([run(), run(), RENAMED], "A4", "no"),
        ([RENAMED, run(), run(), run()], "A4", "yes"),
        ([run(), UNSEGMENTED, run()], "A4", "no"),
        ([UNSEGMENTED] * 3, "A4", "n/a"),
        ([run()] * 2, "A4", "no"),
        ([run(), run(), NOISY], "A6", "no"),
        ([NOISY, run(), run()], "A6", "yes"),
        ([LAGGING] * 3, "A6", "no"),
        ([BARE] * 3, "A6", "no"),
        ([run(), run(), PARTIAL], "A8", "no"),
        ([FILLED, run(), run()], "A8", "no"),
        ([run(), run(), run(), STREAK], "A8", "yes"),
        ([run(), run(), STREAK], "A8", "no"),
    ],
)
def test_each_criterion(runs: list[dict[str, Any]], name: str, state: str) -> None:
    assert states(runs)[name] == state


def test_what_files_say() -> None:
    found = states([run()] * 3, Outside(["a_ms"], False, ["secret"], False))
    assert [name for name, state in found.items() if state == "no"] == ["A2", "A3", "A5", "A7"]
    assert set(states([run()] * 3, Outside([], True, [], True)).values()) == {"yes"}


# --- the verbs -----------------------------------------------------------------


def earned(evidence: Evidence) -> None:
    """Baselines, and three governance runs that are OK."""
    for _ in range(4):
        evidence.classify("--goal", "governance")


def ready(evidence: Evidence, *words: str) -> Result:
    return evidence.perf("ready", "--readme", str(evidence.root / "README.md"), *words)


def enforce(evidence: Evidence, *words: str) -> Result:
    return evidence.perf("enforce", *words, "--readme", str(evidence.root / "README.md"))


def test_ready(evidence: Evidence) -> None:
    earned(evidence)
    result = ready(evidence)
    assert result.code == 0
    lines = result.out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [f"A{n}" for n in range(1, 9)]
    assert all(re.match(r"A\d (yes|n/a) \S", line) for line in lines[:-1])
    assert lines[-1] == "ready"
    assert ready(evidence, "--json").document["ready"] is True


def test_not_ready(evidence: Evidence) -> None:
    earned(evidence)
    evidence.classify(prompt_ready=[300, 400, 300, 400, 275])
    (evidence.folder / "deferred_total-baseline.json").write_text("{")
    result = ready(evidence)
    assert result.code == 1
    assert result.out.splitlines()[-1] == "not ready: A2 A6"
    assert ready(evidence, "--json").document["failing"] == ["A2", "A6"]


def test_a5_of_a_readme_that_is_not_in_step(evidence: Evidence) -> None:
    earned(evidence)
    (evidence.root / "README.md").write_text("no markers")
    assert "A5 n/a" in ready(evidence).out
    (evidence.root / "README.md").write_text(
        "<!-- BEGIN:SEGMENTS_SYNC -->\n<!-- END:SEGMENTS_SYNC -->\n"
    )
    assert ready(evidence).out.splitlines()[-1] == "not ready: A5"


@pytest.mark.parametrize("markers", [b"", b"<!-- BEGIN:SEGMENTS_SYNC -->"])
def test_pages_that_are_no_text(evidence: Evidence, markers: bytes) -> None:
    earned(evidence)
    page = evidence.root / "README.md"
    page.write_bytes(b"\xff\xfe" + markers)
    (evidence.folder / "perf-sidecar.jsonl").write_text('{"type":"segment"}\n')
    result = ready(evidence, "--privacy", str(page))
    assert f"A5 {'no' if markers else 'n/a'} " in result.out
    assert "A7 no not named: type" in result.out


def test_a7_of_a_sidecar(evidence: Evidence) -> None:
    earned(evidence)
    sidecar = evidence.folder / "perf-sidecar.jsonl"
    sidecar.write_text('{"type":"segment","name":"x","ms":0,"phase":"core","sample":"a","ts":1}\n')
    assert "A3 no" in ready(evidence).out  # ts has 13 digits
    assert "A7 yes" in ready(evidence).out
    sidecar.write_text(sidecar.read_text().replace('"ts":1', '"ts":1700000000000'))
    assert "A3 yes" in ready(evidence).out
    sidecar.write_text('{"type":"segment","hostname":"x"}\n')
    assert "A7 no not named: hostname" in ready(evidence).out
    page = evidence.root / "privacy.md"
    page.write_text("`type` and `hostname`")
    assert "A7 yes" in ready(evidence, "--privacy", str(page)).out
    assert ready(evidence, "--privacy", str(evidence.root / "absent")).code == 1


def test_enforcement_is_earned(evidence: Evidence) -> None:
    assert "not ready: A1 A2 A6 A8" in enforce(evidence, "on", "--reason", "x").err
    assert evidence.perf("enforce", "status").out == "enforce: off\n"
    earned(evidence)
    result = enforce(evidence, "on", "--reason", "steady")
    assert result == (0, f"enforce: on since {TODAY}, 0 of 3 watched runs\n", "")
    row = logbook.rows((evidence.folder / "PERFORMANCE_LOG.md").read_text())[-1]
    assert row == (
        f"| {TODAY} | governance | performance-classifier | 0 | — | 335ms | 0.3% "
        f"| baseline-{TODAY} | pass | enforce on: steady (goal=governance, A8 satisfied) |"
    )
    assert enforce(evidence, "on", "--reason", "again").code == 0
    assert len(logbook.rows((evidence.folder / "PERFORMANCE_LOG.md").read_text())) == 1


def test_enforce_is_the_default_mode_then(evidence: Evidence) -> None:
    earned(evidence)
    enforce(evidence, "on", "--reason", "steady")
    assert evidence.classify(scale=1.5).code == 3
    assert evidence.classify("--mode", "observe", scale=1.5).code == 0
    assert evidence.status()["enforce_active"] is True
    assert evidence.perf("enforce", "status", "--json").document == {
        "enforce_active": True, "since": TODAY, "reason": "steady", "watched": 3,
    }  # fmt: skip
    evidence.classify()
    assert "3 of 3 watched runs" in evidence.perf("enforce", "status").out


def test_back_to_observing(evidence: Evidence) -> None:
    earned(evidence)
    enforce(evidence, "on", "--reason", "steady")
    baseline = evidence.baseline("prompt_ready")
    assert enforce(evidence, "off", "--reason", "noise").out == "enforce: off\n"
    assert evidence.baseline("prompt_ready") == baseline
    rows = logbook.rows((evidence.folder / "PERFORMANCE_LOG.md").read_text())
    assert "| enforce off: noise |" in rows[-1]
    assert enforce(evidence, "off").code == 0
    assert evidence.classify(scale=1.5).code == 0


def test_switched_on_by_two_processes_at_once_has_one_row(user: User, evidence: Evidence) -> None:
    words = ("enforce", "on", "--force", "--reason", "x", "--baseline-dir", str(evidence.folder))
    script = str(ctl_script(user))
    with storage.locked(str(evidence.folder)):  # both have read the state before either writes
        both = [
            subprocess.Popen([script, "perf", *words], env=user.env, stdout=subprocess.DEVNULL)
            for _ in range(2)
        ]
        until(lambda: all(is_at_a_lock(process.pid) for process in both))
    assert [process.wait(timeout=200) for process in both] == [0, 0]
    assert len(logbook.rows((evidence.folder / "PERFORMANCE_LOG.md").read_text())) == 1


def is_at_a_lock(pid: int) -> bool:
    """Whether a process waits in flock."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f" {pid} " in line for line in lines)


def test_forced(evidence: Evidence) -> None:
    evidence.classify(extra=SYNTHETIC)
    evidence.classify()
    evidence.classify()
    assert enforce(evidence, "on", "--reason", "now", "--force").code == 0
    row = logbook.rows((evidence.folder / "PERFORMANCE_LOG.md").read_text())[-1]
    assert "| enforce on: now (forced: A1 A8) |" in row


@pytest.mark.parametrize("action", ["on"])
def test_a_reason_is_needed(evidence: Evidence, action: str) -> None:
    earned(evidence)
    assert enforce(evidence, action).code == 1
    assert enforce(evidence, action, "--reason", "  ").code == 1
    assert evidence.perf("enforce", "status").out == "enforce: off\n"


def test_an_edited_log_stops_it(evidence: Evidence) -> None:
    earned(evidence)
    evidence.perf("log", "add", "--type", "infra", "--scope", "x")
    (evidence.folder / "PERFORMANCE_LOG.md").write_text("")
    assert "edited log" in enforce(evidence, "on", "--reason", "x").err
    assert evidence.perf("enforce", "status").out == "enforce: off\n"
