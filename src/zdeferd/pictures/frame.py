"""Draws `top`: a picture as lines that fit a screen of any size. Pure text.

A line is a list of pieces, each a text and its colour, so that it can be cut to the screen's
width before it is painted. The chosen run is marked by `>`, in colour and without.
"""

from __future__ import annotations

from ..view.render import OUTCOME_COLOURS, clock, cut, duration, octets, printable
from ..view.runs import cpu_ms, wall_ms, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..view.render import Style
    from .look import Running, Seen, Waiting

    Piece = tuple[str, str]
    """A text and its colour; empty: none."""
    Line = list[Piece]

KEYS = "q quit  arrows choose  l log  c cancel"
LOG_KEYS = "q back  arrows scroll"
LEAST_NAME = 8
"""Columns that a job's id keeps on a narrow screen."""
FEW_ROWS = 12
"""A screen with fewer rows gets one line of head."""


def frame(
    seen: Seen, size: tuple[int, int], chosen: int | None, style: Style, note: str = ""
) -> list[str]:
    """Return the lines of a screen of `size` columns and rows; the last line is `note` or keys."""
    columns, rows = size
    head = _head(seen)[: 1 if rows < FEW_ROWS else None]
    body = _body(seen, columns, chosen)
    room = max(1, rows - len(head) - 1)
    at = next((n for n, (_, run) in enumerate(body) if run == chosen and run is not None), 0)
    first = max(0, min(at - room // 2, len(body) - room))
    shown = [line for line, _ in body[first : first + room]]
    lines = [*head, *shown, *([[]] * (room - len(shown)))]
    foot: Line = [(note, "yellow")] if note else [(KEYS, "dim")]
    return [_painted(line, columns, style) for line in [*lines, foot]][-rows:]


def snapshot(seen: Seen, columns: int | None, style: Style) -> str:
    """Return the picture as text of as many lines as it takes."""
    wide = columns or 10_000
    body = [line for line, _ in _body(seen, wide, None)]
    return "\n".join(_painted(line, wide, style).rstrip() for line in [*_head(seen), *body])


def log_frame(
    title: str, lines: Sequence[str], size: tuple[int, int], back: int, style: Style
) -> list[str]:
    """Return a screen with the last lines of an output; `back` of them are left out."""
    columns, rows = size
    room = max(1, rows - 2)
    last = max(min(len(lines), room), len(lines) - back)
    shown: list[Line] = [[(line, "")] for line in lines[max(0, last - room) : last]]
    made: list[Line] = [[(title, "bold")], *shown, *([[]] * (room - len(shown)))]
    return [_painted(line, columns, style) for line in [*made, [(LOG_KEYS, "dim")]]][-rows:]


def _head(seen: Seen) -> list[Line]:
    state = ("not running", "yellow") if seen.pid is None else ("running", "green")
    pid = f", pid {seen.pid}" if seen.pid else ""
    counts = [(len(seen.running), "running"), (len(seen.waiting), "waiting")]
    now = ", ".join(f"{n} {what}" for n, what in counts if n) or "nothing runs, nothing waits"
    paused = f"; paused: {', '.join(seen.paused)}" if seen.paused else ""
    day = [(f"{n} {name.replace('_', ' ')}", name) for name, n in seen.outcomes.items()]
    return [
        [("zdeferd ", "bold"), state, (f"{pid}  {clock(seen.at, seen.at)}", "dim")],
        [("now  ", "dim"), (now, ""), (paused, "yellow")],
        [("24 h ", "dim"), *_joined(day)],
        [],
    ]


def _joined(words: Sequence[tuple[str, str]]) -> Line:
    line: Line = []
    for text, name in words:
        line += [(", ", "")] if line else []
        line.append((text, OUTCOME_COLOURS.get(name, "")))
    return line or [("no run ended", "")]


def _body(seen: Seen, columns: int, chosen: int | None) -> list[tuple[Line, int | None]]:
    """Return the lines below the head, each with the run that it is about."""
    parts: list[tuple[str, list[int], list[Line]]] = [
        (
            "RUNNING",
            [one.row["id"] for one in seen.running],
            [_running(one, seen) for one in seen.running],
        ),
        ("WAITING", [one.row["id"] for one in seen.waiting], [_waiting(o) for o in seen.waiting]),
        ("ENDED", [row["id"] for row in seen.ended], _ended(seen)),
    ]
    made: list[tuple[Line, int | None]] = []
    for title, runs, cells in parts:
        if not runs:
            continue
        made += [([], None)] if made else []
        made.append(([(title, "dim")], None))
        for run, line in zip(runs, _aligned(cells, columns), strict=True):
            mark = ("> ", "bold") if run == chosen else ("  ", "")
            made.append(([mark, *line], run))
    return made


def _running(one: Running, seen: Seen) -> Line:
    percent = "" if one.cpu_percent is None else f"{one.cpu_percent:.0f} %"
    cost = one.cost
    state = word(one.row)
    return [
        (str(one.row["id"]), ""),
        (one.row["job"], "bold"),
        (duration(wall_ms(one.row, seen.at)), ""),
        (percent, "cyan"),
        (octets(cost.memory_bytes) if cost else "", ""),
        (f"CPU {duration(cost.cpu_s * 1000)}" if cost else "", ""),
        (f"{cost.processes} proc" if cost else "", "dim"),
        (state if state != "running" else "", OUTCOME_COLOURS.get(state, "")),
    ]


def _waiting(one: Waiting) -> Line:
    # Behind the semicolon: how long it has waited, which nothing would draw anew.
    return [
        (str(one.row["id"]), ""),
        (one.row["job"], "bold"),
        (printable(one.sentence.partition(";")[0].rstrip(".")), ""),
    ]


def _ended(seen: Seen) -> list[Line]:
    return [
        [
            (str(row["id"]), ""),
            (row["job"], "bold"),
            (word(row).replace("_", " "), OUTCOME_COLOURS.get(word(row), "")),
            (f"rc {row['rc']}" if row["rc"] else "", ""),
            (clock(row["ended_at"], seen.at), "dim"),
            (duration(wall_ms(row, seen.at)), ""),
            (f"CPU {duration(cpu_ms(row))}" if row["started_at"] is not None else "", ""),
        ]
        for row in seen.ended
    ]


def _aligned(rows: Sequence[Line], columns: int) -> list[Line]:
    """Return rows with aligned cells; ids of jobs are cut where the screen is narrow."""
    if not rows:
        return []
    widths = [max(len(text) for text, _ in cells) for cells in zip(*rows, strict=True)]
    kept = [at for at, wide in enumerate(widths) if wide]
    numbers = [widths[at] + 2 for at in kept if at != 1]
    widths[1] = min(widths[1], max(LEAST_NAME, columns - 2 - sum(numbers)))
    made = []
    for row in rows:
        line: Line = []
        for at in kept:
            text, colour = row[at]
            text = cut(text, widths[at]) if at == 1 else text
            gap = " " * (widths[at] - len(text))
            line += [("  ", "")] if line else []
            line.append((gap + text if at == 0 else text + gap, colour))
        line[-1] = (line[-1][0].rstrip(), line[-1][1])
        made.append(line)
    return made


def _painted(line: Line, columns: int, style: Style) -> str:
    """Return a line of at most so many columns."""
    made, left = "", columns
    longer = sum(len(text) for text, _ in line) > columns
    for text, colour in line:
        fits = cut(text, left) if longer and len(text) >= left else text
        made += style.paint(fits, colour)
        left -= len(text)
        if left <= 0:
            break
    return made
