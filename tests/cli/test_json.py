"""docs/cli-json.md and what `--json` prints have the same keys."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.user import NOW, User, call, claim, daemon_script, end, job

from zdeferd.cli import VERBS
from zdeferd.cli.call import JSON_SCHEMA_VERSION
from zdeferd.view.why import WhyCode

DOCS = Path(__file__).parents[2] / "docs" / "cli-json.md"
DATA = Path(__file__).parents[1] / "data"
ALWAYS = {"schema_version", "verb"}
RUNS = {"status": "live_runs[]", "runs": "runs[]", "show": "run", "jobs": "jobs[].last_run"}
"""Where a verb's document has whole runs."""


def documented(section: str) -> set[str]:
    """The keys in the tables under a heading."""
    body = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", DOCS.read_text(), re.M | re.S)
    assert body, f"docs/cli-json.md has no heading {section}"
    return set(re.findall(r"^\| `([^`]+)` \|", body[1], re.MULTILINE))


def keys(value: Any, at: str = "") -> Iterator[str]:
    """Every key of a document, in the notation of the page."""
    if isinstance(value, dict):
        for name, inner in value.items():
            name = "<outcome>" if at == "outcomes_24h" else name
            yield from keys(inner, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        yield from (key for inner in value or [None] for key in keys(inner, f"{at}[]"))
    else:
        yield at


@pytest.fixture
def everything(user: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user with something of everything."""
    monkeypatch.setenv("PATH", f"{daemon_script(user).parent}:{user.env['PATH']}")
    user.job_file(
        '[build]\nrun = "true"\nenv = { A = "b" }\n[other]\nrun = ["true"]\nafter = ["build"]\n'
    )
    user.job_file("[bad]\nrun = 7\n", "bad.toml")
    ledger = user.ledger()
    end(ledger, claim(ledger, "build", now=NOW))
    claim(ledger, "from-shell", after=("build",))
    ledger.declare_job(job("from-shell", on=("idle",)), "shell-1", NOW)
    ledger.declare_job(job("taken"), "shell-1", NOW, "declared in mine.toml, which stands")
    return user


ANSWERS = [
    ("status",),
    ("jobs",),
    ("runs",),
    ("show", "1"),
    ("log", "1"),
    ("why", "build"),
    ("check",),
    ("deps",),
    ("telemetry", "check", str(DATA / "deviates.jsonl")),
    ("lint", "zsh", str(DATA / "raw-log.zsh")),
    ("doctor",),
    ("install", "--dry-run"),
    ("uninstall", "--dry-run"),
]


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("words", ANSWERS, ids=[words[0] for words in ANSWERS])
def test_keys_are_documented(words: tuple[str, ...]) -> None:
    verb = words[0]
    answer = call(*words, "--json").document
    assert answer["schema_version"] == JSON_SCHEMA_VERSION
    assert answer["verb"] == verb
    expected = documented(f"`{verb}`") | ALWAYS
    if verb in RUNS:
        place = RUNS[verb]
        expected |= {f"{place}.{key}" for key in documented("A run")} - {f"{place}.after"}
        expected |= {f"{place}.after[]"}
    found = set(keys(answer))
    assert found - expected == set()
    # an example need not have everything, but it has every key of the top
    assert {key.split(".")[0].removesuffix("[]") for key in expected} == set(answer)


def test_a_run_is_documented(user: User) -> None:
    ledger = user.ledger()
    end(ledger, claim(ledger, "build"))
    run = call("show", "1", "--json").document["run"]
    assert documented("A run") == set(run) - {"output_path", "command", "timeout_s", "live_cost"}


def test_every_verb_has_its_section_in_order() -> None:
    headings = re.findall(r"^## `(\w+)`$", DOCS.read_text(), re.MULTILINE)
    assert headings == list(VERBS)


def test_the_schema_version_and_the_codes_are_documented() -> None:
    text = DOCS.read_text()
    assert f"**{JSON_SCHEMA_VERSION}**" in text
    row = re.search(r"^\| `code` \| (.*) \|$", text, re.MULTILINE)
    assert row
    assert re.findall(r"`(\w+)`", row[1]) == [str(code) for code in WhyCode]


def test_a_failure_is_a_document_too(user: User) -> None:
    failed = call("show", "9", "--json")
    assert set(failed.document) == ALWAYS | {"error", "exit_code"}
    assert failed.document["exit_code"] == failed.code == 1
