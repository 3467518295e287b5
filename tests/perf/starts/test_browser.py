"""The pages of `--html` in a headless Chromium: drawn, readable, and without any request.

What is readable is judged from the pixels of a screenshot: the letters' contrast to the paper.
The browser is told that no host name has an address, and logs the requests that it makes.
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import zlib
from collections import Counter
from pathlib import Path

import pytest

from zdeferd.perf.starts.page import comparison, flame, trends
from zdeferd.perf.starts.trace import Node
from zdeferd.perf.trend import Point, trend
from zdeferd.pictures.costs import Costs, DayCost, JobCost
from zdeferd.pictures.report import html

CHROMIUM = shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium here")
LIMIT_S = 300
WIDTH, HEIGHT = 900, 700
OF_BROWSER = "not an origin"
Pixel = tuple[int, int, int]


def compared() -> str:
    values = [98.0, 99.5, 100.0, 101.0, 103.0]
    a = {"name": "~/dots", "median_ms": 100.0, "values": values}
    b = {"name": "~/new", "median_ms": 110.0, "values": [ms + 10 for ms in values]}
    found = {"diff_ms": 10.0, "low": 8.0, "high": 12.0, "verdict": "slower"}
    return comparison({"a": a, "b": b, **found}, "first_prompt_lag")


def risen() -> str:
    levels = [100] * 5 + [130] * 5
    points = [Point(f"2026-01-{day:02}", [ms, ms + 5]) for day, ms in enumerate(levels, 1)]
    return trends({"first_prompt_lag_ms": trend(points)})


def blamed() -> str:
    root = Node("", 0, "first prompt")
    outer = root.children["/rc", 1] = Node("/rc", 1, "source plugins.zsh", 20, 1)
    outer.children["/rc", 2] = Node("/rc", 2, "compinit", 60, 1)
    outer.children["/rc", 3] = Node("/rc", 3, "nvm.sh", 30, 1)
    return flame(root)


def reported() -> str:
    jobs = [
        JobCost("tool-completions", 40, 0, 380.0, 15200, 9100, 61440, 212, 80560.0),
        JobCost("updates-waiting", 30, 2, 1900.0, 57000, 12300, 40960, 180, 342000.0),
    ]
    days = [
        DayCost(f"2026-10-{day:02}", 3, int(day == 9), 2400, 300 * (day % 7) + 200)
        for day in range(1, 29)
    ]
    failures = [
        {"job": "updates-waiting", "id": 7, "ended_at": 1e9, "outcome": "failed", "rc": 3}
        | {"wall_ms": 1900}
    ]
    sums = {"succeeded": 68, "failed": 2}
    found = Costs(1e9, 1e9 + 28 * 86400, 1e9, 240, sums, 72200, jobs, days, failures)  # type: ignore[arg-type]
    return html(found)


PAGES = {"compare": compared, "trend": risen, "blame": blamed, "report": reported}


def browse(page: Path, *words: str) -> str:
    """Run the browser on a page, end all of it; -> what it wrote to standard output."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars", "--no-proxy-server",
        f"--user-data-dir={page.parent}/profile", f"--window-size={WIDTH},{HEIGHT}", *words,
        page.as_uri(),
    ]  # fmt: skip
    env = {"PATH": os.environ["PATH"], "HOME": str(page.parent)}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=env,
        start_new_session=True,
    ) as browser:
        try:
            return browser.communicate(timeout=LIMIT_S)[0]
        finally:
            if browser.poll() is None:
                os.killpg(browser.pid, signal.SIGKILL)


def pixels(png: bytes) -> list[Pixel]:
    """The pixels of a PNG with 8 bits a channel that is not interlaced."""
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        at += length + 12
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) in ((8, 2), (8, 6))
            size = 4 if colour == 6 else 3
        data += body if kind == b"IDAT" else b""
    raw, stride = zlib.decompress(data), width * size
    found: list[Pixel] = []
    above = bytearray(stride)
    for row in range(height):
        begin = row * (stride + 1)
        above = _unfiltered(raw[begin], raw[begin + 1 : begin + 1 + stride], above, size)
        found += zip(above[::size], above[1::size], above[2::size], strict=True)
    return found


def _unfiltered(kind: int, line: bytes, above: bytearray, size: int) -> bytearray:
    """A row of a PNG as it was before its filter."""
    made = bytearray(line)
    if kind == 0:
        return made
    for at, byte in enumerate(line):
        left = made[at - size] if at >= size else 0
        up, corner = above[at], above[at - size] if at >= size else 0
        guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
        made[at] = (byte + guess) & 255
    return made


def _paeth(left: int, up: int, corner: int) -> int:
    at = left + up - corner
    return min((left, up, corner), key=lambda one: abs(at - one))


def luminance(pixel: Pixel) -> float:
    """The relative luminance of WCAG 2."""
    parts = [
        one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4
        for one in (channel / 255 for channel in pixel)
    ]
    return sum(part * weight for part, weight in zip(parts, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: Pixel, other: Pixel) -> float:
    """The contrast ratio of WCAG 2: 1 to 21; 7 is its stricter limit for text."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def shot(tmp_path: Path, text: str, *words: str) -> "Counter[Pixel]":
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(text)
    browse(page, f"--screenshot={picture}", *words)
    return Counter(pixels(picture.read_bytes()))


DARK = ("--blink-settings=preferredColorScheme=0",)
GREY = "<style>html{filter:grayscale(1)}</style></body>"


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("setting", ["light", "dark", "grey"])
def test_a_page_is_drawn_and_readable(name: str, setting: str, tmp_path: Path) -> None:
    text = PAGES[name]()
    if setting == "grey":
        text = text.replace("</body>", GREY)
    found = shot(tmp_path, text, *(DARK if setting == "dark" else ()))
    assert found.total() == WIDTH * HEIGHT
    paper, count = found.most_common(1)[0]
    assert (luminance(paper) < 0.1) == (setting == "dark")
    assert found.total() - count > 4000, "next to nothing is drawn"
    ink = [many for pixel, many in found.items() if contrast(pixel, paper) >= 7]
    assert sum(ink) > 1500, "the text does not stand out from the paper"
    if setting == "grey":
        assert all(max(pixel) - min(pixel) <= 2 for pixel in found)
    marks = [many for pixel, many in found.items() if contrast(pixel, paper) >= 1.2]
    assert sum(marks) > sum(ink), "marks cannot be told from the paper"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_makes_no_request(name: str, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    page = tmp_path / "page.html"
    page.write_text(PAGES[name]())
    dom = browse(page, "--dump-dom", f"--log-net-log={log}")
    assert "<svg" in dom
    assert requests(log) == set()


def test_a_request_would_be_seen(tmp_path: Path) -> None:
    log, page = tmp_path / "net.json", tmp_path / "page.html"
    page.write_text("<img src='http://elsewhere.invalid/x.png'>")
    browse(page, "--dump-dom", f"--log-net-log={log}")
    assert "http://elsewhere.invalid/x.png" in requests(log)


def requests(log: Path) -> set[str]:
    """The addresses that pages asked for, by the browser's log; its own have no origin."""
    document = json.loads(log.read_text())
    asked = [event.get("params", {}) for event in document["events"]]
    return {one["url"] for one in asked if one.get("initiator", OF_BROWSER) != OF_BROWSER}
