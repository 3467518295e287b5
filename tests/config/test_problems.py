"""Problems of a configuration are fields until they are printed."""

import pytest
from support.user import User, call

from zdeferd.config.problems import Problem, in_order, unreadable
from zdeferd.errors import UnsafePath


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem("timeout", "0", "more", "a", "/j.toml", 2),
            "/j.toml:2: a.timeout: found 0; expected more",
        ),
        (Problem("", "7", "a table", "a", "/j.toml"), "/j.toml: a: found 7; expected a table"),
        (Problem("on", "[]", "a trigger", "a"), "a.on: found []; expected a trigger"),
        (Problem("", "1 byte", "none", file="/j.toml"), "/j.toml: found 1 byte; expected none"),
        (unreadable("/j", UnsafePath("not yours: /j", "chown it")), "not yours: /j; chown it"),
    ],
)
def test_the_sentence(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_order_is_by_file_as_read_then_by_line() -> None:
    places = [("/c", 2), ("/a", 3), ("/c", 0), ("/a", 1)]
    found = in_order([Problem("k", "1", "2", file=file, line=line) for file, line in places])
    assert [(problem.file, problem.line) for problem in found] == [
        ("/c", 0), ("/c", 2), ("/a", 1), ("/a", 3),
    ]  # fmt: skip


def test_a_file_whose_name_looks_like_a_place(user: User) -> None:
    path = user.job_file("[build]\nrun = 7\n", "a.toml: b.toml:9.toml")
    [job] = call("jobs", "--json").document["jobs"]
    assert (job["job"], job["source"]) == ("build", str(path))
    assert job["refused"].startswith(f"{path}:2: build.run: found 7; expected ")
