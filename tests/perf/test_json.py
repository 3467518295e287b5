"""docs/perf-json.md and what `zdeferctl perf … --json` prints have the same keys."""

import re
from typing import Any

import pytest
from support.documented import DOCS, documented, keys
from support.perf import SYNTHETIC, Evidence, capture_file

from zdeferd.cli.perf import SUBVERBS
from zdeferd.perf.reading import Feature
from zdeferd.perf.starts import compare
from zdeferd.perf.starts.capture import Captured, Plan, document
from zdeferd.perf.starts.revisions import Side

PAGE = "perf-json.md"
NAMES = {"metrics": "<metric>", "criteria": "<name>"}
FLAGS = {"partial", "synthetic_used", "ephemeral"}
"""Keys that are there where they are true."""


@pytest.fixture
def evidence(evidence: Evidence) -> Evidence:
    """An evidence folder with one run."""
    evidence.classify()
    return evidence


def found(made: Any, *without: str) -> set[str]:
    """The keys of a document, without those inside the ones that are named."""
    return {key for key in keys(made, NAMES) if not key.startswith(without)} | set(without)


def of(verb: str) -> set[str]:
    return documented(PAGE, f"`perf {verb}`")


def test_every_verb_has_its_section_in_order() -> None:
    headings = re.findall(r"^## `perf (\w+)`$", (DOCS / PAGE).read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(SUBVERBS)


def test_captures() -> None:
    log = {"feature/noop": ("core", 1.0), "pre_plugin_total": ("pre_plugin", 9.0)}
    captured = Captured([{"first_prompt_lag": 10.0}], [log], set(), [], "")
    plan = Plan(starts=1)
    assert found(document(captured, plan, "2026-01-01T00:00:00Z")) == of("capture")


def test_classify(evidence: Evidence) -> None:
    made = evidence.classify("--json").document
    assert found(made, "_debug.missing_metrics[]") == of("classify") - FLAGS
    flagged = evidence.classify("--json", "--goal", "explore", extra=SYNTHETIC, deferred_total=[])
    assert set(flagged.document) > FLAGS


def test_status(evidence: Evidence) -> None:
    assert found(evidence.perf("status", "--json").document, "last") == of("status")


def test_baselines(evidence: Evidence) -> None:
    words = (("show",), ("check",), ("reset", "--reason", "new"))
    made = [evidence.perf("baseline", *one, "--json").document for one in words]
    assert set.union(*map(found, made)) == of("baseline")


def test_readiness_and_enforcement(evidence: Evidence) -> None:
    assert found(evidence.perf("ready", "--json").document) == of("ready")
    assert found(evidence.perf("enforce", "status", "--json").document) == of("enforce")


def test_log(evidence: Evidence) -> None:
    words = ("--type", "investigation", "--scope", "prompt", "--notes", "so")
    added = evidence.perf("log", "add", *words, "--json").document
    shown = evidence.perf("log", "show", "--json").document
    assert found(shown) == of("log")
    assert list(shown["rows"][0]) == list(added)
    assert set(evidence.perf("log", "check", "--json").document) == {"log", "rows"}


def test_badges(evidence: Evidence) -> None:
    assert found(evidence.perf("badge", "streak").document) == of("badge")
    more = {"namedLogo", "cacheSeconds", "isError"}
    assert found(evidence.perf("badge", "summary-goal").document) == of("badge") | more
    states = {"governance", "ci", "streak", "explore", "generated_at", "source"}
    assert found(evidence.perf("badge", "goal-state").document) == states


def test_features_and_trends(evidence: Evidence) -> None:
    one = Feature("noop", "ok", 1, 1.0, 1.0)._asdict()
    for number, ms in enumerate((100, 100, 100, 200, 200, 200), 1):
        path = evidence.folder / f"{number}.json"
        capture_file(
            path, {"prompt_ready": [ms] * 5}, f"2026-01-0{number}T00:00:00Z", features=[one]
        )
    assert found(evidence.perf("features", "--json").document) == of("features")
    made = evidence.perf("trend", "--json").document
    change = "metrics.<metric>.change_point"
    assert found(made, change) == of("trend")
    keys_of_change = {"index", "generated_at", "before_ms", "after_ms"}
    assert set(made["metrics"]["prompt_ready_ms"]["change_point"]) == keys_of_change


def test_comparisons() -> None:
    sides = [Side(name, f"/{name}") for name in "ab"]
    verdict = compare.Compared(1.0, 2.0, 1.0, 0.5, 1.5, "slower", 0)
    assert found(compare.document(sides, [[1.0], [2.0]], verdict)) == of("compare")
