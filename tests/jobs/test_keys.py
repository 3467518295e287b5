"""The small pure pieces under a declaration: units, cycles, the environment's allow-list."""

import datetime
import math
import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdeferd.config.problems import find_cycle, shown
from zdeferd.config.units import parse_duration, parse_size
from zdeferd.config.values import is_id
from zdeferd.jobs.environment import ALLOWED_ENV, ALLOWED_PREFIXES, allowed_env, cut_env
from zdeferd.jobs.fingerprint import find_command
from zdeferd.jobs.keys import job_from_table


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("20s", 20),
        ("250ms", 0.25),
        ("5m", 300),
        ("1.5h", 5400),
        ("90 d", 90 * 86400),
        ("1W", 604800),
        ("20", 20),
        (20, 20),
        (0.5, 0.5),
        (0, 0),
    ],
)
def test_duration(value: object, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "s", "-1s", "1y", "1 2s", "1e3s", "٣s", "1s\n", -1, math.nan, math.inf, True, [], 1e12],
)
def test_not_a_duration(value: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "size"), [("1MiB", 1 << 20), ("64kib", 65536), ("1.5kB", 1500), ("9B", 9), (7, 7)]
)
def test_size(value: object, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["0.3B", "1TiB2", "-1", 0.5, -1, math.nan, False, None, 1 << 60])
def test_not_a_size(value: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_size(value)


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ({}, None),
        ({"a": ["b"], "b": ["c"]}, None),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, None),
        ({"a": ["a"]}, ["a"]),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ["b", "c"]),
        ({"x": ["a"], "a": ["b"], "b": ["a"]}, ["a", "b"]),
    ],
)
def test_cycle(edges: dict[str, list[str]], cycle: list[str] | None) -> None:
    assert find_cycle(edges) == cycle


def test_a_long_chain_is_no_trouble() -> None:
    chain = {str(n): [str(n + 1)] for n in range(20000)}
    assert find_cycle(chain) is None
    assert len(find_cycle(chain | {"20000": ["0"]}) or ()) == 20001


names = st.sampled_from("abcdef")


@given(st.dictionaries(names, st.lists(names, max_size=3)))
def test_a_cycle_is_one_and_none_means_an_order_exists(edges: dict[str, list[str]]) -> None:
    cycle = find_cycle(edges)
    if cycle is not None:
        assert all(b in edges[a] for a, b in zip(cycle, cycle[1:] + cycle[:1], strict=True))
        return
    remaining = {name: set(after) & edges.keys() for name, after in edges.items()}
    while remaining:
        free = [name for name, after in remaining.items() if not after & remaining.keys()]
        assert free
        for name in free:
            del remaining[name]


def test_the_environment_is_cut_to_the_allow_list() -> None:
    kept = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "XDG_CACHE_HOME": "/c",
        "SSH_AUTH_SOCK": "/s",
        "https_proxy": "p",
        "ZSH_IDLE_ENABLE": "0",
        "PERF_SEGMENT_LOG": "/l",
    }
    dropped = {"AWS_SECRET_ACCESS_KEY": "x", "ZSH_THEME": "y", "LD_PRELOAD": "z", "path": "q"}
    assert cut_env(kept | dropped) == kept
    assert not allowed_env("")


@pytest.mark.parametrize("text", ["a", "0", "a-b", "a" * 64])
def test_id(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "-a", "A", "a_b", "a/b", "a\n", "é", "a" * 65])
def test_not_an_id(text: str) -> None:
    assert not is_id(text)


def test_shown_values_are_short() -> None:
    assert shown(True) == "true"
    assert shown(datetime.date(1979, 5, 27)) == "1979-05-27"
    assert len(shown("x" * 1000)) == 60


PRIVATE = {
    "env": ({"TOKEN": "hunter2", "PORT": 3, "ON": True}, "a table in which PORT is an integer and"),
    "run": (["curl", "-H", "key: hunter2", 5], "['curl', '…', '…', 5]"),
}


@pytest.mark.parametrize("key", PRIVATE)
def test_what_may_be_a_secret_is_in_no_message(key: str) -> None:
    value, found = PRIVATE[key]
    job, problems = job_from_table("a", {"run": "true", key: value}, "/h", "file")
    assert job is None
    assert len(problems) == 1
    assert problems[0].found.startswith(found)
    assert "hunter2" not in str(problems)


@pytest.mark.parametrize("value", ["hunter2", 3.5, ["hunter2"], {"BAD NAME": "hunter2"}])
def test_no_kind_of_mistake_in_env_shows_a_value(value: object) -> None:
    assert "hunter2" not in str(job_from_table("a", {"run": "x", "env": value}, "/h", "file"))
    assert "hunter2" not in str(job_from_table("a", value, "/h", "file"))


ROOT = Path(__file__).parents[2]


def test_the_allow_list_is_documented() -> None:
    page = (ROOT / "docs/jobs.md").read_text()
    lower = {name for name in ALLOWED_ENV if not name.isupper() or name.lower() not in ALLOWED_ENV}
    names = lower | {f"{prefix}*" for prefix in ALLOWED_PREFIXES}
    quoted = "\n".join(line for line in page.split("\n") if line.startswith("> "))
    assert set(re.findall(r"`([^`]+)`", quoted)) == names


def test_the_shim_cuts_by_the_same_list() -> None:
    names = [*ALLOWED_ENV, *(f"{prefix}X" for prefix in ALLOWED_PREFIXES)]
    env = dict.fromkeys([*names, "SECRET", "ZSH_THEME"], "set") | {"HOME": "/", "PATH": "/bin"}
    source = f"""
        typeset -A _zdeferd; typeset _zdeferd_environment
        source {ROOT}/shell/defer/visit.zsh
        source {ROOT}/shell/defer/message.zsh
        .zdeferd-freeze; setopt extended_glob; .zdeferd-surroundings
        print -rn -- $_zdeferd_environment
    """
    zsh = find_command("zsh", os.environ["PATH"])
    assert zsh, "the tests need zsh"
    found = subprocess.run(
        [zsh, "-f", "-c", source], env=env, capture_output=True, check=True, text=True
    ).stdout
    sent = dict(word.split("=", 1) for word in found.split("\0"))
    assert sorted(sent) == sorted(cut_env(env))
