"""Every named crash point: a process dies there, or is stopped there beside a new daemon."""

import ast
import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest
from kills.audit import RULES
from kills.stories import (
    BESIDE_A_NEW_DAEMON,
    QUEUES,
    STORIES,
    Story,
    full_queue,
    take_over,
    tell,
)

import zdeferd
from zdeferd.crashpoints import POINTS

ARENAS = 4
"""Stories that are told side by side."""


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(ARENAS, mp_context=spawn) as made:
        yield made


@pytest.fixture(scope="module")
def told(pool: ProcessPoolExecutor) -> dict[Story, Future[list[str]]]:
    return {story: pool.submit(tell, story) for story in STORIES}


@pytest.fixture(scope="module")
def taken_over(pool: ProcessPoolExecutor) -> dict[Story, Future[list[str]]]:
    return {story: pool.submit(take_over, story) for story in BESIDE_A_NEW_DAEMON}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_death_at(story: Story, told: dict[Story, Future[list[str]]]) -> None:
    assert told[story].result() == []


@pytest.mark.parametrize("story", BESIDE_A_NEW_DAEMON, ids=lambda story: story.name)
def test_beside_a_new_daemon(story: Story, taken_over: dict[Story, Future[list[str]]]) -> None:
    assert taken_over[story].result() == []


@pytest.fixture(scope="module")
def queues(pool: ProcessPoolExecutor) -> dict[str, Future[list[str]]]:
    return {what: pool.submit(full_queue, what) for what in QUEUES}


@pytest.mark.parametrize("what", QUEUES)
def test_an_old_spawner_with_a_full_queue(what: str, queues: dict[str, Future[list[str]]]) -> None:
    assert queues[what].result() == []


def points_in_the_code() -> set[str]:
    """The argument of every call of `reached`."""
    found: set[str] = set()
    for path in Path(zdeferd.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "reached":
                found.update(ast.literal_eval(argument) for argument in node.args)
    return found


def test_every_point_in_the_code_has_its_story_and_no_other_exists() -> None:
    assert points_in_the_code() == set(POINTS)
    assert {story.point for story in STORIES} == set(POINTS)


def test_every_point_and_every_rule_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs/checks.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_.-]+)` \| (.+) \|$", text, re.MULTILINE))
    assert {name: rows.get(name) for name in POINTS} == POINTS
    assert {rule.__name__ for rule in RULES} <= set(rows)
