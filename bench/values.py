"""Results of measurements: figures, rows, goals, and the statistics between them.

Pure values: nothing here measures, reads a clock or prints. A figure holds one row for
each contestant; a row keeps quantiles and not its samples, so that a result stays small.
Spread is the range between the quartiles: a busy machine's outliers do not move it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

US = "zdeferd"
FLOOR = "floor"
"""The contestant that does nothing: the cost of zsh itself."""


@dataclass(frozen=True)
class Row:
    """One contestant's samples, summed up; all in the figure's unit."""

    contestant: str
    samples: int
    p50: float
    q1: float
    q3: float
    p95: float
    p99: float
    least: float
    most: float


@dataclass(frozen=True)
class Goal:
    """A limit that a figure must reach, and the value that it reached."""

    text: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass
class Figure:
    """One figure of the table."""

    name: str
    title: str
    unit: str
    how: str
    rows: list[Row] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """A contestant that was not measured, and why."""
    notes: list[str] = field(default_factory=list)
    counts: bool = False
    """Each row is one number, not a spread of samples."""

    def row(self, contestant: str) -> Row | None:
        """The row of a contestant, if it was measured."""
        return next((row for row in self.rows if row.contestant == contestant), None)

    def p50(self, contestant: str) -> float:
        """A contestant's median; not a number where it was not measured."""
        row = self.row(contestant)
        return row.p50 if row else math.nan

    def add(self, contestant: str, samples: Sequence[float]) -> None:
        """A row from samples; none where there are none."""
        if samples:
            self.rows.append(summary(contestant, samples))

    def goal(self, text: str, value: float, limit: float, at_least: bool = False) -> None:
        """Something to reach; left out where there is nothing to compare."""
        if not math.isnan(value) and not math.isnan(limit):
            self.goals.append(Goal(text, round(value, 4), round(limit, 4), at_least))

    def document(self) -> dict[str, Any]:
        """Plain data for JSON."""
        found = asdict(self)
        for goal, made in zip(found["goals"], self.goals, strict=True):
            goal["met"] = made.met
        return found


def figure_of(document: Mapping[str, Any]) -> Figure:
    """The figure that `Figure.document` gave."""
    values = dict(document)
    values["rows"] = [Row(**row) for row in values["rows"]]
    values["goals"] = [
        Goal(**{key: value for key, value in goal.items() if key != "met"})
        for goal in values["goals"]
    ]
    return Figure(**values)


def summary(contestant: str, samples: Sequence[float]) -> Row:
    """The row of these samples; at least one."""
    ordered = sorted(samples)
    q1, p50, q3, p95, p99 = (
        round(quantile(ordered, part), 4) for part in (0.25, 0.5, 0.75, 0.95, 0.99)
    )
    least, most = round(ordered[0], 4), round(ordered[-1], 4)
    return Row(contestant, len(ordered), p50, q1, q3, p95, p99, least, most)


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value below which that part of sorted samples lies, interpolated."""
    place = (len(ordered) - 1) * part
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
