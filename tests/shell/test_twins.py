"""Rules that stand in zsh and in Python: docs/protocol.md lists the pairs, these compare them.

Each compares by behaviour where both sides can be asked, else by the text of the shim.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from shell.conftest import PLUGIN

from zdeferd.config import conditions, units
from zdeferd.config import values as values_of_keys
from zdeferd.config.problems import Refused
from zdeferd.config.values import is_id
from zdeferd.jobs import registrations, script
from zdeferd.model import Scope, Trigger
from zdeferd.wire import messages, router

SHELL = PLUGIN.parent
PAGE = SHELL.parent / "docs/protocol.md"
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
IDS = [
    *("a", "0", "a-b", "a-", "0-0", "a--b", f"{ALPHABET}0123456789-", "a" * 64),
    *("", "-", "-a", "A", "aB", "é", "aé", "a_b", "a.b", "a b", "a\n", "\na", "a*", "a" * 65),
    *("[a]", "~", "a/b", "add", "postprompt"),
]


def zsh(code: str, *arguments: str) -> str:
    """What a zsh with the plugin prints."""
    env = {"HOME": "/home/u", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    marked = f"autoload -Uz {SHELL}/functions/zdeferd-check"  # as zdeferd-verb does
    command = ["zsh", "-f", "-c", f"source {PLUGIN}\n{marked}\n{code}", "zsh", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, check=True, timeout=200)
    return os.fsdecode(done.stdout)


def accepted(call: str, values: list[str]) -> set[str]:
    """The values for which `call`, in which `$value` is one of them, is 0."""
    code = f"f() {{ : }}; for value; do {{ {call} }} &>/dev/null && print -n 1 || print -n 0; done"
    answers = zsh(code, *values)
    assert len(answers) == len(values)
    return {value for value, answer in zip(values, answers, strict=True) if answer == "1"}


@pytest.mark.parametrize(
    "call",
    [
        "zf::defer::register $value f postprompt words",
        "zf::idle::register $value f words",
        "zdefer add $value -- f",
        "zdefer add $value --once-per day -- f",
        "zdefer add $value --on idle -- f",
        "zdefer add job --after=$value -- f",
    ],
)
def test_ids(call: str) -> None:
    assert accepted(call.replace("$value", '"$value"'), IDS) == set(filter(is_id, IDS))


TEXTS = [
    "f", " f x", "\tf", "f;g", "f&&g||h|i&j", "f>x", "f<x", "$(f)", "`f`", "x $(f $(g))",
    "{ f\n\tg }", "if f\nthen\n\tg\nelse\n\th\nfi", "if f; then g; elif h; then i; fi",
    "while f; do g; done", "for x in f\ndo\n\tg\ndone", "case f in\n(g) h ;; esac",
    "! f", "- f", "time f", "noglob f", "nocorrect f", "exec f", "coproc f", "eval f",
    "eval 'f; g'", "trap 'f' EXIT", "trap f INT", "X=1 f", "X=1 Y+=2 f", "X='1 2' f", "X=\"1 2\" f",
    "print f", "print 'f g'", "print \"f\" f", "\\f x", "'f' x", "\"f\" x", "f$x", "$f", "-dash f",
    "zf::a b", "a.b-c_d@e+1 x", "cat <<E\n$(f)\nE", "() {\n\tf $1\n} x", "=(f)", "<(f)", "dof x",
    "thenf", "X= f", "x[1]=2 f", "# f", "", " ", ";", "f\0g x",
]  # fmt: skip


def test_what_stands_in_command_position() -> None:
    """.zdeferd-commands and registrations._names, and of some texts what is right."""
    code = f"""
    source {SHELL}/defer/message.zsh
    for text; do
      new=("$text") called=()
      .zdeferd-commands
      print -rn -- "${{(pj:\\1:)called}}"$'\\2'
    done"""
    wrapped = f"emulate zsh -o extended_glob -c {shlex.quote(code)}"
    arguments = [text.replace("\0", "\n") for text in TEXTS]
    theirs = zsh(wrapped, *arguments).split("\2")[:-1]
    for text, called in zip(arguments, theirs, strict=True):
        assert [name for name in called.split("\1") if name] == list(registrations._names(text)), (
            text
        )
    assert list(registrations._names("if a; then b $(c); fi; X=1 d 'e'")) == [
        "a",
        "b",
        "c",
        "fi",
        "d",
    ]


@pytest.mark.parametrize(
    ("option", "members"), [("--once-per", Scope), ("--on", Trigger)], ids=["scopes", "triggers"]
)
def test_the_values_of_an_option(option: str, members: type[Scope] | type[Trigger]) -> None:
    others = ["", "week", "Shell", "prompt"]
    wanted = set(map(str, members))
    watched = "${${(M)value:#change}:+--watch=/x}"
    call = f'zdefer add job {option}="$value" {watched} -- f'
    assert accepted(call, [*wanted, *others]) == wanted
    assert accepted(f'zdeferd-check {option} "$value"', [*wanted, *others]) == wanted


def test_what_changes_only_its_own_shell() -> None:
    names = sorted(script.INSIDE | {"print", "make", "sources", "cdx", "zcompile"})
    call = 'zdeferd-inside() { told=1 }; told=; zdefer add job -- "$value" x; [[ -n $told ]]'
    assert accepted(call, names) == script.INSIDE


def test_the_units_of_a_duration() -> None:
    values = [f"7{unit}" for unit in (*units.SECONDS, "y", "sec", "us")]
    values += ["0.1", "0.09s", "100ms", "99ms", "1.5h", "", "-1s", ".5s", "1e3", "5.", "s"]

    def right(value: str) -> bool:
        try:
            return units.parse_duration(value) >= 0.1
        except ValueError:
            return False

    assert accepted('zdeferd-check --timeout "$value"', values) == set(filter(right, values))


def test_the_values_of_a_retry() -> None:
    values = ["1", "3", "99", "100", "101", "0", "03", "", "x", "-1", "3:", ":3s", "3:30s", "3:1h"]
    values += [
        "3:61m",
        "3:99ms",
        "3:0.1",
        "3:1.5m",
        "3:1y",
        "3:30s:1",
        "3 :30s",
        "2:3600",
        "2:3601",
    ]

    def right(value: str) -> bool:
        try:
            values_of_keys.read_retry(value, "")
        except ValueError:
            return False
        return True

    assert accepted('zdeferd-check --retry "$value"', values) == set(filter(right, values))


def test_the_words_of_conditions() -> None:
    values = [f"quiet={one}" for one in ("1s", "0.9s", "5m", "0", "1001ms", "x", "")]
    values += [f"load_below={one}" for one in ("1", "0.5", "0", "0.0", "-1", "1s", "")]
    moments = ("0", "10m", "9:05", "09:05", "24:00", "23:59", "12:60", "0s", "1.5h", "x", "")
    values += [f"{key}={one}" for key in ("not_before", "deadline") for one in moments]
    values += ["power=ac", "power=battery", "power=mains", "online", "online=true", "online=false"]
    values += ["", "quiet", "power", "wind=1"]

    def right(value: str) -> bool:
        try:
            conditions.read_conditions(conditions.conditions_of_words([value]), "")
        except Refused:
            return False
        return True

    assert accepted('zdeferd-check --when "$value"', values) == set(filter(right, values))


def queued(call: str) -> registrations.Register:
    """The job that Python reads from what `call` queues."""
    (words,) = zsh(f"f() {{ : }}; {call}; print -rn -- ${{(pj:\\1:)_zdeferd_queue}}").split("\1")
    _, jobs = registrations.read("", f"{len(os.fsencode(words))}\0{words}")
    (job,) = jobs
    return job


def test_the_fields_of_a_job() -> None:
    assert queued("zf::defer::register job f idle some words") == registrations.Register(
        id="job", call=("f",), on="idle", description="some words"
    )
    assert queued("zdefer add job -- f a 'b c'") == registrations.Register(
        id="job", call=("f", "a", "b c")
    )
    assert queued("zdefer add job --once-per day -- 'f; g'") == registrations.Register(
        id="job", call=("f; g",), once_per="day"
    )
    whole = (
        "--on idle --once-per change --watch /a --watch /b --after x --timeout 5s --retry 3:1m"
        " --when power=ac --when online"
        " --env HOME -f f --output /o/_x --check zsh --empty --compile --apply"
    )
    assert queued(f"zdefer add job {whole} -- f a") == registrations.Register(
        id="job",
        call=("f", "a"),
        on="idle",
        once_per="change",
        watch=("/a", "/b"),
        after=("x",),
        timeout="5s",
        retry="3:1m",
        when=("power=ac", "online"),
        output="/o/_x",
        check="zsh",
        empty="true",
        compile="true",
        apply="true",
        env=("HOME",),
    )


def test_the_protocol_and_its_limits() -> None:
    text = (SHELL / "defer/message.zsh").read_text()
    assert re.findall(r"hello protocol=(\d+)", text) == [str(messages.PROTOCOL)]
    limit = re.search(r"_zdeferd_limit=(\d+)", text)
    assert limit
    assert int(limit[1]) <= router.MAX_MESSAGE_BYTES
    made = re.search(r"_zdeferd\[nonce\]=(\S+)$", text, re.MULTILINE)
    assert made
    assert messages.NONCE.fullmatch(zsh(f"print -rn -- {made[1]}"))


def pairs() -> list[list[str]]:
    """The rows of the page's table: rule, zsh, Python, test."""
    section = PAGE.read_text().split("## Rules that stand twice\n")[1].split("\n## ")[0]
    return [row.strip("| ").split(" | ") for row in re.findall(r"^\| .* `.*$", section, re.M)]


@pytest.mark.parametrize("row", pairs(), ids=lambda row: row[0])
def test_a_pair_and_its_test_are_there(row: list[str]) -> None:
    _, in_zsh, in_python, test = row
    for place in re.findall(r"`([^`]+)`", in_zsh):
        assert (SHELL / place).is_file(), place
    for place in re.findall(r"`([^`]+)`", in_python):
        path, _, name = place.partition(" ")
        assert re.search(rf"\b{name}\b", (SHELL.parent / "src/zdeferd" / path).read_text()), place
    path, _, name = test.strip("`").partition("::")
    assert f"def {name}(" in Path(SHELL.parent / "tests" / path).read_text()
