"""What holds for every verb: help, version, usage errors, signals, colour."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.user import SOURCE, User, call, claim

from zdeferd import __version__
from zdeferd.cli import VERBS
from zdeferd.cli.call import wants_colour


def test_help_names_every_verb() -> None:
    result = call("--help")
    assert result.code == 0
    for verb, line in VERBS.items():
        assert f"  {verb:<10} {line}\n" in result.out


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "demo"])
def test_every_verb_helps(verb: str) -> None:
    result = call(verb, "--help")
    assert result.code == 0
    assert "--json" in result.out
    assert result.out.startswith(f"usage: zdeferctl {verb}")


@pytest.mark.parametrize("words", [("--help",), *((verb, "--help") for verb in VERBS)])
def test_help_fits_into_80_columns(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in call(*words).out.splitlines() if len(line) > 79] == []


def test_version() -> None:
    assert call("--version").out == f"zdeferctl {__version__}\n"


def test_no_verb_is_a_usage_error() -> None:
    result = call()
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("usage: ")


@pytest.mark.parametrize("word", ["statsu", "stat"])  # `start` is nearer to the second one
def test_unknown_verb_is_told_the_nearest(word: str) -> None:
    told = f"zdeferctl: unknown verb: {word}; did you mean `zdeferctl status`?\n"
    assert call(word) == (2, "", told)


def test_a_usage_error_is_one_line() -> None:
    told = "argument JOB: not a job's id: a�[31m b; expected a-z, 0-9 and -, at most 64"
    assert call("why", "a\x1b[31m\nb").err == f"zdeferctl: {told}; see `zdeferctl why --help`\n"


@pytest.mark.usefixtures("user")
def test_options_may_stand_between_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("")
    badge = call("perf", "badge", "struct", str(tmp_path / "a"), "--json", str(tmp_path / "b"))
    assert badge.code == 0, badge.err
    assert badge.document["message"] == "stable"
    checked = call("perf", "baseline", "check", "--baseline-dir", str(tmp_path), "prompt_ready")
    assert checked.code == 2
    assert checked.out.startswith("prompt_ready_ms: missing: ")


def test_a_name_that_looks_like_an_option_comes_after_dashes() -> None:
    refused = call("perf", "blame", "--json", "--", "--zdotdir")
    assert refused.err.startswith("zdeferctl: argument ZDOTDIR: not a folder: --zdotdir")


def test_unknown_option() -> None:
    result = call("status", "--jsno")
    assert result.code == 2
    assert "--jsno" in result.err
    assert "zdeferctl status --help" in result.err


@pytest.mark.parametrize(
    ("env", "terminal", "colour"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
    ],
)
def test_colour(env: dict[str, str], terminal: bool, colour: bool) -> None:
    assert wants_colour(env, terminal) is colour


def test_a_closed_pipe_is_silent(user: User) -> None:
    ledger = user.ledger()
    claim(ledger, "waits")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "zdeferd.cli", "runs"],
        env=user.env | {"PYTHONPATH": str(SOURCE)},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        timeout=200,
    )
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE
    assert done.stderr == b""


def test_ctrl_c_is_no_traceback(user: User) -> None:
    probe = (
        "import sys, zdeferd.cli as cli\n"
        "from zdeferd.cli import runs\n"
        "def interrupted(call): raise KeyboardInterrupt\n"
        "runs.perform = interrupted\n"
        "sys.exit(cli.main(['runs']))"
    )
    assert user.python(probe) == (130, "", "")


@pytest.mark.parametrize("words", [("status",), ("run", "--help"), ("--version",)])
def test_output_that_cannot_be_written_is_one_line(user: User, words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "zdeferd.cli", *words],
            env=user.env | {"PYTHONPATH": str(SOURCE)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=200,
        )
    assert done.returncode == 1
    assert done.stderr == "zdeferctl: No space left on device: input or output\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [("reload", 3), ("status", 0), ("show 9", 1), ("run", 2), ("nonsense", 2)],
)
@pytest.mark.parametrize("both", [False, True])
def test_errors_that_cannot_be_written_change_no_exit_code(
    user: User, words: str, code: int, both: bool
) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "zdeferd.cli", *words.split()],
            env=user.env | {"PYTHONPATH": str(SOURCE)},
            stdout=full if both else subprocess.DEVNULL,
            stderr=full,
            check=False,
            timeout=200,
        )
    assert done.returncode == (1 if both and words == "status" else code)


def test_closed_streams_and_names_of_any_bytes(user: User) -> None:
    strange = os.fsdecode(b"\xff\xfe")
    for command in ("status", "jobs", "check", "doctor", "runs --json"):
        done = subprocess.run(
            ["sh", "-c", f"{sys.executable} -m zdeferd.cli {command} >&-"],
            env=user.env | {"PYTHONPATH": str(SOURCE), "XDG_STATE_HOME": f"/{strange}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.stderr == ""
    result = call("status")
    assert result.code == 0
    assert user.program("status", XDG_STATE_HOME=f"/{strange}", LC_ALL="C").err == ""


def test_a_bug_is_one_line_too(user: User) -> None:
    probe = (
        "import sys, zdeferd.cli as cli\n"
        "from zdeferd.cli import runs\n"
        "def broken(call): raise ValueError('bad value')\n"
        "runs.perform = broken\n"
        "sys.exit(cli.main(['runs']))"
    )
    result = user.python(probe)
    assert result.code == 1
    assert result.err.startswith("zdeferctl: internal error: ValueError: bad value (")
    assert result.err.count("\n") == 1


def test_colour_on_a_terminal_only(user: User) -> None:
    claim(user.ledger(), "waits")
    assert "\x1b[" not in call("status").out
    python = f"PYTHONPATH={SOURCE} {sys.executable} -m zdeferd.cli status"
    with Terminal(user.root, "") as shell:
        shell.prompt()
        shell.run(python)
        assert b"\x1b[33mnot running\x1b[0m" in shell.raw
        before = len(shell.raw)
        shell.run(f"NO_COLOR=1 {python}")
        assert b"not running" in shell.raw[before:]
        assert b"\x1b[33mnot running" not in shell.raw[before:]
