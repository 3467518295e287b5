"""What `zdefer` and the contract's functions accept and refuse, and how they say it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from shell.conftest import PLUGIN, Start
from shell.peer import Peer

QUEUE = "; print -rl -- ${(V)_zdeferd_queue}"


def zsh(code: str, home: Path, **env: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of zsh code with the plugin loaded."""
    done = subprocess.run(
        ["zsh", "-fc", f"source {PLUGIN}\nf() {{ : }}\n{code}"],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


ACCEPTED = {
    "zdefer add a -- f": ["id=a", "on=postprompt", "once_per=shell", "--", "f"],
    "zdefer add 0 --on idle -- f 'x  y' ''": ["id=0", "on=idle", "--", "f", "x  y", ""],
    "zdefer add a --once-per ever --timeout 1.5m -- f": ["once_per=ever", "timeout=1.5m"],
    "zdefer add a --after b --after c --after b -- f": ["after=b^@c"],
    "zdefer add a --once-per=change --watch=command:ls --watch '/x*' -- f": [
        "watch=command:ls^@/x*"
    ],
    "zdefer add a --env X --env Y -f f -f g -- f": ["env=X", "env=Y", "function=f", "function=g"],
    "zdefer add a -- --on idle": ["on=postprompt", "--", "--on", "idle"],
    f"zdefer add {'x' * 64} -- f": [f"id={'x' * 64}"],
    "zf::defer::register a f postprompt some words": ["defer", "5", "a", "f", "postprompt"],
    "zf::defer::register a f idle words": ["defer", "4", "a", "f", "idle", "words"],
    "zf::idle::register a f some words": ["a", "f", "idle", "some", "words"],
    "zf::idle::register a f x; zf::idle::register b f x": ["a", "b"],
}


@pytest.mark.parametrize("call", ACCEPTED)
def test_accepts(call: str, home: Path) -> None:
    status, printed, errors = zsh(call + " || exit" + QUEUE, home)
    assert (status, errors) == (0, "")
    words = iter(printed.split("\n"))
    assert all(word in words for word in ACCEPTED[call])  # in this order


REFUSED = {
    "zdefer": (2, "no verb"),
    "zdefer add": (2, "missing ID"),
    "zdefer add a": (2, "nothing to run"),
    "zdefer add a --": (2, "nothing to run"),
    "zdefer add a f": (2, "unexpected word: f"),
    "zdefer add a --nice 3 -- f": (2, "unexpected word: --nice"),
    "zdefer add a --on": (2, "no value for: --on"),
    "zdefer add a --on -- f": (2, "no value for: --on"),
    "zdefer add A -- f": (1, "bad value for ID: A"),
    "zdefer add '' -- f": (1, "bad value for ID: ''"),
    "zdefer add -x -- f": (1, "bad value for ID: -x"),
    "zdefer add $'a\\nb' -- f": (1, "bad value for ID: $'a\\nb'"),
    "zdefer add a/b -- f": (1, "bad value for ID: a/b"),
    f"zdefer add {'x' * 65} -- f": (1, "bad value for ID"),
    "zdefer add a --on boot -- f": (1, "bad value for --on: boot"),
    "zdefer add a --once-per week -- f": (1, "bad value for --once-per: week"),
    "zdefer add a --after B -- f": (1, "bad value for --after: B"),
    "zdefer add a --timeout soon -- f": (1, "bad value for --timeout: soon"),
    "zdefer add a --timeout '' -- f": (1, "bad value for --timeout: ''"),
    "zdefer add a --watch '' -- f": (1, "bad value for --watch: ''"),
    "zdefer add a -f '' -- f": (1, "bad value for -f: ''"),
    "zdefer add a --env A=B -- f": (1, "bad value for --env: 'A=B'"),
    "zdefer add a --once-per change -- f": (2, "--once-per change: no --watch"),
    "zdefer add a --watch /x -- f": (2, "--watch: no --once-per"),
    "zdefer add a --once-per change --watch command:/x -- f": (1, "bad value for --watch"),
    "zdefer idle now": (2, "unexpected argument: now"),
    "zf::defer::register": (1, "missing arguments"),
    "zf::defer::register a f postprompt": (1, "missing arguments"),
    "zf::defer::register a '' postprompt x": (1, "missing arguments"),
    "zf::defer::register a f boot x": (1, "unsupported trigger: boot"),
    "zf::defer::register a f post:prompt x": (1, "unsupported trigger"),
    "zf::defer::register A f postprompt x": (1, "bad id: A"),
    f"zf::defer::register {'x' * 65} f postprompt x": (1, "bad id"),
    "zf::idle::register": (1, "missing arguments"),
    "zf::idle::register a f": (1, "missing arguments"),
    "zf::idle::register a no-such x": (1, "no such function: no-such"),
    "zf::idle::register a_b f x": (1, "bad id: a_b"),
}


@pytest.mark.parametrize("call", REFUSED)
def test_refuses(call: str, home: Path) -> None:
    expected, says = REFUSED[call]
    status, printed, errors = zsh(call, home)
    assert status == expected
    assert printed == ""
    assert errors.count("\n") == 1
    assert re.match(r"(zdefer|zf::\w+::\w+): [^:]+: ", errors)
    assert says in errors


def test_a_duplicate_of_an_idle_job_is_told_silently(home: Path) -> None:
    status, _, errors = zsh("zf::idle::register a f x; zf::idle::register a f x", home)
    assert (status, errors) == (2, "")


def test_a_duplicate_of_a_deferred_job_is_no_error(home: Path) -> None:
    call = "zf::defer::register a f postprompt x"
    assert zsh(f"{call}; {call}", home) == (0, "", "")


@pytest.mark.parametrize("call", ["zf::idle::register A no x", "zf::idle::run_if_ready"])
def test_switched_off_idle_does_nothing(call: str, home: Path) -> None:
    assert zsh(call + QUEUE, home, ZSH_IDLE_ENABLE="0") == (0, "\n", "")


def test_run_if_ready_is_silent_anywhere(home: Path) -> None:
    assert zsh("zf::idle::run_if_ready; zdefer idle", home) == (0, "", "")


def test_other_verbs_are_zdeferctls(home: Path) -> None:
    program = home / "bin/zdeferctl"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"; exit 3\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    assert zsh("zdefer why 'a b' -x", home, PATH=path) == (3, "<why><a b><-x>", "")


def test_other_verbs_without_zdeferctl(home: Path) -> None:
    status, _, errors = zsh("path=(/nowhere); zdefer status", home)
    assert status == 127
    assert errors.startswith("zdefer: command not found: zdeferctl; ")


def test_help_names_every_verb_and_option(home: Path) -> None:
    status, printed, _ = zsh("zdefer help", home)
    assert status == 0
    for word in ("add", "idle", "help", "--on", "--once-per", "--watch", "--after", "--timeout"):
        assert word in printed
    assert "--env" in printed
    assert "-f FUNCTION" in printed
    assert max(map(len, printed.splitlines())) <= 90
    assert zsh("zdefer --help", home)[1] == printed


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("zdefer id", "zdefer idle "),
        ("zdeferctl rel", "zdeferctl reload "),
        ("zdefer add x --once-per=bo", "zdefer add x --once-per=boot "),
        ("zdefer add x -f special-fu", "zdefer add x -f special-function "),
    ],
)
@pytest.mark.parametrize("order", ["after the plugin", "before the plugin"])
def test_completion(typed: str, completed: str, order: str, peer: Peer, start: Start) -> None:
    compinit = "special-function() { : }; autoload -Uz compinit; compinit -u -D"
    shell = start(**{"before" if order == "before the plugin" else "after": compinit})
    shell.prompt()
    peer.take()  # the rest of that turn is done before ZLE reads a key
    shell.type(f"{typed}\t")
    shell.expect(re.escape(completed))
