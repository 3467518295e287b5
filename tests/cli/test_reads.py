"""Modules that verbs load: no ZeroMQ to read, and none that is slow to import for `VERB --help`."""

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path

import pytest
from support.user import SOURCE, User

from zdeferd.cli import READS, VERBS

QUICK = (
    *("view.runs", "view.live", "view.target", "view.where", "view.render", "view.health"),
    *("ledger.reading", "machine.paths", "machine.lock"),
)
"""Every verb begins with these: they cost `status` its time."""
SLOW = {
    *("asyncio", "ctypes", "dataclasses", "html", "inspect", "json", "msgspec", "pathlib"),
    *("psutil", "pty", "random", "socket", "sqlite3", "statistics", "subprocess", "tempfile"),
    *("threading", "uvloop", "zdeferd.wire", "zmq"),
}
"""Each takes a millisecond or more to import: what a verb needs of them it loads when it acts."""


def imports(module: str) -> Iterator[str]:
    """Every module that a module of ours imports anywhere in its text, but for its types."""
    path = file_of(module)
    assert path is not None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    types = {inner for node in ast.walk(tree) if for_types(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def for_types(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def file_of(module: str) -> Path | None:
    """The file of a module of ours; None for a name that is none."""
    path = SOURCE.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def reached(module: str) -> set[str]:
    """Every module that `module` can load, its own imports' imports included."""
    found, left = set(), [module]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        if name.startswith("zdeferd") and file_of(name):
            left += imports(name)
    return found


def test_they_are_verbs() -> None:
    assert set(VERBS) >= READS


def test_the_others_reach_zeromq() -> None:
    assert "zmq" in reached("zdeferd.cli.run")


@pytest.mark.parametrize("verb", sorted(READS))
def test_verbs_that_only_read_never_reach_zeromq(verb: str) -> None:
    found = reached(f"zdeferd.cli.{verb}")
    assert "zdeferd.ledger.reading" in found or verb in ("check", "telemetry", "lint")
    assert {name for name in found if name == "zmq" or name.startswith("zdeferd.wire")} == set()


@pytest.mark.parametrize("module", QUICK)
def test_quick_modules_load_no_msgspec(module: str, user: User) -> None:
    probe = f"import sys, zdeferd.{module}; print('msgspec' in sys.modules)"
    assert user.python(probe).out == "False\n"


@pytest.mark.parametrize("verb", ["run", "retry", "enable", "cancel", "reload"])
def test_a_verb_that_asks_the_daemon_loads_no_asyncio(user: User, verb: str) -> None:
    """Half of pyzmq's modules load it, which takes as long as `status`."""
    code = f"import sys, zdeferd.cli.{verb}; sys.exit('asyncio' in sys.modules)"
    assert user.python(code) == (0, "", "")


def every_verb() -> Iterator[str]:
    """Each verb, and each verb of a verb, as it is typed."""
    for verb in VERBS:
        yield verb
        subverbs = getattr(import_module(f"zdeferd.cli.{verb}"), "SUBVERBS", ())
        yield from (f"{verb} {subverb}" for subverb in subverbs)


@pytest.mark.parametrize("words", list(every_verb()))
def test_help_loads_nothing_that_is_slow(user: User, words: str) -> None:
    code = (
        "import sys; from zdeferd.cli import main;"
        f"print(main({[*words.split(), '--help']!r}), sorted({SLOW!r} & set(sys.modules)))"
    )
    assert user.python(code).out.splitlines()[-1] == "0 []"
