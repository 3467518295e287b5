"""Makes one self-contained HTML page of parts: headings, tables, inline SVG. Pure.

The page has no script and makes no request; it follows the reader's light or dark setting. Every
mark has a text or a shape of its own, so that it can be read without colour.
"""

from __future__ import annotations

from html import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, LEFT, RIGHT = 800, 150, 30
STYLE = """
:root{color-scheme:light dark;
--ink:#1c1e21;--paper:#fff;--mark:#0b62c4;--soft:#6b7280;--bar:#d7e6fb}
@media(prefers-color-scheme:dark){
:root{--ink:#e6e8eb;--paper:#15181c;--mark:#6cb0ff;--soft:#9aa3ad;--bar:#23405f}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:52rem;margin:2rem auto;padding:0 1rem}
svg{width:100%;height:auto}text{font:12px system-ui,sans-serif;fill:var(--ink)}
.m{fill:var(--mark)}.l{stroke:var(--mark);fill:none;stroke-width:2}
.s{stroke:var(--soft);stroke-width:1}.b{fill:var(--bar);stroke:var(--soft);stroke-width:.5}
.w{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .8rem;text-align:right;white-space:nowrap}
tr+tr{border-top:1px solid var(--bar)}
td:first-child,th:first-child{text-align:left;padding-left:0}
.p td{text-align:left;white-space:normal}
"""


def page(title: str, *parts: str) -> str:
    """Return a page of these parts."""
    name = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style></head>\n<body><h1>{name}</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def paragraph(said: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(said)}</p>"


def heading(said: str) -> str:
    """Return a heading below the page's title."""
    return f"<h2>{escape(said)}</h2>"


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Return names, each with its value beside it; empty values are left out."""
    lines = [
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows if value
    ]
    return '<table class="p">' + "\n".join(lines) + "</table>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of plain texts; on a narrow screen it scrolls by itself."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    lines = [line(heads, "th"), *(line(row, "td") for row in rows)]
    return '<div class="w"><table>' + "\n".join(lines) + "</table></div>"


def svg(height: float, label: str, marks: Sequence[str]) -> str:
    """Return a picture of WIDTH units by `height`; `label` says what it shows."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">'
        + "".join(marks)
        + "</svg>"
    )


def text(x: float, y: float, said: str, anchor: str = "start") -> str:
    """Return a text of a picture."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "s") -> str:
    """Return a line of a picture; `kind` is a class of STYLE."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def bar(box: tuple[float, float, float, float], title: str, kind: str = "b") -> str:
    """Return a bar at x, y of a width and a height, with a title to point at."""
    x, y, width, height = box
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{escape(title)}</title></rect>"
    )


class Scale:
    """Maps values to units of a picture; a span of nothing is drawn in the middle."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        pad = (high - low) * 0.05 or max(abs(high) * 0.05, 0.5)
        self._low, self._span = low - pad, high - low + 2 * pad
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        return self._start + (value - self._low) / self._span * (self._end - self._start)
