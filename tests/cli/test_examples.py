"""`zdeferctl examples`: lists what came with zdeferd, prints it, and puts it in place."""

import os
from pathlib import Path

import pytest
from support.documented import documented, keys
from support.user import User, call

from zdeferd.cli.examples import shipped

EXAMPLES = Path(__file__).parents[2] / "examples/jobs.d"


def test_all_are_listed(user: User) -> None:
    lines = call("examples").out.splitlines()
    names = sorted(path.stem for path in EXAMPLES.glob("*.toml"))
    assert [line.split()[0] for line in lines[1:-1]] == names
    assert "zdeferctl examples NAME" in lines[-1]
    found = call("examples", "--json").document["examples"]
    assert [one["name"] for one in found] == names
    assert all(one["about"] for one in found)
    listed = documented("cli-json-setup.md", "`examples`") | {"schema_version", "verb"}
    assert set(keys({"examples": found}, {})) <= listed


def test_one_is_printed(user: User) -> None:
    assert (
        call("examples", "updates-waiting").out == (EXAMPLES / "updates-waiting.toml").read_text()
    )


@pytest.mark.parametrize("name", shipped())
def test_one_is_installed(user: User, name: str) -> None:
    result = call("examples", name, "--install")
    assert result.code == 0
    path = user.config / f"jobs.d/{name}.toml"
    assert result.out.startswith(f"written: ~/.config/zdeferd/jobs.d/{name}.toml; ")
    assert path.read_text() == (EXAMPLES / f"{name}.toml").read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert call("check").code == 0
    assert call("examples", name, "--install").out.startswith("is in place: ")
    assert " yes " in next(line for line in call("examples").out.splitlines() if name in line)


def test_a_file_of_the_users_is_not_replaced(user: User) -> None:
    path = user.job_file("# mine\n", "updates-waiting.toml")
    result = call("examples", "updates-waiting", "--install")
    assert (result.code, path.read_text()) == (1, "# mine\n")
    assert f"file exists, with other content: {path}; " in result.err


def test_no_file_in_the_place_of_an_example(user: User) -> None:
    user.job_file("")
    path = user.config / "jobs.d/updates-waiting.toml"
    os.mkfifo(path)
    result = call("examples", "updates-waiting", "--install")
    assert result.code == 1
    assert f"cannot read: {path}: it is not a regular file; move it away\n" in result.err


def test_an_id_that_is_taken(user: User) -> None:
    user.job_file('[updates-waiting]\nrun = "true"\n', "a.toml")
    result = call("examples", "updates-waiting", "--install")
    assert result.code == 1
    assert "an id that is taken" in result.out
    assert not (user.config / "jobs.d/updates-waiting.toml").exists()


def test_wrong_calls(user: User) -> None:
    assert (
        "no such example: updates; did you mean updates-waiting?" in call("examples", "updates").err
    )
    assert call("examples", "--install").code == 2
