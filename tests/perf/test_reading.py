"""Reading captures and logs, with all that can stand in them."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.user import User

from zdeferd.perf import reading
from zdeferd.perf.reading import Unreadable, read
from zdeferd.telemetry import lines

SEGMENT = "SEGMENT name={} ms={} phase=prompt sample=cold"
CAPTURE: dict[str, Any] = {
    "schema": reading.SCHEMA,
    "generated_at": "2026-01-01T00:00:00Z",
    "requested": 2,
    "samples": 2,
    "failed": 0,
    "context": "cold",
    "metrics": {"first_prompt_lag_ms": {"values": [12.5, 13.25]}},
    "segments": [{"label": "compinit", "phase": "post_plugin", "samples": 2, "values": [3, 4]}],
    "features": [{"name": "noop", "status": "ok", "samples": 2, "mean_ms": 1.5, "max_ms": 2}],
}


def log(home: Path, *parts: str, end: str = "\n") -> str:
    path = home / "perf.log"
    path.write_bytes("".join(f"{part}{end}" for part in parts).encode())
    return str(path)


def test_each_segment_is_a_value_and_stays_as_it_was_read(home: Path) -> None:
    path = log(home, *(SEGMENT.format("prompt_ready", ms) for ms in (334, 0, 336)))
    assert read(path).values == {"prompt_ready": [334, 0, 336]}
    assert repr(read(path).values["prompt_ready"]) == "[334, 0, 336]"


@pytest.mark.parametrize(
    "line",
    [
        "# a remark",
        "POLICY x=1",
        SEGMENT.format("prompt_ready", -5),
        SEGMENT.format("prompt_ready", "NaN"),
        SEGMENT.format("prompt_ready", "1.5"),
        SEGMENT.format("prompt_ready", "9" * 20),
        SEGMENT.format("prompt_ready", 10**15 + 1),
        SEGMENT.format("prompt_ready", "007"),
        SEGMENT.format("Prompt_ready", 5),
        "SEGMENT name=prompt_ready ms=33",
        "SEGMENT name=prompt_ready ms=334 phase=lunch sample=cold",
        " " + SEGMENT.format("prompt_ready", 5),
        SEGMENT.format("prompt_ready", 5) + " extra=1",
        "SEGMENT name=prompt_ready ms=5 phase=prompt sample=",
        "\0\x1b[31m",
    ],
)
def test_other_lines_are_passed_over_as_the_grammar_says(home: Path, line: str) -> None:
    assert not isinstance(lines.parse(line), lines.Segment)
    path = log(home, line, SEGMENT.format("prompt_ready", 7))
    assert read(path).values == {"prompt_ready": [7]}


def test_carriage_returns_are_passed_over(home: Path) -> None:
    path = log(home, SEGMENT.format("prompt_ready", 7), "PRE_PLUGIN_COMPLETE 9", end="\r\n")
    assert read(path).values == {"prompt_ready": [7], "pre_plugin_total": [9]}


def test_a_legacy_marker_counts_only_without_a_segment(home: Path) -> None:
    path = log(
        home, "PROMPT_READY_COMPLETE 90", "PRE_PLUGIN_COMPLETE 30", "POST_PLUGIN_COMPLETE 40",
        SEGMENT.format("pre_plugin_total", 31), "POST_PLUGIN_SEGMENT essential/git 12",
    )  # fmt: skip
    assert read(path, ["essential/git"]).values == {
        "prompt_ready": [90], "pre_plugin_total": [31], "post_plugin_total": [40],
        "essential/git": [12],
    }  # fmt: skip


def test_synthetic_data_is_seen(home: Path) -> None:
    assert not read(log(home, "# SYNTHETIC_FALLBACK_INSERTED=1")).synthetic
    assert read(log(home, "#SYNTHETIC_FALLBACK_INSERTED=1")).synthetic


def test_labels_are_those_of_segments(home: Path) -> None:
    path = log(home, SEGMENT.format("b", 1), SEGMENT.format("a", 1), "PRE_PLUGIN_COMPLETE 9")
    assert read(path).labels == ("a", "b")


def test_lines_across_blocks_are_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK", 7)
    path = log(home, *(SEGMENT.format("prompt_ready", ms) for ms in range(50)))
    assert read(path).values == {"prompt_ready": list(range(50))}


def test_a_line_without_an_end_is_bounded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK", 4096)
    path = log(home, "x" * 50_000, SEGMENT.format("prompt_ready", 7))
    assert read(path).values == {"prompt_ready": [7]}


def test_100_mb_in_bounded_memory(user: User) -> None:
    path = user.root / "large.log"
    block = f"{SEGMENT.format('prompt_ready', 334)}\n{'other words ' * 8}\n" * 7000
    with path.open("w") as file:
        while file.tell() < 100_000_000:
            file.write(block)
    code = (
        "import resource\nfrom zdeferd.perf.reading import read\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"data = read({str(path)!r})\n"
        "print(len(data.values['prompt_ready']),"
        " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    result = user.python(code)
    count, grown = map(int, result.out.split())
    assert count > 500_000
    unit = 1 if sys.platform == "darwin" else 1024
    assert grown * unit < 40 << 20


def capture(home: Path, **changes: Any) -> str:
    path = home / "capture.json"
    path.write_text(json.dumps(CAPTURE | changes))
    return str(path)


def test_a_capture_has_metrics_segments_and_features(home: Path) -> None:
    data = read(capture(home))
    assert data.values == {"first_prompt_lag": [12.5, 13.25], "compinit": [3, 4]}
    assert (data.samples, data.labels) == (2, ("compinit",))
    assert data.features == (("noop", "ok", 2, 1.5, 2),)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schema": "other"}, "'other'"),
        ({"metrics": {"a_ms": {"values": [float("nan")]}}}, "a_ms: nan"),
        ({"metrics": {"a_ms": {"values": [-1]}}}, "a_ms: -1"),
        ({"metrics": {"a_ms": {"values": [1e300]}}}, "a_ms: 1e+300"),
        ({"metrics": {"a_ms": {"values": [10**400]}}}, "a_ms: 1000"),
        ({"metrics": {"a_ms": {"values": ["7"]}}}, "a_ms: '7'"),
        ({"metrics": {"a_ms": {"values": [True]}}}, "a_ms: True"),
        ({"metrics": {"a_ms": {}}}, "missing 'values'"),
        ({"metrics": []}, "damaged capture"),
        ({"metrics": {"a_ms": 7}}, "damaged capture"),
        ({"samples": "two"}, "samples: 'two'"),
        ({"segments": [7]}, "damaged capture"),
    ],
)
def test_a_damaged_capture_is_refused_and_named(
    home: Path, changes: dict[str, Any], named: str
) -> None:
    path = capture(home, **changes)
    with pytest.raises(Unreadable) as refused:
        read(path)
    assert path in str(refused.value)
    assert named in str(refused.value)


@pytest.mark.parametrize("text", ["{", '{"a": 1', "{" + '"a":[' * 100_000, '{"a": ' + "9" * 5000])
def test_half_a_capture_is_refused(home: Path, text: str) -> None:
    path = home / "capture.json"
    path.write_text(text)
    with pytest.raises(Unreadable, match="not JSON"):
        read(str(path))


def test_a_file_that_is_not_there(home: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        read(str(home / "absent"))


def test_the_default_metrics() -> None:
    assert reading.default_metrics({"post_plugin_total"}) == reading.FIRST_CHOICE
    assert reading.default_metrics({"deferred_total"}) == reading.SECOND_CHOICE
