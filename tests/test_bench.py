"""The benchmark suite's own health: it measures, reports and draws. No figure is judged."""

import dataclasses
import importlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import __main__ as program
from bench import contestants, peers, plot, report
from bench.stage import QUICK, Stage
from bench.typing_lag import shown
from bench.values import Figure, figure_of, quantile, summary

ROOT = Path(__file__).parents[1]
FAMILIES = ("prompt", "registering", "cached_init", "runs", "storm", "rest", "control", "growth")
"""Those that take seconds; typing, survival and the hand-over wait for longer jobs."""
TINY = dataclasses.replace(
    QUICK, shells=1, starts=2, runs=10, few_runs=3, storm_shells=2, storm_jobs=2, rest_s=0.2,
    growth_runs=(0, 100), growth_others=(1, 3), growth_samples=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(TINY, fetch=False, say=lambda text: None) as made:
        yield made


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_measures_itself_and_names_who_is_absent(stage: Stage, family: str) -> None:
    figures = importlib.import_module(f"bench.{family}").measure(stage)
    assert figures
    for figure in figures:
        assert figure.rows or figure.skipped, figure.name
        assert all(math.isfinite(row.p50) for row in figure.rows)
        assert not {row.contestant for row in figure.rows} & figure.skipped.keys()
        assert figure_of(json.loads(json.dumps(figure.document()))) == figure
        if figure.rows:
            ElementTree.fromstring(plot.svg(figure))


def test_every_family_is_a_module_that_is_documented() -> None:
    readme = (ROOT / "bench/README.md").read_text()
    for family in program.FAMILIES:
        assert callable(importlib.import_module(f"bench.{family}").measure)
        assert f"`{family}`" in readme


def test_a_family_that_fails_is_said_so_and_hurts_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Stage) -> list[Figure]:
        raise OSError("no terminal")

    monkeypatch.setattr("bench.storm.measure", broken)
    monkeypatch.setattr("bench.rest.measure", lambda _: [figure()])
    figures, families, failed = program.measure(stage, ["storm", "rest"])
    assert ([one.name for one in figures], list(families), failed) == (
        ["made"],
        ["rest"],
        ["storm"],
    )
    assert "no terminal" in capsys.readouterr().err


def test_absent_peers_are_named_with_what_would_bring_them(tmp_path: Path) -> None:
    found = peers.find(tmp_path, tmp_path / "scratch", fetch=False)
    assert not found.plugins
    assert "PEERS=" in found.missing("zsh-defer", "zsh-async")["zsh-defer"]


# --- values, tables, pictures --------------------------------------------------


def figure(counts: bool = False) -> Figure:
    made = Figure("made", "A made figure", "ms", "not measured", counts=counts)
    made.add("floor", [1.0, 2.0, 3.0])
    made.add("zdeferd", [2.0])
    made.add("a <slow> one", [200.0, 900.0])
    made.goal("beside the floor", made.p50("zdeferd"), 1.5)
    made.skipped["a peer"] = "not installed"
    return made


def test_quantiles_are_interpolated() -> None:
    assert quantile([1.0, 2.0], 0.5) == 1.5
    assert quantile([7.0], 0.99) == 7.0
    row = summary("one", [3.0, 1.0, 2.0, 4.0, 5.0])
    assert (row.least, row.q1, row.p50, row.q3, row.most, row.samples) == (1, 2, 3, 4, 5, 5)


def test_a_goal_that_nothing_can_be_compared_with_is_left_out() -> None:
    made = figure()
    made.goal("beside nobody", made.p50("zdeferd"), made.p50("nobody"))
    assert [goal.met for goal in made.goals] == [False]


@pytest.mark.parametrize("counts", [True, False])
def test_a_picture_shows_every_contestant(counts: bool) -> None:
    texts = [text.text for text in ElementTree.fromstring(plot.svg(figure(counts))) if text.text]
    assert {"floor", "zdeferd", "a <slow> one"} <= set(texts)


def test_the_page_is_filled_where_it_says_so_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    block = "<!-- bench:{} -->\nold\n<!-- bench:end -->\n"
    page.write_text("prose\n" + block.format("made") + block.format("other"))
    facts = report.family_facts(0.0, 1.0)
    report.write_page(page, report.document([figure()], {"made": facts}, {}, quick=False))
    text = page.read_text()
    assert text.startswith("prose\n<!-- bench:made -->\n**A made figure**, ms")
    assert "(benchmarks/made.svg)" in text
    assert "| **zdeferd** | 2 |" in text
    assert "not met" in text
    assert text.endswith(block.format("other")), "what was not measured stands as it was"


def test_a_partial_run_keeps_what_it_did_not_measure() -> None:
    old = report.document(
        [figure(), dataclasses.replace(figure(), name="kept")], {"a": 1}, {}, False
    )
    new = report.document([figure(counts=True)], {"b": 2}, {}, False)
    both = report.merged(old, new)
    assert both["families"] == {"a": 1, "b": 2}
    assert [(one["name"], one["counts"]) for one in both["figures"]] == [
        ("made", True),
        ("kept", False),
    ]


def test_the_page_has_a_place_for_every_figure_and_shows_its_picture() -> None:
    results = json.loads(program.RESULTS.read_text())
    page = program.PAGE.read_text()
    places = re.findall(r"<!-- bench:([\w-]+) -->", page)
    names = {one["name"] for one in results["figures"]}
    assert names | {"summary", "machine", "end"} == set(places)
    for name in re.findall(r"\(benchmarks/([\w-]+\.svg)\)", page):
        assert (program.PLOTS / name).exists(), name


def test_results_name_no_place_of_the_machine_they_were_taken_on() -> None:
    assert "/tmp/" not in program.RESULTS.read_text()


# --- reading a terminal --------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "count"),
    [
        (b"ready> ", 0),
        (b"ready> a\x08ab", 2),
        (b"ready> ab\r\x1b[0m\x1b[27m\x1b[Jready> \x1b[Kabc", 3),
        (b"ready> x", 0),
    ],
)
def test_what_is_on_the_command_line(output: bytes, count: int) -> None:
    assert shown(output, b"abcdef") == count


def test_every_contestant_is_handed_the_same_jobs(stage: Stage) -> None:
    for name in contestants.available(stage):
        text = contestants.zshrc(stage, name, 2, 1.0, Path("/x/done"))
        assert text.count("burn") == 3, name
