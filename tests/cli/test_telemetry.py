"""`zdeferctl telemetry check`: the allow-list line by line, with its exit codes."""

import json
import re
from pathlib import Path

import pytest
from support.user import User, call

from zdeferd.cli import telemetry
from zdeferd.telemetry.allowed import ALLOWED, deviations

ROOT = Path(__file__).parents[2]
GOOD = [
    '{"type":"segment","name":"a/b+c","ms":0,"phase":"core","sample":"unknown","ts":1700000000000}',
    '{"type":"deferred","id":"a-1","ms":700000,"rc":255,"phase":"idle","ts":1700000000000}',
    '{"type":"idle_start","ts":1700000000000,"budget_ms":0,"tasks":2}',
    '{"type":"idle_task","id":"a","ms":5,"rc":0,"timeout":false}',
    '{"type":"idle_summary","tasks":2,"errors":0,"elapsed_ms":9,"budget_exceeded":true}',
    '{"type":"feature_timing","feature":"a_b","ms":0,"phase":"init","sequence":1,"version":1,'
    '"ts_epoch_ms":1700000000000}',
]
SECRET = "hunter2"
BAD: list[tuple[int, dict[str, object], str]] = [
    (0, {"name": f"/home/{SECRET}"}, "name"),
    (0, {"name": "A"}, "name"),
    (0, {"ms": 600000}, "ms"),
    (0, {"ms": -1}, "ms"),
    (0, {"ms": 1.5}, "ms"),
    (0, {"ms": True}, "ms"),
    (0, {"ms": "1"}, "ms"),
    (0, {"phase": SECRET}, "phase"),
    (0, {"phase": []}, "phase"),
    (0, {"sample": f"{SECRET} x"}, "sample"),
    (0, {"sample": "x" * 65}, "sample"),
    (0, {"ts": 1700000000}, "ts"),
    (0, {"ts": 1700000000000.0}, "ts"),
    (0, {"path": SECRET}, "path"),
    (0, {f"{SECRET}!": 1}, "(not shown)"),
    (0, {"type": SECRET}, "an unknown type"),
    (0, {"type": ["segment"]}, "an unknown type"),
    (1, {"rc": 256}, "rc"),
    (1, {"id": "a_b"}, "id"),
    (2, {"tasks": None}, "tasks"),
    (3, {"timeout": 0}, "timeout"),
    (4, {"budget_exceeded": 1}, "budget_exceeded"),
    (5, {"sequence": 0}, "sequence"),
    (5, {"version": 2}, "version"),
    (5, {"phase": "core"}, "phase"),
    (5, {"feature": "a b"}, "feature"),
]


def changed(number: int, more: dict[str, object]) -> str:
    return json.dumps(json.loads(GOOD[number]) | more)


def test_every_type_holds() -> None:
    assert {json.loads(line)["type"] for line in GOOD} == set(ALLOWED)
    assert [deviations(line.encode()) for line in GOOD] == [[]] * len(GOOD)
    for line in GOOD:
        assert tuple(json.loads(line)) == ALLOWED[json.loads(line)["type"]]


@pytest.mark.parametrize(("number", "more", "named"), BAD)
def test_a_value_deviates(number: int, more: dict[str, object], named: str, user: User) -> None:
    file = user.root / "side.jsonl"
    file.write_text(f"{GOOD[0]}\n{changed(number, more)}\n")
    result = call("telemetry", "check", str(file), "--strict")
    assert result.code == 3
    (line,) = result.err.splitlines()
    assert line.startswith(f"zdeferctl: telemetry: {file}:2: ")
    assert line.endswith(named)
    assert SECRET not in result.out + result.err
    assert call("telemetry", "check", str(file)).code == 0


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_every_key_must_be_there(number: int) -> None:
    whole = json.loads(GOOD[number])
    for key in whole:
        less = json.dumps({name: value for name, value in whole.items() if name != key})
        assert len(deviations(less.encode()) or ()) == 1


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("SEGMENT name=x ms=0 phase=core sample=unknown", None),
        ("", None),
        ("[1]", None),
        ('{"type":"segment"', ["a line that is no JSON object"]),
        (GOOD[3][:-1] + ',"id":"a"}', ["idle_task: a key that is there twice"]),
    ],
)
def test_other_lines(line: str, found: list[str] | None) -> None:
    assert deviations(line.encode()) == found


def test_the_options(user: User) -> None:
    file = user.root / "side.jsonl"
    extra = changed(0, {"path": "x"})
    file.write_text(f"# plain\n{GOOD[0]}\n{extra}\n")
    check = ("telemetry", "check", str(file))
    assert call(*check, "--strict").code == 3
    assert call(*check, "--strict", "--allow-extra") == (0, "holds: 2 objects\n", "")
    assert call(*check, "--strict", "--max-lines", "2") == (0, "holds: 1 object\n", "")
    assert call(*check, "--strict", "--quiet") == (3, "", "")
    assert call(*check).out == "1 deviation in 2 objects\n"
    result = user.program("telemetry", "check", "-", "--strict")
    assert (result.code, result.out) == (0, "holds: 0 objects\n")


def test_unreadable_is_2_and_usage_1(user: User) -> None:
    for path in (user.root / "none", user.root):
        result = call("telemetry", "check", str(path))
        assert result.code == 2
        assert "cannot read" in result.err
    for words in (
        (),
        ("check",),
        ("frob", "x"),
        ("check", "x", "--max-lines", "-1"),
        ("check", "x", "--no"),
    ):
        assert call("telemetry", *words).code == 1
    assert "no file is named: FILE; name one; see" in call("telemetry", "check", "").err


@pytest.mark.parametrize("number", ["-3", "many", "9" * 30])
def test_a_number_of_lines_that_is_none(number: str) -> None:
    result = call("telemetry", "check", "x", "--max-lines", number)
    assert result.code == 1
    assert f"--max-lines: not a whole number: {number}; expected 0 to 999999999;" in result.err


def test_the_documents_have_the_same_keys() -> None:
    text = (ROOT / "docs/privacy.md").read_text()
    for kind, keys in ALLOWED.items():
        assert f"| `{kind}` | `{','.join(keys)}` |" in (ROOT / "docs/telemetry.md").read_text()
        for key in keys:
            assert re.search(rf"`{key}`", text), f"docs/privacy.md lacks {key}"


def test_a_line_without_an_end_is_cut(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "LONGEST", 1000)
    file = user.root / "side.jsonl"
    file.write_text(f"{'x' * 2500}\n{GOOD[0]}\n{{{'x' * 2000}\n{GOOD[0]}\n{'x' * 1000}")
    result = call("telemetry", "check", str(file))
    assert result.out == "1 deviation in 3 objects\n"
    assert f"{file}:3: a line that is no JSON object" in result.err
    endless = call("telemetry", "check", "/dev/zero", "--max-lines", "1")
    assert endless == (0, "holds: 0 objects\n", "")
