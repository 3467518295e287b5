"""`zdeferctl perf blame`: the tree of a trace, and a configuration whose costs are known."""

import re
import shutil
from pathlib import Path

import psutil
import pytest
from support.documented import documented, keys
from support.user import Result, User, call

from zdeferd.perf.starts import trace
from zdeferd.perf.starts.trace import (
    MARK,
    Run,
    by_line,
    by_plugin,
    cut_off,
    events,
    hint,
    tree,
    typical,
)

needs_zsh = pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")


def command(at: float, depth: int, line: int, text: str, file: str = "/rc") -> str:
    return MARK + MARK.join([f"{at:.9f}", str(depth), file, str(line), "f", f"{text}\n"])


TRACE = (
    command(1.000, 1, 1, "outer")
    + "words of another program\n"
    + command(1.010, 2, 5, "inner", "/lib")
    + command(1.050, 3, 9, "deep", "/lib")
    + command(1.090, 1, 2, "last")
)


def test_a_folder_that_is_not_there_is_a_usage_error(user: User) -> None:
    result = call("perf", "blame", str(user.root / "none"))
    assert result.code == 1
    assert f"not a folder: {user.root}/none" in result.err


def test_own_time_and_that_of_calls() -> None:
    root = tree(events(TRACE), 0.9, 1.1, 0)
    assert root.total_ms == pytest.approx(200)
    start, outer, last = (root.children[key] for key in (("", 0), ("/rc", 1), ("/rc", 2)))
    assert start.text == trace.START
    assert start.self_ms == pytest.approx(100)
    assert [outer.self_ms, outer.total_ms] == pytest.approx([10, 90])
    inner = outer.children["/lib", 5]
    assert [inner.self_ms, inner.total_ms] == pytest.approx([40, 80])
    assert last.total_ms == pytest.approx(10)


def test_the_traces_own_cost_is_taken_off() -> None:
    root = tree(events(TRACE), 0.9, 1.1, 15)
    assert root.children["/rc", 1].self_ms == 0
    assert root.children["/rc", 1].children["/lib", 5].self_ms == pytest.approx(25)


def test_what_comes_after_the_prompt_does_not_count() -> None:
    assert ("/rc", 2) not in tree(events(TRACE), 0.9, 1.06, 0).children


def test_a_line_that_a_fork_copied_counts_once() -> None:
    copied = command(1.0, 1, 6, "x=").removesuffix("\n") + command(1.01, 1, 6, "sleep 1")
    found = events(copied + command(1.0, 1, 6, "x=''"))
    assert [event.text for event in found] == ["x=''", "sleep 1"]


def test_a_line_by_two_ways_is_one_line_and_recursion_counts_once() -> None:
    text = "".join(command(1 + at / 100, at + 1, 7, "again") for at in range(3))
    (line,) = (one for one in by_line(tree(events(text), 1.0, 1.03, 0)) if one.file)
    assert line.times == 3
    assert line.self_ms == pytest.approx(30)
    assert line.total_ms == pytest.approx(30)


def test_plugins_by_their_folders() -> None:
    text = command(1, 1, 1, "a", "/home/u/.zinit/plugins/owner---name/x.zsh") + command(
        1.5, 1, 1, "b", "/home/u/.oh-my-zsh/plugins/git/git.plugin.zsh"
    )
    lines = by_line(tree(events(text), 1, 2.1, 0))
    assert [name for name, _ in by_plugin(lines)] == ["git", "owner/name"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("compinit", "compinit -C"),
        ("compinit -C", ""),
        ("eval 'export X=1'", "source that file"),
        (". /home/u/.nvm/nvm.sh", "nvm"),
        ("check_for_upgrade", "once_per"),
        ("kubectl completion zsh", "after the prompt"),
        ("print x", ""),
    ],
)
def test_hints(text: str, words: str) -> None:
    assert words in hint(text)
    assert bool(hint(text)) == bool(words)


def test_odd_traces() -> None:
    assert events("") == []
    assert events(f"{MARK}{MARK} half of one") == []
    assert events(command(1, 1, 1, "a\x1b[31mb\tc"))[0].text == "a [31mb c"
    assert tree([], 1, 2, 0).total_ms == pytest.approx(1000)


def run(*instants: float, line: int = 1) -> Run:
    """A run from 0 whose commands begin at these instants; the last is its end."""
    text = "".join(command(at, 1, line + number, "x") for number, at in enumerate(instants[:-1]))
    return Run(events(text), 0.0, instants[-1])


def test_each_command_takes_its_median_over_the_starts() -> None:
    runs = [run(1, 2, 9, 10), run(1, 2, 3, 4), run(1, 5, 6, 7)]
    found = typical(runs)
    assert [event.at for event in found.events] == [1, 2, 3]
    assert (found.began, found.ended) == (0, 4)


def test_the_time_that_a_start_waited_for_a_processor_is_taken_off() -> None:
    """From the commands that took longest beyond their least."""
    runs = [run(1, 9, 10), run(1, 10, 12), run(1, 2, 3)]
    waits = [7.0, 9.0, 0.0]
    calm = [one._replace(waited_s=s) for one, s in zip(runs, waits, strict=True)]
    assert [event.at for event in typical(runs).events] == [1, 9]
    found = typical(calm)
    assert [event.at for event in found.events] == [1, 2]
    assert found.ended == 3


@pytest.mark.parametrize(
    ("text", "at", "found"),
    [("PS4='+ '", 5, True), ("PS4='+ '", 9.5, False), ("set +ex", 5, True), ("set -x", 5, False),
     ("sleep 5", 5, False), ("setopt no_xtrace", 5, True), ("print MY_PS4X", 5, False)],
)  # fmt: skip
def test_what_ends_a_trace(text: str, at: float, found: bool) -> None:
    traced = Run(events(command(1, 1, 1, "x") + command(at, 1, 2, text)), 0.0, 10.0)
    assert bool(cut_off(traced)) == found


def test_a_start_that_ran_other_commands_is_left_out() -> None:
    found = typical([run(1, 2, 3), run(1, 9, 20, line=7), run(1, 9, 20, line=8)])
    assert [event.at for event in found.events] == [1, 2]
    assert found.ended == 3
    assert typical([Run([], 0.0, 1.0)]) == Run([], 0.0, 1.0)


# --- with a real shell ---------------------------------------------------------


def configuration(user: User) -> Path:
    """Known waits at eight places: lines, nested functions, a sourced file, a substitution."""
    folder = user.root / "dots"
    folder.mkdir()
    (folder / "plugins/slow").mkdir(parents=True)
    (folder / "plugins/slow/it.zsh").write_text("zselect -t 28\n")
    (folder / ".zshrc").write_text(
        "zmodload zsh/zselect\n"
        "inner() {\n  zselect -t 8\n}; outer() {\n  zselect -t 12; inner\n}\n"
        f"outer\nsource {folder}/plugins/slow/it.zsh\n"
        "x=$(sleep 0.2)\nzselect -t 4\neval 'zselect -t 16'\nsetopt prompt_subst\n"
    )
    return folder


def blame(folder: Path, *words: str) -> Result:
    return call("perf", "blame", str(folder), *words)


@needs_zsh
def test_known_costs_in_their_order(user: User) -> None:
    folder = configuration(user)
    made = blame(folder, "--json").document
    found: dict[tuple[str, int], float] = {
        (Path(line["file"]).name, line["line"]): line["self_ms"] for line in made["lines"]
    }
    expected = {
        ("it.zsh", 1): 280, (".zshrc", 9): 200, (".zshrc", 5): 120, (".zshrc", 3): 80,
        (".zshrc", 10): 40,
    }  # fmt: skip
    for place, ms in expected.items():  # a busy machine adds to each
        assert found[place] >= ms - 15, place
    assert list(found.values()) == sorted(found.values(), reverse=True)
    totals = {(Path(one["file"]).name, one["line"]): one["total_ms"] for one in made["tree"]}
    inside = sum(found[".zshrc", line] for line in (3, 5, 7))
    assert totals[".zshrc", 7] == pytest.approx(inside, abs=0.1)
    assert made["plugins"][0]["name"] == "slow"
    assert made["total_ms"] > 880


@needs_zsh
def test_a_table_and_a_tree(user: User) -> None:
    folder = configuration(user)
    shown = blame(folder, "--least", "30").out
    line = re.search(
        r"(\d+\.\d\d) +\d+\.\d\d +1  ~/dots/plugins/slow/it.zsh:1 +zselect -t 28", shown
    )
    assert line
    assert float(line[1]) >= 265
    assert re.search(r"plugins: slow \d{3}", shown)
    assert re.search(r"ms to the first prompt, \d+ commands", shown)
    tree_text = blame(folder, "--tree", "--least", "30").out
    assert re.search(r"(?m)^\d{3,}\.\d\d \(\d+\.\d\d\)  ~/dots/.zshrc:7  outer$", tree_text)
    assert re.search(r"(?m)^    \d+\.\d\d \(\d+\.\d\d\)  ~/dots/.zshrc:3  zselect -t 8$", tree_text)


BAD = {
    "no prompt": "zmodload zsh/zselect; while :; do zselect -t 100; done\n",
    "exits": "exit 3\n",
    "asks": "read -q '?Update? [y/N] '\n",
    "prints for ever": "while :; do print -r -- ${(l:200::x:)}; done\n",
}


@needs_zsh
@pytest.mark.parametrize("zshrc", BAD.values(), ids=BAD)
def test_a_configuration_without_a_prompt_is_named_and_ended(user: User, zshrc: str) -> None:
    folder = user.root / "dots"
    folder.mkdir()
    (folder / ".zshrc").write_text(zshrc)
    page = user.root / "page.html"
    # multiprocessing keeps a process, where an earlier test has used it
    others = psutil.Process().children(recursive=True)
    for verb in (["blame", str(folder)], ["compare", str(folder), str(folder), "-n", "2"]):
        retries = ["--retries", "0"] if verb[0] == "compare" else []
        result = call("perf", *verb, "--timeout", "1s", "--html", str(page), *retries)
        assert result.code == 1
        assert "no prompt" in result.err
        assert psutil.Process().children(recursive=True) == others
        assert not page.exists()


@needs_zsh
@pytest.mark.parametrize(
    "zshrc",
    [
        "setopt prompt_subst; PROMPT='$RANDOM$(:)> '\n",
        "PROMPT='p> '; print -n 'p> '; zmodload zsh/zselect; zselect -t 5; print -n $'\\r'\n",
    ],
    ids=["changes on each draw", "instant prompt"],
)
def test_prompts_that_are_odd(user: User, zshrc: str) -> None:
    folder = user.root / "dots"
    folder.mkdir()
    (folder / ".zshrc").write_text(zshrc)
    assert blame(folder, "--json").document["commands"] >= 1
    compared = call("perf", "compare", str(folder), str(folder), "-n", "2", "--json")
    assert (compared.code, len(compared.document["a"]["values"])) == (0, 2)


@needs_zsh
def test_no_prompt_and_no_trace(user: User) -> None:
    folder = user.root / "dots"
    folder.mkdir()
    (folder / ".zshrc").write_text("exit\n")
    result = blame(folder)
    assert result.code == 1
    assert "no prompt to blame" in result.err
    assert call("perf", "blame", "--least", "x").code == 1


@needs_zsh
@pytest.mark.parametrize("ends", ["export PS4='+ '", "unsetopt xtrace", "set +x"])
def test_a_configuration_that_ends_the_trace_is_named(user: User, ends: str) -> None:
    folder = user.root / "dots"
    folder.mkdir()
    waits = "zmodload zsh/zselect; zselect -t 30"
    (folder / ".zshrc").write_text(f"PROMPT='x> '\n{ends}\n{waits}\n")
    result = blame(folder)
    assert result.code == 1
    assert f"the trace ends early, at {folder}/.zshrc:2: {ends}" in result.err


@needs_zsh
def test_the_document(user: User) -> None:
    made = blame(configuration(user), "--json").document
    made["tree"] = [None]
    assert set(keys(made, {})) == documented("perf-json.md", "`perf blame`")
    assert 0 <= made["overhead_ms"] < 1
