"""How values look: units, tables, colour only where it was decided."""

import pytest

from zdeferd.view.render import (
    PLAIN,
    Style,
    ago,
    clock,
    count,
    duration,
    fields,
    home_short,
    kib,
    octets,
    printable,
    table,
    width,
    wrapped,
)

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, ""),
        (0, "0 ms"),
        (-3, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (59_940, "59.9 s"),
        (59_990, "1 min"),
        (61_000, "1 min 1 s"),
        (3_600_000, "1 h"),
        (3_660_000, "1 h 1 min"),
        (86_400_000 * 3, "3 d"),
    ],
)
def test_duration(ms: float | None, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (200_000, "2 d ago")],
)
def test_ago(seconds: float, text: str) -> None:
    assert ago(NOW - seconds, NOW) == text


def test_ago_and_clock_of_nothing() -> None:
    assert ago(None, NOW) == clock(None, NOW) == ""


def test_clock_names_the_day_only_where_it_is_another() -> None:
    assert len(clock(NOW, NOW)) == len("14:03:07")
    assert clock(NOW - 86400 * 40, NOW).startswith("2023-10-0")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (20 << 20, "20 MiB"),
        (5 << 30, "5.0 GiB"),
        (5 << 40, "5120 GiB"),
    ],
)
def test_octets(size: int | None, text: str) -> None:
    assert octets(size) == text


def test_kib() -> None:
    assert kib(20480) == "20 MiB"
    assert kib(None) == ""


def test_table_aligns_and_leaves_colour_out_of_the_width() -> None:
    style = Style(True)
    text = table(("RUN", "JOB"), [("7", style.bold("a")), ("12", "bb")], style, frozenset({0}))
    assert "\x1b[" in text
    plain = table(("RUN", "JOB"), [("7", "a"), ("12", "bb")], PLAIN, frozenset({0}))
    assert plain == "RUN  JOB\n  7  a\n 12  bb"
    assert [width(line) for line in text.splitlines()] == [8, 6, 7]


def test_fields_leave_empty_values_out() -> None:
    assert fields([("a", "1"), ("none", ""), ("bcd", "2")]) == "a    1\nbcd  2"
    assert fields([]) == ""


def test_no_colour_unless_it_was_decided() -> None:
    assert PLAIN.state("timed_out") == "timed out"
    assert Style(True).state("succeeded") == "\x1b[32msucceeded\x1b[0m"
    assert Style(True).state("unheard") == "unheard"


def test_data_cannot_drive_the_terminal() -> None:
    assert printable("a\x1b[31m\r\nb\x07") == "a�[31m� b�"


def test_words() -> None:
    assert count(1, "run") == "1 run"
    assert count(0, "run") == "0 runs"
    assert home_short("/home/u/x", "/home/u") == "~/x"
    assert home_short("/home/user2", "/home/u") == "/home/user2"
    assert home_short("/etc", "/") == "/etc"


def test_long_lines_are_wrapped_between_words() -> None:
    text = f"{Style(True).paint('!', 'red')} a sentence that names /a/path/longer/than/that"
    assert wrapped(text, None) == text
    lines = wrapped(text, 16, 2).split("\n")
    assert lines[1:] == ["  that names", "  /a/path/longer/than/that"]
    assert lines[0].endswith(" a sentence")
    assert wrapped("    -> as it was", 40, 7) == "    -> as it was"
    assert wrapped("    -> in two lines", 13, 7) == "    -> in two\n       lines"
