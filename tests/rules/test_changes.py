"""Which inputs differ, in words."""

import pytest

from zdeferd.inputs import InputFile, Inputs, States
from zdeferd.rules import changes

FILE = ("/x", "1", "2", "3")
ABSENT = ("/x", "absent")
WORDS: list[tuple[str, tuple[InputFile, ...], tuple[InputFile, ...], str]] = [
    ("/x", (FILE,), (("/x", "9", "9", "9"),), "/x (other size)"),
    ("/x", (FILE,), (("/x", "1", "9", "9"),), "/x (other time)"),
    ("/x", (FILE,), (("/x", "1", "2", "9"),), "/x (another file)"),
    ("/x", ((*FILE, "a"),), ((*FILE, "b"),), "/x (other content)"),
    ("/x", (FILE,), (ABSENT,), "/x (absent, before there)"),
    ("/x", (ABSENT,), (FILE,), "/x (there, before absent)"),
    ("/x", (FILE,), (("/x", "Permission denied"),), "/x (Permission denied, before there)"),
    ("command:x", (FILE,), (("/x", "9", "2", "3"),), "command:x (/x: other size)"),
    ("command:x", (FILE,), (("/y", "1", "2", "3"),), "command:x (/y, before /x)"),
    ("command:x", (FILE,), (("absent",),), "command:x (absent, before /x)"),
    ("env:X", (("set", "a"),), (("set", "b"),), "env:X (other value)"),
    ("env:X", (("not set",),), (("set", "b"),), "env:X (set now)"),
    ("env:X", (("set", "a"),), (("not set",),), "env:X (not set now)"),
    ("/*", (FILE,), (FILE, ("/y", "1", "2", "3")), "/* (/y: new)"),
    ("/*", (FILE, ("/y", "1", "2", "3")), (FILE,), "/* (/y: gone)"),
    ("/*", (("300 files", "", "", "", "a"),), (("300 files", "", "", "", "b"),),
     "/* (300 files: other content)"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "before", "now", "says"), WORDS)
def test_a_difference_is_named(
    word: str, before: tuple[InputFile, ...], now: tuple[InputFile, ...], says: str
) -> None:
    same = ("/same", (FILE,))
    assert changes.changes((same, (word, before)), (same, (word, now))) == [says]
    assert changes.changes((same, (word, now)), (same, (word, now))) == []


def test_words_and_the_definition_change_too() -> None:
    before: States = (("/x", ()), ("definition:1", ()))
    now: States = (("/y", ()), ("definition:2", ()))
    assert changes.changes(before, now) == [
        *("/y (watched only now)", "its own definition", "/x (no longer watched)")
    ]
    assert changes.changes((), now) == [], "of an older zdeferd nothing is kept"


def test_many_differences_are_counted() -> None:
    files = tuple((f"/{number}", "1", "2", "3") for number in range(9))
    (said,) = changes.changes((("/*", (FILE,)),), (("/*", (FILE, *files)),))
    assert said == "/* (/0: new, /1: new, /2: new and 6 more)"


def test_a_cause_is_a_change_or_a_missing_output_and_bounded() -> None:
    now = Inputs("f", (("/x", (FILE,)),), missing="/made")
    assert changes.cause((("/x", (ABSENT,)),), now) == "this changed: /x (there, before absent)"
    assert changes.cause(now.states, now) == "its output was missing: /made"
    assert changes.cause(now.states, Inputs("f", now.states)) == ""
    long = Inputs("f", ((f"/{'x' * 4000}", ()),))
    assert len(changes.cause(now.states, long)) == changes.LONGEST_CAUSE
