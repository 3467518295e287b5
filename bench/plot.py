"""A figure as a small SVG: a line for each contestant, drawn by hand, no library.

A dot is the median, the thick bar the quartiles, the thin line reaches to p99. Counts are
plain bars. The axis is logarithmic where the contestants lie far apart. Colours work on a
light and on a dark page.
"""

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from .values import US, Figure, Row

WIDTH, LEFT, RIGHT, TOP, LINE, BOTTOM = 760, 210, 80, 44, 26, 34
OURS, OTHER, FAINT, TEXT = "#d9480f", "#5c7cfa", "#adb5bd", "#868e96"
FAR_APART = 20
Scale = Callable[[float], float]


def svg(figure: Figure) -> str:
    """The picture; the figure has at least one row."""
    values = [value for row in figure.rows for value in _values(figure, row)]
    scale, ticks = _axis(values, figure.counts)
    bottom = TOP + LINE * len(figure.rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{bottom + BOTTOM}"'
        f' viewBox="0 0 {WIDTH} {bottom + BOTTOM}" font-family="sans-serif" font-size="12">',
        _text(10, 20, f"{figure.title}, {figure.unit}", "start", size=14, weight="bold"),
    ]
    for tick in ticks:
        at = scale(tick)
        parts.append(_line(at, TOP - 8, at, bottom, FAINT, 0.5))
        parts.append(_text(at, bottom + 18, f"{tick:g}", "middle"))
    for place, row in enumerate(figure.rows):
        parts += _row(figure, row, scale, TOP + LINE * place + LINE / 2)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _values(figure: Figure, row: Row) -> tuple[float, ...]:
    return (row.p50,) if figure.counts else (row.q1, row.p99)


def _axis(values: Sequence[float], counts: bool) -> tuple[Scale, list[float]]:
    """From a value to its place, and the values to name."""
    most = max(values) or 1.0
    least = min((value for value in values if value > 0), default=most)
    room = WIDTH - LEFT - RIGHT
    if not counts and most / least > FAR_APART:
        low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
        ticks = [10.0**power for power in range(low, high + 1)]
        floor = 10.0**low
        return (
            lambda value: LEFT + room * (math.log10(max(value, floor)) - low) / (high - low),
            ticks,
        )
    step = 10.0 ** math.floor(math.log10(most))
    step *= 0.2 if most / step < 2 else 0.5 if most / step < 5 else 1.0
    count = math.ceil(most / step)
    end = step * count
    return lambda value: LEFT + room * value / end, [step * turn for turn in range(count + 1)]


def _row(figure: Figure, row: Row, scale: Scale, middle: float) -> list[str]:
    ours = row.contestant.startswith(US)
    colour = OURS if ours else OTHER
    weight = "bold" if ours else "normal"
    parts = [_text(LEFT - 10, middle + 4, row.contestant, "end", weight=weight)]
    if figure.counts:
        parts.append(_line(scale(0), middle, max(scale(row.p50), LEFT + 1), middle, colour, 12))
        end = row.p50
    else:
        parts.append(_line(scale(row.q1), middle, scale(row.p99), middle, colour, 1.5))
        parts.append(_line(scale(row.q1), middle, scale(row.q3), middle, colour, 8))
        at = scale(row.p50)
        parts.append(f'<circle cx="{at:.1f}" cy="{middle:.1f}" r="5" fill="{colour}"/>')
        end = row.p99
    parts.append(_text(scale(end) + 10, middle + 4, f"{row.p50:.3g}", "start", weight=weight))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-width="{width}"/>'


def _text(
    x: float, y: float, text: str, anchor: str, size: int = 12, weight: str = "normal"
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    style = f'font-size="{size}" font-weight="{weight}" fill="{TEXT}"'
    return f"<text {place} {style}>{escape(text)}</text>"
