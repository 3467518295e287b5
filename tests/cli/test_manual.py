"""The manual pages say what `--help` and `zdefer help` say, and man(1) reads them."""

import argparse
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from support.user import call
from support.zsh import PLUGIN, run_zsh

from zdeferd import __version__
from zdeferd.cli import VERBS
from zdeferd.cli.manual import help_text, pages, text
from zdeferd.cli.parsers import told, verb_parser
from zdeferd.cli.perf import SUBVERBS
from zdeferd.install.plan import PAGES
from zdeferd.programs import daemon_parser

NAMES = [*VERBS, *(f"perf {inner}" for inner in SUBVERBS)]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments that --help shows, but for --help."""
    return [a for a in parser._actions if a.help != argparse.SUPPRESS and a.dest != "help"]


def test_install_and_uninstall_know_every_page(made: dict[str, str]) -> None:
    assert set(PAGES) == set(made)


@pytest.mark.parametrize("name", NAMES)
def test_a_verb_has_its_section(made: dict[str, str], name: str) -> None:
    page = made["man1/zdeferctl.1"]
    (section,) = re.findall(rf'^\.SS "{name}"\n(.*?)(?=^\.S[SH] )', page, re.M | re.S)
    module = import_module(f"zdeferd.cli.{name.replace(' ', '.')}")
    paragraphs, examples = told(module)
    for said in (*paragraphs, *examples):
        assert text(said) in section
    for action in options(verb_parser(name, module)):
        for word in (*action.option_strings, action.help or ""):
            assert text(word.replace("%%", "%")) in section


def test_the_page_of_the_daemon_has_its_options(made: dict[str, str]) -> None:
    for action in options(daemon_parser(__version__)):
        assert text(action.option_strings[0]) in made["man8/zdeferd.8"]
        assert text(action.help or "") in made["man8/zdeferd.8"]


def test_the_help_of_zdefer_is_read_as_zsh_prints_it(home: Path) -> None:
    assert run_zsh("zdefer help", home, load=(PLUGIN,)).stdout == f"{help_text()}\n"


def test_the_page_of_zdefer_has_every_word_of_its_help(made: dict[str, str]) -> None:
    page = made["man1/zdefer.1"]
    options = [line for line in help_text().split("\n") if re.match(r" {8}-", line)]
    assert page.count("\n.TP\n") == len(options) > 10
    words = set(text(help_text()).split()) - {"zdefer:"}  # the name, before what it is
    assert {word for word in words if word not in page} == set()


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_are_right_for_man(made: dict[str, str], path: str, tmp_path: Path) -> None:
    file = tmp_path / "page"
    file.write_text(made[path])
    assert file.read_text().isascii()
    if shutil.which("groff"):
        words = ["groff", "-man", "-Tascii", "-ww", "-z", str(file)]
        assert _said(words) == ""
    if shutil.which("mandoc"):
        words = ["mandoc", "-T", "lint", "-W", "warning", str(file)]
        assert [line for line in _said(words).splitlines() if "missing date" not in line] == []


def _said(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    return done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff here")
def test_what_a_reader_sees(made: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "page"
    file.write_text(made["man1/zdeferctl.1"])
    shown = " ".join(_said(["groff", "-man", "-Tascii", "-P-cbou", str(file)]).split())
    assert r"zdeferctl runs --format '{run}\t{job}\t{outcome}\t{wall_ms}'" in shown
    assert "zdeferctl lint zsh ~/.zshrc" in shown
    assert "(^[ for escape)" in shown


def test_a_line_is_no_request() -> None:
    assert text(".zshrc is read") == r"\&.zshrc is read"
    assert text("'a' \\ b") == r"\&'a' \e b"


def test_usage_is_that_of_the_verb(made: dict[str, str]) -> None:
    usage = " ".join(call("log", "--help").out.split("\n\n")[0].split())
    assert text(usage.removeprefix("usage: zdeferctl log ")) in made["man1/zdeferctl.1"]
