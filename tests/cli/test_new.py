"""`zdeferctl new`: a template in the user's editor, and a job file where it is right."""

import re

import pytest
from support.editing import draft, editor
from support.user import User, call

from zdeferd.cli.new import TEMPLATE
from zdeferd.config.toml_lines import parse
from zdeferd.jobs.keys import JOB_KEYS


def test_a_job_is_made(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    editor(user, monkeypatch, 'sed -i \'s/run      = ""/run = "print hello"/\' "$1"')
    result = call("new", "greet")
    assert result.code == 0
    assert result.out.startswith("written: ~/.config/zdeferd/jobs.d/greet.toml; ")
    (made,) = call("jobs", "--json").document["jobs"]
    assert (made["job"], made["run"]) == ("greet", {"code": "print hello"})
    assert made["once_per"] == "day"
    assert not draft(user, "greet").exists()


def test_the_template_names_keys_that_there_are(user: User) -> None:
    text = re.sub(r"(?m)^# (?=\w+ += )", "", TEMPLATE.format(job="a"))
    (table,) = parse(text).values()
    assert isinstance(table, dict)
    assert table.keys() <= JOB_KEYS.keys()
    assert len(table) == 8
    assert parse(TEMPLATE.format(job="a")) != {}
    assert user.job_file(TEMPLATE.format(job="a")).exists()


def test_nothing_was_written(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    editor(user, monkeypatch, ":")
    result = call("new", "greet")
    assert (result.code, result.out) == (
        1,
        "nothing was changed: ~/.config/zdeferd/jobs.d/greet.toml\n",
    )
    assert list((user.config / "jobs.d").iterdir()) == []


def test_a_draft_is_kept_and_gone_on_with(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    editor(user, monkeypatch, 'printf "[greet]\\nrun = 7\\n" >"$1"')
    result = call("new", "greet")
    assert result.code == 1
    assert "greet.toml is not made; the draft is kept: ~/" in result.out
    assert result.out.endswith("mend it: zdeferctl new greet\n")
    assert call("jobs", "--json").document["jobs"] == []
    editor(user, monkeypatch, 'sed -i \'s/7/["true"]/\' "$1"')
    assert call("new", "greet").code == 0


def test_what_is_there_is_not_replaced(user: User) -> None:
    path = user.job_file('[greet]\nrun = "true"\n')
    told = f"zdeferctl: job exists: greet: {path}; zdeferctl edit greet\n"
    assert call("new", "greet") == (1, "", told)
    assert call("new", "mine").err.startswith(f"zdeferctl: file exists: {path}; ")
    assert call("new", "No_Id").code == 2


def test_a_template_that_gets_another_id_is_named(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(user, monkeypatch, 'printf "[hello]\\nrun = \'true\'\\n" >"$1"')
    assert call("new", "greet").out.splitlines()[1:] == [
        "new: hello; another job to zdeferd, with claims and runs of its own"
    ]
