"""A key of a TOML text is set or taken out; every other line stays."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdeferd.config.problems import Refused
from zdeferd.config.toml_edit import with_key, without_key, written

LINES = [
    "",
    "# a comment # in two",
    'a = "x # y"  # why',
    "b = [1, # one\n  2]",
    "c = '''\nd = 1\n'''",
    'd = """x # y"""',
    "e = { f = 1 }\t# tail",
    '"g" = 1',
]


@given(
    st.lists(st.sampled_from(LINES), unique=True),
    st.sampled_from("abcdeghx"),
    st.sampled_from([7, True, "a # 'b'\n\"c\"", [1, "z"], 1.5]),
    st.booleans(),
)
def test_only_the_key_changes(lines: list[str], key: str, value: object, tables: bool) -> None:
    text = "\n".join([*lines, *(["", "[t]", "a = 1", "x = 2"] if tables else []), ""])
    before = tomllib.loads(text)
    made = with_key(text, key, value)
    assert tomllib.loads(made) == {**before, key: value}
    others = [line for line in lines if not line.lstrip('"').startswith(f"{key}")]
    assert [line for line in others if line not in made] == []
    before.pop(key, None)
    assert tomllib.loads(without_key(text, key)) == before


def test_the_comment_of_the_line_stays() -> None:
    assert with_key('a = "x # y"  # why\n', "a", 1) == "a = 1  # why\n"
    assert with_key("a = [1, # one\n 2] # all\n", "a", 1) == "a = 1 # all\n"


def test_the_line_ends_of_windows_stay() -> None:
    text = "# one\r\na = 1  # why\r\nb = 2\r\n"
    assert with_key(text, "a", 3) == "# one\r\na = 3  # why\r\nb = 2\r\n"
    assert with_key(text, "c", 3) == f"{text}c = 3\r\n"
    assert without_key(text, "a") == "# one\r\nb = 2\r\n"


def test_a_new_key_stands_before_the_tables() -> None:
    assert with_key("b = 1\n\n[t]\nc = 1\n", "a", 2) == "b = 1\na = 2\n\n[t]\nc = 1\n"
    assert with_key("", "a", 2) == "a = 2\n"


@pytest.mark.parametrize("text", ["a.b = 1\na.c = 2\n", "[a]\nb = 1\n"])
def test_what_cannot_be_changed_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="a way of writing it that cannot be changed here"):
        with_key(text, "a", 1)


def test_values() -> None:
    assert written({"a": ["x", 1]}) == '{ "a" = ["x", 1] }'
    assert written(True) == "true"
