"""The line of a key, in each way that TOML lets it be written."""

import pytest

from zdeferd.config.toml_lines import line_of

TEXT = '''# timeout = 1
[a]
run = """
timeout = 2
[b]
"""
"timeout" = 3
[ "b" ]   # the second
env.X = "1"
[c.env]
Y = "2"
[e]
more = { x = 1 }
'''


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("a",), 2),
        (("a", "run"), 3),
        (("a", "timeout"), 7),
        (("b",), 8),
        (("b", "env"), 9),
        (("c", "env"), 10),
        (("c", "env", "Y"), 11),
        (("e", "more", "x"), 13),
        (("f",), None),
        ((), None),
    ],
)
def test_line_of_a_key(keys: tuple[str, ...], line: int | None) -> None:
    assert line_of(TEXT, keys) == line
