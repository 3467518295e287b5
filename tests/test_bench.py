"""The benchmark suite measures, reports and draws. No figure is judged."""

import dataclasses
import importlib
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psutil
import pytest

from bench import __main__ as program
from bench import contestants, peer_lags, peers, pictures, plot, report, rulers, verdicts
from bench.stage import QUICK, Stage
from bench.typing_lag import shown
from bench.values import Figure, figure_of, quantile, summary

ROOT = Path(__file__).parents[1]
FAMILIES = (
    "prompt",
    "registering",
    "features",
    "cached_init",
    "compinit",
    "publication",
    "runs",
    "storm",
    "rest",
    "top",
    "conditions",
    "control",
    "growth",
)
"""Those that take seconds; typing, survival and the hand-over wait for longer jobs."""
TINY = dataclasses.replace(
    QUICK, shells=1, starts=2, runs=10, few_runs=3, storm_shells=2, storm_jobs=2, rest_s=0.2,
    growth_runs=(0, 100), growth_others=(1, 3), growth_samples=2,
    readers=2, publications=3, looks=2,
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


def made_results(*figures: Figure) -> dict[str, Any]:
    return report.document(figures, {"made": report.family_facts(0.0, 1.0)}, {}, quick=False)


def test_the_page_is_filled_where_it_says_so_and_nowhere_else() -> None:
    block = "<!-- bench:{} -->\nold\n<!-- bench:end -->\n"
    text = report.filled(
        "prose\n" + block.format("summary") + "more\n" + block.format("machine"),
        made_results(figure()),
    )
    assert text.startswith("prose\n<!-- bench:summary -->\n| figure | goal |")
    assert "| A made figure | beside the floor | ≤ 1.50 | 2 | **not met** |" in text
    assert "<!-- bench:end -->\nmore\n" in text
    assert "1970-01-01." in text
    assert "old" not in text


def test_the_tables_have_every_figure_with_its_picture() -> None:
    text = report.tables(made_results(figure(), figure(counts=True)))
    assert text.count("## A made figure\n\nIn ms: not measured.\n") == 2
    assert "(../../docs/benchmarks/made.svg)" in text
    assert "| **zdeferd** | 2 | 2 to 2 |" in text
    assert "- not measured: a peer: not installed" in text
    assert "| `made` | 1970-01-01 00:00 | 1.0," in text


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


def test_the_pages_say_what_the_results_say() -> None:
    results = json.loads(program.RESULTS.read_text())
    page = program.PAGE.read_text()
    assert report.filled(page, results) == page
    assert report.tables(results) == program.TABLES.read_text()


def test_the_page_has_the_command_of_every_family() -> None:
    commands = re.findall(r'make bench FIGURES="([\w ]+)"', program.PAGE.read_text())
    assert set(program.FAMILIES) == {name for names in commands for name in names.split()}


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
    names = contestants.available(stage)
    assert contestants.US in names
    for name in names:
        text = contestants.zshrc(stage, name, 2, 1.0, Path("/x/done"))
        assert text.count("burn") == 3, name


def test_a_peer_that_does_not_end_leaves_no_process(tmp_path: Path) -> None:
    """Those in sessions of their own included."""
    script = tmp_path / "endless"
    script.write_text(f"setsid sleep 301 &\nprint $! $$ > {tmp_path}/pids\nsleep 302\n")
    with pytest.raises(subprocess.TimeoutExpired):
        peer_lags.zsh_bench(str(script), str(tmp_path), 1, limit_s=6.0)
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_blame_is_judged_by_known_costs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verdicts, "COSTS", (30, 10))
    assert verdicts.main(["--repetitions", "0", "--traces", "1"]) == 0
    shown = capsys.readouterr().out
    found = re.search(r"of 2; ms: ([0-9.]+) for ([0-9.]+), ([0-9.]+) for 10.0\n", shown)
    assert found
    assert all(float(ms) > 5 for ms in found.groups())


def test_the_drawings_of_the_pages_are_in_the_documents() -> None:
    page = (ROOT / "docs/performance.md").read_text()
    for name in ("compare", "trend", "blame"):
        picture = ElementTree.parse(pictures.FOLDER / f"{name}.svg").getroot()
        assert picture.tag == "{http://www.w3.org/2000/svg}svg"
        assert "prefers-color-scheme:dark" in "".join(picture.itertext())
        assert f"(performance/{name}.svg)" in page


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("script"), reason="no script of util-linux here"
)
def test_starts_are_measured_by_two_rulers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".zshrc").write_text("zmodload zsh/zselect; zselect -t 20; PROMPT='%1~> '\n")
    assert rulers.main([str(tmp_path), "--starts", "2", "--verbose"]) == 0
    shown = capsys.readouterr()
    assert shown.err.count(" of 2; ") == 2
    assert f"\n{tmp_path.name}: " in shown.out
    ours, theirs = rulers.measure(str(tmp_path), 1)
    assert ours[0].ms > 100
    assert theirs[0].ms >= 0
    assert min(ours[0].queued_s, theirs[0].queued_s) >= 0


def test_the_lag_in_the_timing_file_of_script(tmp_path: Path) -> None:
    title = f"\x1b]2;{rulers.FOLDER}\x07"
    (tmp_path / "out").write_text(f"header of script\n{rulers.MARK}{title}%  {rulers.FOLDER}> x")
    (tmp_path / "timing").write_text(f"0.5 6\n.002 {len(title)}\n.003 9\n9 3\n")
    assert rulers._by_timing(tmp_path) == pytest.approx(5)


def test_of_starts_the_calmer_half_counts() -> None:
    found = [rulers.Start(ms, ms / 10) for ms in (8.0, 2.0, 0.1, 4.0, 6.0)]
    assert rulers._calm(found) == [2.0, 4.0]
    theirs = [rulers.Start(ms, 0) for ms in (2.0, 2.0)]
    assert "capture 3.00, as zsh-bench 2.00 ms; +1.00 ms" in rulers._row("x", found, theirs)
    assert rulers._row("x", found, [rulers.Start(0.0, 0.0)]) == "x: no usable start"


def test_rounds_beside_a_peer_show_the_result_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And an interrupted measurement ends with the rows of the rounds that it has."""
    ours = {key: [3.0] for key in peer_lags.LAGS}
    rounds = 0

    def peer(*_words: object) -> peer_lags.Lags:
        nonlocal rounds
        rounds += 1
        if rounds > 2:
            raise KeyboardInterrupt
        return {key: [2.0] for key in peer_lags.LAGS}

    monkeypatch.setattr(peer_lags, "_capture", lambda *_words: ours)
    monkeypatch.setattr(peer_lags, "zsh_bench", peer)
    words = ["zsh-bench", str(tmp_path), "--rounds", "4", "--patience", "0", "--verbose"]
    assert peer_lags.main(words) == 130
    shown = capsys.readouterr()
    assert shown.err.count("first_prompt_lag +50.0 %") == 2
    assert " round 2 of 4; " in shown.err
    assert shown.out.count("capture 3.00, zsh-bench 2.00 ms, +50.0 %") == len(peer_lags.LAGS)
    assert shown.out.count("; 2 rounds +50.0 %") == len(peer_lags.LAGS)
