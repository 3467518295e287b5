"""Output on a terminal: what could drive it is shown as a mark, everything else stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdeferd.cli.visible import Visible
from zdeferd.view.render import safe

NAMES = {
    "\x1b]0;title\x07": "^[]0;title^G",
    "\x1b[31mred\x1b[0m": "^[[31mred^[[0m",
    "50%\r100%\r\ndone\n": "50%^M100%\ndone\n",
    "a\tb\nc": "a\tb\nc",
    "\x9b31m": "\\x9b31m",
    "\u202egnp.exe": "\\u202egnp.exe",
    "\u2028\x7f\x00": "\\u2028^?^@",
    "naïve 日本語 👩‍💻 \u3000": "naïve 日本語 👩‍💻 \u3000",
}


def shown(*blocks: bytes) -> str:
    visible = Visible()
    return "".join([*map(visible.text, blocks), visible.text(b"", final=True)])


@pytest.mark.parametrize(("text", "marked"), NAMES.items())
def test_each_control_character_has_its_mark(text: str, marked: str) -> None:
    assert shown(text.encode()) == marked


def test_bytes_that_are_no_text_are_marked() -> None:
    assert shown(b"\xff\x9b\xe2\x82") == "\\xff\\x9b\\xe2\\x82"


@given(st.lists(st.binary(max_size=8) | st.just(b"\r\n") | st.just("€".encode())))
def test_blocks_may_end_anywhere(blocks: list[bytes]) -> None:
    whole = shown(b"".join(blocks))
    assert shown(*blocks) == whole
    assert not set(whole) & {chr(point) for point in [*range(9), *range(11, 32), *range(127, 160)]}


def test_an_answer_keeps_our_colours_and_nothing_else() -> None:
    ours, theirs = "\x1b[31mred\x1b[0m", "\x1b[5m\x1b]0;t\x07\r\u202e"
    assert safe(f"{ours}\n{theirs}", colour=True) == f"{ours}\n�[5m�]0;t���"
    assert safe(ours) == "�[31mred�[0m"
