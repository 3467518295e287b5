"""docs/cli-json.md, docs/cli-json-setup.md and what `--json` prints have the same keys."""

import re
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.documented import DOCS, documented, keys
from support.user import NOW, User, call, claim, daemon_script, end, job

from zdeferd.cli import VERBS
from zdeferd.cli.call import JSON_SCHEMA_VERSION
from zdeferd.view.answers import WhyCode

PAGES = ("cli-json.md", "cli-json-steering.md", "cli-json-pictures.md", "cli-json-setup.md")
DATA = Path(__file__).parents[1] / "data"
ALWAYS = {"schema_version", "verb"}
RUNS = {
    "status": "live_runs[]",
    "runs": "runs[]",
    "show": "run",
    "jobs": "jobs[].last_run",
    "top": "ended[]",
}
"""Where a verb's document has whole runs."""


def section(name: str) -> set[str]:
    """The keys under a heading, which one of the pages has."""
    (page,) = [page for page in PAGES if f"\n## {name}\n" in (DOCS / page).read_text()]
    return documented(page, name)


@pytest.fixture
def everything(user: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user with something of everything."""
    monkeypatch.setenv("PATH", f"{daemon_script(user).parent}:{user.env['PATH']}")
    user.job_file(
        '[build]\nrun = "true"\nenv = { A = "b" }\nwhen = { power = "ac", deadline = "1h" }\n'
        '[other]\nrun = ["true"]\nafter = ["build"]\n'
    )
    user.job_file("[bad]\nrun = 7\n", "bad.toml")
    ledger = user.ledger()
    end(ledger, claim(ledger, "build", now=NOW))
    claim(ledger, "from-shell", after=("build",))
    cached = job("eval-tool", check="init", output=f"{user.root}/.cache/zdeferd/init/tool.zsh")
    ledger.declare_job(cached, "shell-1", NOW)
    ledger.declare_job(job("from-shell", on=("idle",)), "shell-1", NOW)
    ledger.declare_job(job("taken"), "shell-1", NOW, "declared in mine.toml, which stands")
    return user


ANSWERS = [
    ("status",),
    ("top",),
    ("report", "--since", "9999d"),
    ("jobs",),
    ("runs",),
    ("show", "1"),
    ("log", "1"),
    ("why", "build"),
    ("simulate", "--power", "battery"),
    ("cache",),
    ("check",),
    ("deps",),
    ("telemetry", "check", str(DATA / "deviates.jsonl")),
    ("lint", "zsh", str(DATA / "raw-log.zsh")),
    ("doctor",),
    ("install", "--dry-run"),
    ("uninstall", "--dry-run"),
    ("docs", "sync", "--dry-run"),
]


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("words", ANSWERS, ids=[words[0] for words in ANSWERS])
def test_keys_are_documented(words: tuple[str, ...]) -> None:
    verb = words[0]
    answer = call(*words, "--json").document
    assert answer["schema_version"] == JSON_SCHEMA_VERSION
    assert answer["verb"] == verb
    expected = section(f"`{verb}`") | ALWAYS
    if verb in RUNS:
        place = RUNS[verb]
        expected |= {f"{place}.{key}" for key in section("A run")} - {f"{place}.after"}
        expected |= {f"{place}.after[]"}
    found = set(keys(answer, {"outcomes_24h": "<outcome>", "outcomes": "<outcome>"}))
    assert found - expected == set()
    # an example need not have everything, but it has every key of the top
    assert {key.split(".")[0].removesuffix("[]") for key in expected} == set(answer)


AS = {"disable": "enable", "resume": "pause"}
"""Verbs whose document is that of another."""
STEERING = ("disable", "build"), ("enable", "build"), ("pause",), ("resume", "idle")


def test_keys_of_the_verbs_that_steer_are_documented(user: User, daemon: Daemon) -> None:
    user.job_file('[build]\nrun = "true"\n')
    daemon.start()
    for words in (*STEERING, ("forget", "build", "--yes")):
        found = set(keys(call(*words, "--json").document, {})) - ALWAYS
        assert found == section(f"`{AS.get(words[0], words[0])}`"), words


def test_a_run_is_documented(user: User) -> None:
    ledger = user.ledger()
    end(ledger, claim(ledger, "build"))
    run = call("show", "1", "--json").document["run"]
    assert section("A run") == set(run) - {"output_path", "command", "timeout_s", "live_cost"}


def test_every_verb_has_its_section_in_order() -> None:
    place = list(VERBS).index
    found = []
    for page in PAGES:
        headings = re.findall(r"^## `(\w+)`$", (DOCS / page).read_text(), re.MULTILINE)
        assert headings == sorted(headings, key=place), page
        found += headings
    assert sorted(found, key=place) == list(VERBS)


def test_the_schema_version_and_the_codes_are_documented() -> None:
    text = (DOCS / PAGES[0]).read_text()
    assert f"**{JSON_SCHEMA_VERSION}**" in text
    row = re.search(r"^\| `code` \| (.*) \|$", text, re.MULTILINE)
    assert row
    assert re.findall(r"`(\w+)`", row[1]) == [str(code) for code in WhyCode]


def test_a_failure_is_a_document_too(user: User) -> None:
    failed = call("show", "9", "--json")
    assert set(failed.document) == ALWAYS | {"error", "exit_code"}
    assert failed.document["exit_code"] == failed.code == 1
