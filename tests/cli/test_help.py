"""Each verb's help ends with examples, and they are commands that this version understands."""

import shlex
from importlib import import_module
from pathlib import Path

import pytest
from support.user import User, call

from zdeferd.cli import ALIASES, VERBS
from zdeferd.cli.parsers import told, verb_parser
from zdeferd.cli.perf import SUBVERBS

NAMES = [*VERBS, *(f"perf {inner}" for inner in SUBVERBS)]


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_verb_parse(name: str, tmp_path: Path) -> None:
    (tmp_path / ".config/zsh-new").mkdir(parents=True)  # a folder that an example names
    module = import_module(f"zdeferd.cli.{name.replace(' ', '.')}")
    examples = told(module)[1]
    assert examples
    shown = verb_parser(name, module).format_help()
    assert shown.endswith("\n".join(["examples:", *(f"  {line}" for line in examples)]) + "\n")
    for example in examples:
        if name == "perf":  # its examples are of the verbs below it
            assert example.split()[1:3] in [["perf", inner] for inner in SUBVERBS]
            continue
        assert example.startswith(f"zdeferctl {name}")
        words = shlex.split(example.replace("~", str(tmp_path)))[1 + len(name.split()) :]
        verb_parser(name, module).parse_args(words)  # a mistake would end the test


@pytest.mark.parametrize("name", NAMES)
def test_no_word_of_a_description_is_cut(name: str) -> None:
    """Options and commands can be copied: `--no-record` stays on one line."""
    module = import_module(f"zdeferd.cli.{name.replace(' ', '.')}")
    lines = (verb_parser(name, module).description or "").split("\n")
    assert lines[0]
    assert not [line for line in lines if line.endswith("-")]


def test_help_of_an_unknown_verb(user: User) -> None:
    said = "zdeferctl: unknown verb: statsu; did you mean `zdeferctl status`?\n"
    assert call("help", "statsu") == (2, "", said)
    assert call("help", "--help") == call("help") == call("--help")


@pytest.mark.parametrize(("alias", "verb"), ALIASES.items())
def test_another_name_is_the_verb(user: User, alias: str, verb: str) -> None:
    assert alias not in VERBS
    assert call(alias, "--help") == call(verb, "--help")
    assert call("help", alias) == call(verb, "--help")
    assert call(alias, "--nonsense").err.endswith(f"see `zdeferctl {verb} --help`\n")


def test_help_names_the_other_names() -> None:
    assert "Other names: logs is log, ls is jobs.\n" in call("--help").out
