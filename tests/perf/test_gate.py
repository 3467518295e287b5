"""`examples/ci/perf-gate`: its exit codes, and the badges that it leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.perf import Evidence, log_file
from support.user import User, ctl_script

ROOT = Path(__file__).parents[2]
GATE = ROOT / "examples/ci/perf-gate"


def gate(user: User, evidence: Evidence, **values: list[int]) -> int:
    """Run the gate on a log of these values; -> its exit code."""
    measured = {
        name: [100] * 5
        for name in ("prompt_ready", "pre_plugin_total", "post_plugin_total", "deferred_total")
    }
    source = log_file(user.root / "perf.log", {k: v for k, v in (measured | values).items() if v})
    path = f"{ctl_script(user).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(GATE), "--from", source, "--baseline-dir", str(evidence.folder)],
        cwd=user.root,
        env=user.env | {"PATH": path},
        capture_output=True,
        timeout=200,
        check=False,
    )
    return done.returncode


def badge(user: User, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((user.root / "badges" / f"{name}.json").read_text())
    return found


def test_a_steady_start_passes(user: User, evidence: Evidence) -> None:
    assert gate(user, evidence) == 0
    assert gate(user, evidence) == 0
    assert badge(user, "goal-state")["ci"] == "strict"
    assert badge(user, "summary-goal")["isError"] is False


@pytest.mark.parametrize(("now", "code"), [([115] * 5, 2), ([130] * 5, 3), ([], 3)])
def test_a_slower_start_fails(user: User, evidence: Evidence, now: list[int], code: int) -> None:
    gate(user, evidence)
    assert gate(user, evidence, prompt_ready=now) == code
    assert badge(user, "summary-goal")["isError"] is (code == 3)


def test_a_readme_that_is_not_in_step_fails(user: User, evidence: Evidence) -> None:
    gate(user, evidence)
    (user.root / "README.md").write_text(
        "<!-- BEGIN:SEGMENTS_SYNC -->\n<!-- END:SEGMENTS_SYNC -->\n"
    )
    assert gate(user, evidence) == 1


def test_a_real_start_passes_and_fails_when_it_is_slower(user: User) -> None:
    tried = subprocess.run(
        [str(ROOT / "tools/try-perf-gate"), sys.executable],
        env=user.env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (tried.returncode, tried.stderr) == (0, "")


def test_continuous_integration_runs_the_gate() -> None:
    assert "make gate" in (ROOT / ".ci/run").read_text().splitlines()
