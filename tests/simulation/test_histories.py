"""Histories from seeds: the share of `make simulate` that every test run plays.

And what makes a failing one worth having: the same seed is the same history, wherever it
is played, and a person can read it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from .chance import play, play_all
from .promises import Invariant

SEEDS = range(1, 801)
TESTS = Path(__file__).parent.parent


def test_every_invariant_holds_in_every_history() -> None:
    failed: dict[int, str] = {}

    def note(seed: int, failure: BaseException) -> bool:
        failed[seed] = repr(failure)
        return len(failed) > 4

    play_all(SEEDS, note)
    assert failed == {}, "each is told by: make simulate SEED=n"


def test_a_seed_is_a_history() -> None:
    first: list[str] = []
    play(7, first)
    for hash_seed in ("1", "2"):
        environ = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": _python_path()}
        command = [sys.executable, "-m", "simulation", "--seed", "7"]
        told = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True)
        assert told.stdout.splitlines() == [*first, "seed 7: every invariant holds"]


def _python_path() -> str:
    return os.pathsep.join([str(TESTS), *(path for path in sys.path if path)])


def test_a_history_says_who_did_what_and_when() -> None:
    notes: list[str] = []
    play(8, notes)
    assert notes[0].split(maxsplit=1)[1] == "02. 21:30:00.000 daemon starts, boot b1"
    said = "\n".join(notes)
    for words in ("visits: seq 1: postprompt", "is claimed", "the faults are over", "has left"):
        assert words in said


def test_what_happens_differs_from_seed_to_seed() -> None:
    said = ""
    for seed in range(1, 240):
        notes: list[str] = []
        play(seed, notes)
        said += "\n".join(notes)
    for words in (
        *("daemon is killed", "spawner is killed", "runner is killed", "machine reboots"),
        *("loses its power", "sets its clock", "sleeps", "renames the log", "removes the log"),
        *("hangs up", "loses a message", "cancel", "runs out of time", "zdeferctl run"),
        *("trouble: ledger", "trouble: /log", "trouble: /state", "trouble: processes"),
        *("abandoned", "cancelled", "timed_out", "missed", "failed", "succeeded", "boot b2"),
        *(
            "/made/one of run",
            "/made/one, and compiled",
            "asks for f0=",
            "tells n1: over",
        ),
        *("changes the job files", "changes w0", "IDLE:START", "stranger writes", "has left"),
    ):
        assert words in said, words


def test_the_document_has_every_invariant() -> None:
    text = (TESTS.parent / "docs" / "checks.md").read_text()
    section = text.partition("\n## Invariants of the simulation\n")[2].partition("\n## ")[0]
    named = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    assert [name for name in named if name not in ("invariant", "---")] == list(Invariant)
