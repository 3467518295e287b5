"""Writes results as JSON, as a page of tables, and as pictures.

bench/results/latest.md is generated whole. docs/benchmarks.md is written by hand but for
the text between `<!-- bench:NAME -->` and `<!-- bench:end -->`, where NAME is `machine`
or `summary`. Both are made from the same JSON document.
"""

import json
import os
import platform
import re
import sqlite3
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.pty import ZSH

from . import plot
from .values import US, Figure, Goal, Row, figure_of

VERSION = 1
"""Of the JSON document."""
_BLOCK = re.compile(r"(<!-- bench:([\w-]+) -->\n).*?(<!-- bench:end -->)", re.DOTALL)


def machine() -> dict[str, Any]:
    """Return the machine's processor and versions, without its name."""
    zsh = subprocess.run([ZSH, "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "zsh": zsh.split()[1],
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")


def document(
    figures: Sequence[Figure], families: Mapping[str, Any], absent: Mapping[str, str], quick: bool
) -> dict[str, Any]:
    """One run's results."""
    return {
        "version": VERSION,
        "quick": quick,
        "machine": machine(),
        "families": dict(families),
        "absent": dict(absent),
        "figures": [figure.document() for figure in figures],
    }


def family_facts(began: float, load_before: float) -> dict[str, Any]:
    """Return when a family was measured, for how long and under which load."""
    return {
        "taken_at": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(began)),
        "seconds": round(time.time() - began),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
    }


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return an earlier run's results with the figures of a later partial run in their places."""
    fresh = {figure["name"]: figure for figure in new["figures"]}
    places = [fresh.pop(figure["name"], figure) for figure in old["figures"]]
    return {
        **new,
        "families": {**old["families"], **new["families"]},
        "figures": [*places, *fresh.values()],
    }


def write_json(path: Path, results: Mapping[str, Any]) -> None:
    """The document, readable by people as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def write_plots(folder: Path, figures: Sequence[Figure]) -> None:
    """One picture for each figure that has something to show."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures:
        if figure.rows:
            (folder / f"{figure.name}.svg").write_text(plot.svg(figure))


def filled(page: str, results: Mapping[str, Any]) -> str:
    """The text of docs/benchmarks.md with its generated blocks made from these results."""
    figures = [figure_of(one) for one in results["figures"]]
    blocks = {"summary": summary_table(figures), "machine": machine_line(results)}
    return _BLOCK.sub(lambda match: f"{match[1]}{blocks[match[2]]}\n{match[3]}", page)


def tables(results: Mapping[str, Any]) -> str:
    """The text of bench/results/latest.md: the loads of the machine, then every figure."""
    figures = [figure_of(one) for one in results["figures"]]
    lines = [
        "# Results of the benchmarks",
        "",
        "Written by `make bench`; [docs/benchmarks.md](../../docs/benchmarks.md) describes",
        "each family. Medians stand with their quartiles; pictures reach to p99.",
        "",
        machine_line(results),
        "",
        *load_lines(results),
        *(f"\n## {figure.title}\n\n{table(figure)}" for figure in figures),
    ]
    return "\n".join(lines) + "\n"


# --- tables --------------------------------------------------------------------


def table(figure: Figure) -> str:
    """One figure: a row for each contestant, then its goals and the absent peers."""
    lines = [
        f"In {figure.unit}: {figure.how}.",
        "",
    ]
    if figure.rows:
        lines += [f"![{figure.title}](../../docs/benchmarks/{figure.name}.svg)", ""]
    if figure.counts:
        lines += ["| contestant | |", "| --- | ---: |"]
        lines += [f"| {_name(row)} | {number(row.p50)} |" for row in figure.rows]
    else:
        lines += ["| contestant | p50 | quartiles | p95 | p99 | n |", "| --- |" + " ---: |" * 5]
        lines += [_spread(row) for row in figure.rows]
    lines.append("")
    lines += [f"- {_verdict(goal)}" for goal in figure.goals]
    lines += [f"- {note}" for note in figure.notes]
    lines += [f"- not measured: {name}: {why}" for name, why in sorted(figure.skipped.items())]
    return "\n".join(lines).rstrip()


def _spread(row: Row) -> str:
    quartiles = f"{number(row.q1)} to {number(row.q3)}"
    numbers = f"{number(row.p50)} | {quartiles} | {number(row.p95)} | {number(row.p99)}"
    return f"| {_name(row)} | {numbers} | {row.samples} |"


def _name(row: Row) -> str:
    return f"**{row.contestant}**" if row.contestant.startswith(US) else row.contestant


def _verdict(goal: Goal) -> str:
    sign = "≥" if goal.at_least else "≤"
    met = "met" if goal.met else "**not met**"
    return f"{goal.text}: {number(goal.value)}, to be {sign} {number(goal.limit)}: {met}"


def summary_table(figures: Sequence[Figure]) -> str:
    """Return a table with a line for each goal: the limit and the measured value."""
    lines = ["| figure | goal | asked | measured | |", "| --- | --- | ---: | ---: | --- |"]
    for figure in figures:
        for goal in figure.goals:
            sign = "≥" if goal.at_least else "≤"
            met = "met" if goal.met else "**not met**"
            asked = f"{sign} {number(goal.limit)}"
            lines.append(
                f"| {figure.title} | {goal.text} | {asked} | {number(goal.value)} | {met} |"
            )
    return "\n".join(lines)


def machine_line(results: Mapping[str, Any]) -> str:
    """Return a line with the machine and the days of the measurements."""
    facts = results["machine"]
    days = sorted({one["taken_at"].partition("T")[0] for one in results["families"].values()})
    when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "never"
    return (
        f"{facts['cores']} cores ({facts['cpu']}), Linux {facts['kernel']}, zsh {facts['zsh']},"
        f" Python {facts['python']}, SQLite {facts['sqlite']}; {when}."
    )


def load_lines(results: Mapping[str, Any]) -> list[str]:
    """A table of when each family was measured, and how busy the machine was."""
    lines = ["| family | measured at (UTC) | load average before, after |", "| --- | --- | --- |"]
    for name, one in results["families"].items():
        when = one["taken_at"].replace("T", " ").removesuffix("Z")
        lines.append(f"| `{name}` | {when} | {one['load_before']}, {one['load_after']} |")
    return lines


def number(value: float) -> str:
    """Three significant digits, and no more than a reader needs."""
    if value == round(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def text_lines(figure: Figure) -> list[str]:
    """The figure for a terminal."""
    lines = [f"\n{figure.title} ({figure.unit})"]
    width = max((len(row.contestant) for row in figure.rows), default=0)
    for row in figure.rows:
        spread = "" if figure.counts else f"  {number(row.q1)} to {number(row.q3)}"
        lines.append(f"  {row.contestant:<{width}}  {number(row.p50):>8}{spread}")
    lines += [f"  {_verdict(goal)}".replace("**", "") for goal in figure.goals]
    lines += [f"  without {name}: {why}" for name, why in sorted(figure.skipped.items())]
    return lines
