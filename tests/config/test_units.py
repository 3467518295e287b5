"""Instants as people write them."""

import time
from datetime import datetime

import pytest

from zdeferd.config.units import parse_instant

NOW = 1_700_000_000.25  # 2023-11-14 22:13:20 UTC


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    """One hour ahead of UTC in winter, two in summer."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", NOW - 7200),
        ("90", NOW - 90),
        ("1.5d", NOW - 129_600),
        ("today", datetime(2023, 11, 14)),
        ("yesterday", datetime(2023, 11, 13)),
        ("09:30", datetime(2023, 11, 14, 9, 30)),
        ("09:30:05", datetime(2023, 11, 14, 9, 30, 5)),
        ("2023-10-01", datetime(2023, 10, 1)),
        ("2023-10-01 12:00", datetime(2023, 10, 1, 12)),
        ("2023-10-01T12:00:01", datetime(2023, 10, 1, 12, 0, 1)),
    ],
)
def test_an_instant(text: str, expected: float | datetime) -> None:
    wanted = expected.timestamp() if isinstance(expected, datetime) else expected
    assert parse_instant(text, NOW) == wanted


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "25:00", "2023-13-01", "2023-10-01 ", "-1h", "9:30"]
)
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text, NOW)
