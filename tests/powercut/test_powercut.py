"""The short form of the campaign of power cuts, and that it can fail."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from powercut.audit import at_a_boot, at_the_end


def _why_not() -> str:
    if sys.platform != "linux" or not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse"
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "mounting needs root"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        return "a mount namespace is not allowed here"
    return ""


WHY_NOT = _why_not()
needs_fuse = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


def campaign(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "powercut", "--disks", "1", *options],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )


@needs_fuse
def test_five_power_cuts_break_no_rule() -> None:
    done = campaign("--cuts", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^cuts +5 in ", done.stdout), done.stdout


@needs_fuse
def test_a_disk_that_only_says_it_synced_is_found_out() -> None:
    done = campaign("--cuts", "5", "--lying", "--seed", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"was answered, and its claim is gone|was marked|damaged", done.stdout)


# --- the rules can fail --------------------------------------------------------


def run(**changed: Any) -> dict[str, Any]:
    found = {"id": 1, "job": "a-rc0", "key": "shell:n1", "state": "ended", "attempt": 1}
    found |= {"boot": "boot-1", "outcome": "succeeded", "rc": 0, "wall_ms": 5}
    return found | changed


LINE, TOTAL = b"DEFERRED id=a-rc0 ms=5 rc=0", b"SEGMENT name=deferred_total ms=5 sample=n1"


def seen(**changed: Any) -> Any:
    """One run that went as it should, but for what is changed."""
    machine = SimpleNamespace(answered=["n1"], boots=1)
    evidence = {"machine": machine, "integrity": "ok", "runs": [run()], "lines": []}
    evidence |= {"batches": [{"shell": "n1", "ended_at": 1.0}], "starts": Counter({"a-rc0": 1})}
    evidence |= {"logged": Counter([LINE, TOTAL])}
    return SimpleNamespace(**evidence | changed)


def test_what_went_well_breaks_no_rule() -> None:
    assert at_the_end(seen(), {}) == []


@pytest.mark.parametrize(
    ("changed", "breach"),
    [
        ({"integrity": "row missing"}, "the ledger is damaged"),
        ({"runs": [run(key="shell:n2")]}, "shell n1 was answered"),
        ({"starts": Counter({"a-rc0": 2})}, "a-rc0 has started 2 times"),
        ({"runs": [run(state="claimed", outcome=None)]}, "a-rc0 has started 1 times, with 0"),
        ({"starts": Counter()}, "its job has never started"),
        ({"runs": [run(), run(id=2)]}, "a-rc0 was claimed 2 times"),
        ({"runs": [run(), *(run(job="once-ever", key=k) for k in "ab")]}, "claimed too often"),
        ({"runs": [run(rc=1)]}, "ended with 1, not 0"),
        ({"logged": Counter([LINE, LINE, TOTAL])}, "is 2 times in the log"),
        ({"logged": Counter([TOTAL])}, "was marked, and is not in the log"),
        ({"logged": Counter([LINE])}, "the batch of n1 has 0 lines"),
        ({"lines": [{"text": b"x", "state": "lost"}]}, "a line was given up"),
        ({"runs": [run(state="dispatched", outcome=None)]}, "run 1 has no outcome"),
        ({"runs": [run(outcome="abandoned")]}, "its boot had no power cut"),
    ],
)
def test_each_breach_is_said(changed: dict[str, Any], breach: str) -> None:
    assert any(breach in said for said in at_the_end(seen(**changed), {}))


def test_an_outcome_that_changes_is_said() -> None:
    ended: dict[int, tuple[str, int | None]] = {1: ("abandoned", 255)}
    assert any("had ended" in said for said in at_a_boot(seen(), ended))
