"""`zdeferctl perf`: its verbs, their help, completion and documentation say the same."""

import argparse
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.user import User, call, ctl_script

from zdeferd.cli.parsers import verb_parser
from zdeferd.cli.perf import SUBVERBS

ROOT = Path(__file__).parents[2]
COMPLETION = ROOT / "shell/functions/_zdeferctl"
PAGE = ROOT / "docs/performance.md"


def parser_of(verb: str) -> argparse.ArgumentParser:
    return verb_parser(f"perf {verb}", import_module(f"zdeferd.cli.perf.{verb}"))


def options_of(verb: str) -> set[str]:
    names = {name for action in parser_of(verb)._actions for name in action.option_strings}
    return names - {"-h", "--help", "--json", "--baseline-dir"}


def completion() -> str:
    return COMPLETION.read_text().split("_zdeferctl_perf() {")[1].split("\n}\n")[0]


def test_completion_lists_every_verb_with_its_help() -> None:
    listed = re.findall(r"^    '(\w+):(.*)'$", completion(), re.MULTILINE)
    assert {verb: text.replace("\\:", ":") for verb, text in listed} == SUBVERBS


@pytest.mark.parametrize("verb", SUBVERBS)
def test_completion_knows_every_option(verb: str) -> None:
    branch = re.search(rf"^    \({verb}\) zdeferctl_options(.*?);;$", completion(), re.M | re.S)
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", branch[1] if branch else ""))
    assert options_of(verb) == known


@pytest.mark.parametrize("verb", SUBVERBS)
def test_the_page_names_every_option(verb: str) -> None:
    section = re.search(
        rf"^### `perf {verb}`\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert section, f"docs/performance.md has no heading for {verb}"
    assert [option for option in options_of(verb) if f"`{option}" not in section[1]] == []


def test_the_page_has_no_other_verbs() -> None:
    assert re.findall(r"^### `perf (\w+)`$", PAGE.read_text(), re.MULTILINE) == list(SUBVERBS)


@pytest.mark.parametrize("verb", SUBVERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    result = call("perf", verb, "--help")
    assert result.code == 0
    assert f"zdeferctl perf {verb}" in result.out.split("\n\n", 1)[1]


@pytest.mark.parametrize("verb", SUBVERBS)
@pytest.mark.usefixtures("user")
def test_usage_errors_exit_with_1(verb: str) -> None:
    result = call("perf", verb, "--no-such-option")
    assert result.code == 1
    assert f"see `zdeferctl perf {verb} --help`" in result.err


def test_without_a_verb_it_says_which_there_are() -> None:
    assert call("perf").code == 1
    assert call("perf", "unheard-of").code == 1
    assert call("perf", "--", "status").code == 1
    shown = call("perf", "--help").out
    assert all(f"  {verb} " in shown for verb in SUBVERBS)


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_completion_in_a_real_shell(user: User) -> None:
    zshrc = (
        f"fpath=({COMPLETION.parent} $fpath); path=({ctl_script(user).parent} $path)\n"
        "autoload -Uz compinit; compinit -D; setopt no_list_beep\n"
    )
    with Terminal(user.root, zshrc) as shell:
        shell.prompt()
        for typed, expected in (
            ("zdeferctl perf cl\t", "zdeferctl perf classify "),
            ("zdeferctl perf classify --rob\t", "zdeferctl perf classify --robust "),
            ("zdeferctl perf baseline re\t", "zdeferctl perf baseline reset "),
        ):
            shell.type(typed)
            shell.expect(re.escape(expected))
            shell.type("\x15")
