"""The pages of `--html`: whole documents, nothing from elsewhere, every mark with a text."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.perf import Evidence, capture_file
from support.user import call

from zdeferd.perf.starts.page import comparison, flame, trends
from zdeferd.perf.starts.trace import Node
from zdeferd.perf.trend import Point, trend

SVG = re.compile(r"<svg .*?</svg>", re.DOTALL)


def pictures(page: str) -> list[ElementTree.Element]:
    """The pictures of a page that is whole, has no script and loads nothing."""
    assert page.startswith("<!doctype html>")
    assert page.endswith("</body></html>\n")
    assert "prefers-color-scheme:dark" in page
    for word in ("<script", "http", "url(", "@import", " src=", "<link"):
        assert word not in page
    return [ElementTree.fromstring(found) for found in SVG.findall(page)]


def compared(verdict: str = "slower") -> dict[str, object]:
    a = {"name": "/dots/<a>&", "median_ms": 100.0, "values": [99, 100, 101]}
    b = {"name": "/dots/b", "median_ms": 120.0, "values": [119, 120, 121]}
    return {"a": a, "b": b, "diff_ms": 20.0, "low": 18.0, "high": 22.0, "verdict": verdict}


def test_a_comparison_shows_each_sample_and_says_the_verdict() -> None:
    page = comparison(compared(), "first_prompt_lag")
    (picture,) = pictures(page)
    assert len(picture.findall("circle")) == 7, "six starts, and the difference"
    assert "slower: +20.00 ms from A to B, 95 % interval +18.00 to +22.00" in page
    texts = [text.text for text in picture.findall("text")]
    assert "A: /dots/<a>&" in texts
    assert "120.00 ms" in texts


def test_a_comparison_of_equal_samples_can_be_drawn() -> None:
    made = compared("same")
    for key in "ab":
        made[key] = {"name": key, "median_ms": 5.0, "values": [5.0, 5.0]}
    (picture,) = pictures(comparison(made, "x"))
    assert {circle.get("cx") for circle in picture.findall("circle")[:4]} == {"460.0"}


def test_a_trend_marks_medians_p95_and_the_jump() -> None:
    levels = [100] * 5 + [130] * 5
    points = [Point(f"2026-01-{day:02}", [ms, ms + 5]) for day, ms in enumerate(levels, 1)]
    page = trends({"x_ms": trend(points)})
    (picture,) = pictures(page)
    assert len(picture.findall("circle")) == 20
    assert "jump 2026-01-06" in page
    assert re.search(r"<b>(rising|flat): \+\d", page)


def test_the_line_of_a_trend_with_a_jump_stays_inside_the_picture() -> None:
    levels = [100] * 11 + [122] * 9
    points = [Point(f"2026-01-{day:02}", [ms, ms]) for day, ms in enumerate(levels, 1)]
    (picture,) = pictures(trends({"x_ms": trend(points)}))
    fitted = picture.findall("line")[0]
    assert all(0 <= float(fitted.get(key, "-1")) <= 180 for key in ("y1", "y2"))


def test_one_capture_can_be_drawn() -> None:
    (picture,) = pictures(trends({"x_ms": trend([Point("2026-01-01", [0])])}))
    assert len(picture.findall("circle")) == 2


def test_a_flame_graph_has_a_bar_for_each_line() -> None:
    root = Node("", 0, "first prompt")
    outer = root.children["/rc", 1] = Node("/rc", 1, "outer <x>", 10, 1)
    outer.children["/rc", 2] = Node("/rc", 2, "inner", 30, 1)
    outer.children["/rc", 3] = Node("/rc", 3, "too little", 0.1, 1)
    page = flame(root)
    (picture,) = pictures(page)
    titles = [title.text for title in picture.iter("title")]
    assert titles == [
        "40.10 ms, own 0.00: first prompt",
        "40.10 ms, own 10.00: /rc:1 outer <x>",
        "30.00 ms, own 30.00: /rc:2 inner",
    ]
    assert "too little" not in page
    assert "~/rc:1 outer" in flame(root, lambda said: said.replace("/rc", "~/rc"))


def test_the_verbs_write_pages(evidence: Evidence) -> None:
    evidence.folder.mkdir()
    capture_file(evidence.folder / "a.json", {"first_prompt_lag": [1, 2, 3]})
    out = evidence.root / "trend.html"
    assert evidence.perf("trend", "--html", str(out)).code == 0
    assert len(pictures(out.read_text())) == 1
    absent = str(evidence.root / "absent/x.html")
    assert evidence.perf("trend", "--html", absent).code == 1
    printed = evidence.perf("trend", "--html", "-")
    assert (printed.code, printed.out) == (0, out.read_text())
    assert evidence.perf("trend", "--html", "-", "--json").code == 1


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_compare_and_blame_write_pages(evidence: Evidence) -> None:
    dots = evidence.root / "dots"
    dots.mkdir()
    (dots / ".zshrc").write_text("zmodload zsh/zselect; zselect -t 1\nPROMPT='x> '\n")
    for verb in (("compare", str(dots), str(dots), "-n", "2"), ("blame", str(dots))):
        out: Path = evidence.root / f"{verb[0]}.html"
        assert call("perf", *verb, "--html", str(out)).code == 0
        assert len(pictures(out.read_text())) == 1
        assert len(pictures(call("perf", *verb, "--html", "-").out)) == 1
    assert "~/dots/.zshrc:1" in out.read_text()
