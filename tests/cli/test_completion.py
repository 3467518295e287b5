"""Completion, help and docs know the same verbs and options; and it completes in a real zsh."""

import argparse
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.user import User, call, claim, ctl_script, end

from zdeferd.cli import VERBS
from zdeferd.cli.parsers import verb_parser

ROOT = Path(__file__).parents[2]
COMPLETION = ROOT / "shell/functions/_zdeferctl"
DOCS = ROOT / "docs"
PAGES = ("commands.md", "commands-setup.md")


def options_of(verb: str) -> set[str]:
    """A verb's options, help and hidden ones left out."""
    parser = verb_parser(verb, import_module(f"zdeferd.cli.{verb}"))
    actions = [a for a in parser._actions if a.help != argparse.SUPPRESS]
    return {name for a in actions for name in a.option_strings} - {"-h", "--help"}


def test_completion_lists_every_verb_with_its_help() -> None:
    block = re.search(r"local -a verbs=\(\n(.*?)\n\)", COMPLETION.read_text(), re.DOTALL)
    assert block
    lines = re.findall(r"^  '(\w+):(.*)'$", block[1].replace("'\\''", "\0"), re.MULTILINE)
    listed = {verb: help_.replace("\\:", ":").replace("\0", "'") for verb, help_ in lines}
    assert listed == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_completion_knows_every_option(verb: str) -> None:
    text = COMPLETION.read_text()
    branch = re.search(rf"^      \((?:\w+\|)*{verb}(?:\|\w+)*\) options(.*?);;$", text, re.M | re.S)
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", branch[1] if branch else ""))
    assert options_of(verb) == known | {"--json"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_page_has_a_heading_for_every_verb_and_its_options(verb: str) -> None:
    text = "".join((DOCS / page).read_text() for page in PAGES)
    section = re.search(rf"^## `{verb}`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"no page has a heading for {verb}"
    for option in options_of(verb) - {"--json"}:
        assert f"`{option}" in section[1], f"{verb}: {option} is not documented"


def test_the_page_has_no_heading_for_other_verbs() -> None:
    headings = re.findall(
        r"^## `(\w+)`$", "".join((DOCS / page).read_text() for page in PAGES), re.MULTILINE
    )
    assert headings == list(VERBS)


def zshrc_with_completion(user: User) -> str:
    return (
        f"fpath=({COMPLETION.parent} $fpath); path=({ctl_script(user).parent} $path)\n"
        "autoload -Uz compinit; compinit -D; setopt no_list_beep\n"
    )


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_completion_in_a_real_shell(user: User) -> None:
    user.job_file('[alpha]\nrun = "true"\n[beta]\nrun = "true"\n')
    ledger = user.ledger()
    end(ledger, claim(ledger, "alpha"))
    end(ledger, claim(ledger, "alpha", "boot:b"))
    claim(ledger, "beta")
    with Terminal(user.root, zshrc_with_completion(user)) as shell:
        shell.prompt()
        for typed, expected in (
            ("zdeferctl rel\t", "zdeferctl reload "),
            ("zdeferctl why al\t", "zdeferctl why alpha"),
            ("zdeferctl show al\t", "zdeferctl show alpha "),
            ("zdeferctl show 1\t", "zdeferctl show 1 "),
            ("zdeferctl log b\t", "zdeferctl log beta "),
            ("zdeferctl cancel \t", "zdeferctl cancel 3 "),
            ("zdefer add x --after al\t", "zdefer add x --after alpha "),
            ("zdefer add x --watch comm\t", "--watch command:"),
            ("zdefer add x --watch command:zdeferc\t", "--watch command:zdeferctl "),
            ("zdeferctl run --no\t", "zdeferctl run --no-wait"),
        ):
            shell.type(typed)
            shell.expect(re.escape(expected))
            shell.type("\x15")
        shell.type("zdeferctl runs \t")
        shell.expect(r"\nalpha  beta")
        shell.type("\x15")


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_runs_that_ended_alike_are_listed_each(user: User) -> None:
    ledger = user.ledger()
    for key in ("a", "b", "c"):
        end(ledger, claim(ledger, "alpha", key))
    with Terminal(user.root, zshrc_with_completion(user)) as shell:
        shell.prompt()
        shell.type("zdeferctl show \t")
        shell.expect(r"3  -- alpha, succeeded\s*\n2  -- alpha, succeeded\s*\n1  -- alpha")
        shell.type("\x15")


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_show_offers_runs_and_the_jobs_that_have_run(user: User) -> None:
    user.job_file('[fresh]\nrun = "true"\n')
    ledger = user.ledger()
    for name in ("alpha", "beta"):
        end(ledger, claim(ledger, name))
    with Terminal(user.root, zshrc_with_completion(user)) as shell:
        shell.prompt()
        shell.type("zdeferctl show \t")
        shell.expect(r"\nalpha  beta\s*\n2  -- beta, succeeded\s*\n1  -- alpha, succeeded")
        assert "fresh" not in shell.screen
        shell.type("\x15")


def test_the_hidden_options_are_quick_answers_without_a_ledger(user: User) -> None:
    assert call("jobs", "--ids") == (0, "", "")
    assert call("runs", "--ids") == (0, "", "")
