"""Trends, jumps, and `zdeferctl perf trend` and `perf features`."""

import random
import re
from collections.abc import Sequence

import pytest
from support.perf import Evidence, capture_file

from zdeferd.perf.trend import Point, plot, trend

KEYS = "captures slope_ms_per_capture slope_low slope_high p50 p95 verdict change_point"


def of(medians: Sequence[float]) -> dict[str, object]:
    return trend([Point(f"2026-01-{day:02}T00:00:00Z", [ms]) for day, ms in enumerate(medians, 1)])


def noisy(count: int, step: float = 0, jump: float = 0, seed: int = 1) -> list[float]:
    dice = random.Random(seed)
    return [
        100 + step * at + (jump if at >= count // 2 else 0) + dice.gauss(0, 2)
        for at in range(count)
    ]


@pytest.mark.parametrize(
    ("medians", "verdict"),
    [
        ([100, 110, 120, 130], "unknown"),
        ([100, 110, 120, 130, 140], "rising"),
        ([140, 130, 120, 110, 100], "falling"),
        ([100] * 9, "flat"),
        ([100, 101, 102, 103, 104], "flat"),
        ([0] * 6, "flat"),
        ([100, 200, 90, 210, 95, 190, 100], "flat"),
        (noisy(20, step=1), "rising"),
        (noisy(20), "flat"),
    ],
)
def test_verdicts(medians: list[float], verdict: str) -> None:
    assert of(medians)["verdict"] == verdict


def test_the_first_capture_after_a_jump_is_named() -> None:
    found = of([100, 101, 99, 100, 100, 130, 131, 129, 130, 131])["change_point"]
    assert found == {
        "index": 5, "generated_at": "2026-01-06T00:00:00Z", "before_ms": 100, "after_ms": 130
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_jump_is_found_in_noise_and_none_in_noise_alone(seed: int) -> None:
    found = of(noisy(20, jump=15, seed=seed))["change_point"]
    assert isinstance(found, dict)
    assert abs(found["index"] - 10) <= 1
    assert of(noisy(20, seed=seed))["change_point"] is None


@pytest.mark.parametrize(
    "medians",
    [[100, 102, 104, 106, 108, 110, 112, 114], [100] * 8, [100, 100, 100, 100, 150], [0] * 6],
)
def test_no_jump(medians: list[float]) -> None:
    assert of(medians)["change_point"] is None


def test_marks_from_lowest_to_highest() -> None:
    assert plot([1, 2, 8]) == "▁▂█"
    assert plot([5, 5]) == "▁▁"


# --- the verb ------------------------------------------------------------------


def captures(evidence: Evidence, medians: Sequence[float]) -> list[str]:
    """Captures in the folder, under names that say nothing of their order."""
    evidence.folder.mkdir()
    return [
        capture_file(
            evidence.folder / f"{hash((at, 'x')) & 0xFFFF:x}-{at}.json",
            {"first_prompt_lag": [ms - 1, ms, ms + 1]},
            f"2026-01-{at + 1:02}T00:00:00Z",
            3,
        )
        for at, ms in enumerate(medians)
    ]


def test_the_folders_captures_in_order_of_their_time(evidence: Evidence) -> None:
    captures(evidence, [100, 110, 120, 130, 140])
    evidence.classify()  # baselines and the state are no captures
    document = evidence.perf("trend", "--json").document
    (found,) = document["metrics"].values()
    assert " ".join(found) == KEYS
    assert found["p50"] == [100, 110, 120, 130, 140]
    assert found["p95"] == [101, 111, 121, 131, 141]
    assert found["slope_ms_per_capture"] == found["slope_low"] == found["slope_high"] == 10
    assert found["verdict"] == "rising"


def test_the_last_of_them(evidence: Evidence) -> None:
    captures(evidence, [100, 110, 120, 130, 140])
    found = evidence.perf("trend", "--json", "--last", "2").document["metrics"]
    assert found["first_prompt_lag_ms"]["p50"] == [130, 140]


def test_a_table_with_plots(evidence: Evidence) -> None:
    captures(evidence, [100, 100, 100, 130, 130, 130])
    result = evidence.perf("trend", "--plot")
    assert re.search(r"first_prompt_lag_ms\s+6\s+100.00\s+130.00", result.out)
    assert "2026-01-04T00:00:00Z: 100.00 → 130.00" in result.out
    assert "first_prompt_lag_ms  ▁▁▁███" in result.out


def test_fail_on_rising(evidence: Evidence) -> None:
    captures(evidence, [100, 110, 120, 130, 140])
    assert evidence.perf("trend").code == 0
    assert evidence.perf("trend", "--fail-on", "rising").code == 1


def test_files_in_place_of_the_folder(evidence: Evidence) -> None:
    first, *others = captures(evidence, [100, 110, 120])
    found = evidence.perf("trend", *others, first, "--json").document["metrics"]
    assert found["first_prompt_lag_ms"]["p50"] == [100, 110, 120]


def test_no_capture(evidence: Evidence) -> None:
    assert "no capture in" in evidence.perf("trend").err
    evidence.classify()
    assert evidence.perf("trend").code == 1
    captured = capture_file(evidence.root / "a.json", {"x": [1]})
    assert "no capture has these" in evidence.perf("trend", captured).err
    log = str(evidence.root / "perf.log")
    result = evidence.perf("trend", captured, log)
    assert result.code == 1
    assert f"not a capture: {log}; `perf capture --output` writes one" in result.err


def test_a_damaged_capture_is_named(evidence: Evidence) -> None:
    path = captures(evidence, [100])[0]
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text[: len(text) // 2])
    result = evidence.perf("trend")
    assert result.code == 1
    assert path in result.err


def test_too_many(evidence: Evidence) -> None:
    assert "at most 500" in evidence.perf("trend", "--last", "501").err


# --- features ------------------------------------------------------------------


def features(evidence: Evidence, *words: str, mean: float = 3) -> tuple[int, str, str]:
    found = [
        {"name": "noop", "status": "ok", "samples": 2, "mean_ms": mean, "max_ms": 4},
        {"name": "git-x", "status": "error", "samples": 2, "mean_ms": 1.5, "max_ms": 2},
    ]
    path = capture_file(evidence.root / "a.json", {"x": [1]}, features=found)
    return evidence.perf("features", path, *words)


def test_raw_lines_are_sorted(evidence: Evidence) -> None:
    code, out, _ = features(evidence, "--raw")
    assert code == 0
    assert out == "timing.git-x=1.50\ntiming.noop=3.00\nstatus.git-x=error\nstatus.noop=ok\n"


def test_a_table(evidence: Evidence) -> None:
    _, out, _ = features(evidence, "--table")
    assert re.search(r"git-x\s+1.50\s+error\nnoop\s+3.00\s+ok", out)


def test_over_the_budget(evidence: Evidence) -> None:
    assert features(evidence, mean=18.5)[0] == 0
    code, _, err = features(evidence, mean=18.6)
    assert (code, "over the budget: 20.10 ms, 20 allowed" in err) == (1, True)
    assert features(evidence, "--budget", "21", mean=18.6)[0] == 0
    assert features(evidence, "--budget", "20.5", mean=18.6)[0] == 0
    assert features(evidence, "--budget=20.05", mean=18.6)[0] == 1


def test_no_features(evidence: Evidence) -> None:
    path = capture_file(evidence.root / "a.json", {"x": [1]})
    assert evidence.perf("features", path).code == 1
    assert evidence.perf("features").code == 1


def test_features_of_the_newest_capture(evidence: Evidence) -> None:
    evidence.folder.mkdir()
    one = {"name": "noop", "status": "ok", "samples": 1, "mean_ms": 1, "max_ms": 1}
    capture_file(evidence.folder / "b.json", {"x": [1]}, "2026-01-01T00:00:00Z")
    capture_file(evidence.folder / "a.json", {"x": [1]}, "2026-01-02T00:00:00Z", features=[one])
    document = evidence.perf("features", "--json").document
    assert [feature["name"] for feature in document["features"]] == ["noop"]
