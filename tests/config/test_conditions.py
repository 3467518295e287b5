"""The table `when`: what is read, and what the page about conditions says."""

import re
from datetime import time
from pathlib import Path

import pytest

from zdeferd.conditions import Conditions, Power
from zdeferd.config.conditions import CONDITION_KEYS, conditions_of_words, read_conditions
from zdeferd.config.problems import Refused

PAGE = Path(__file__).parents[2] / "docs" / "conditions.md"


def test_every_key_is_read() -> None:
    table = {
        "quiet": "5m",
        "power": "battery",
        "load_below": 2,
        "online": True,
        "not_before": time(9, 30),
        "deadline": "17:00",
    }
    assert read_conditions(table, "/home/u") == Conditions(
        quiet_s=300.0,
        power=Power.BATTERY,
        load_below=2.0,
        online=True,
        not_before="09:30",
        deadline="17:00",
    )
    assert table.keys() == CONDITION_KEYS.keys()


def test_a_shell_says_the_same_in_words() -> None:
    words = ["power=ac", "online", "load_below=0.5", "deadline=2h", "not_before=9:05"]
    with pytest.raises(Refused, match="both as durations"):
        read_conditions(conditions_of_words(words), "")
    assert read_conditions(conditions_of_words(words[:-1]), "") == Conditions(
        power=Power.AC, online=True, load_below=0.5, deadline=7200.0
    )


def test_every_mistake_is_found_at_once() -> None:
    with pytest.raises(Refused) as refused:
        read_conditions({"power": 1, "load_below": "nan", "quiet": True, "x": 1}, "")
    keys = [problem.key for problem in refused.value.problems]
    assert keys == ["when.power", "when.load_below", "when.quiet", "when.x"]


def test_the_page_has_every_key() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text().split("## Times")[0], re.MULTILINE)
    assert rows == list(CONDITION_KEYS)
