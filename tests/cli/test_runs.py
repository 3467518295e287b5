"""`zdeferctl runs`: newest first, filtered, with their cost."""

import pytest
from support.user import User, call, claim, end

from zdeferd.cli.runs import FIELDS
from zdeferd.model import Outcome


@pytest.fixture
def three(user: User) -> None:
    ledger = user.ledger()
    end(ledger, claim(ledger, "good", "ever"))
    end(ledger, claim(ledger, "bad", "ever"), Outcome.FAILED, 3)
    claim(ledger, "good", "boot:b")


def test_no_ledger_is_an_empty_answer(user: User) -> None:
    assert call("runs") == (0, "no runs yet\n", "")
    assert call("runs", "--json").document["runs"] == []


@pytest.mark.usefixtures("three")
def test_newest_first_with_cost() -> None:
    lines = call("runs").out.splitlines()
    assert lines[0].split() == ["RUN", "JOB", "STATE", "RC", "QUEUED", "WALL", "CPU", "PEAK"]
    assert [line.split()[0] for line in lines[1:]] == ["3", "2", "1"]
    assert "waiting" in lines[1]
    assert "failed" in lines[2]
    assert "1.0 s" in lines[3]
    assert "250 ms" in lines[3]
    assert "20 MiB" in lines[3]


@pytest.mark.usefixtures("three")
def test_filters() -> None:
    def runs(*words: str) -> list[int]:
        return [run["run"] for run in call("runs", "--json", *words).document["runs"]]

    assert runs("good") == [3, 1]
    assert runs("--outcome", "failed") == [2]
    assert runs("-n", "1") == [3]
    assert runs("bad", "--outcome", "succeeded") == []


def test_none_of_a_job(user: User) -> None:
    user.job_file('[fresh]\nrun = "true"\n')
    assert call("runs", "fresh") == (0, "no runs of fresh yet\n", "")
    assert call("runs", "fresh", "--outcome", "timed_out").out == "no run of fresh timed out\n"
    unknown = call("runs", "frsh")
    assert unknown == (1, "", "zdeferctl: no such job: frsh; did you mean fresh?\n")


@pytest.mark.usefixtures("three")
def test_older_ones_are_pointed_at() -> None:
    assert call("runs", "-n", "2").out.endswith("\nolder ones: -n 10\n")
    assert "older" not in call("runs", "-n", "3").out
    assert call("runs", "-n", "2", "--json").document["more"] is True


def test_columns_with_nothing_in_them_are_left_out(user: User) -> None:
    claim(user.ledger(), "build")
    for verb in ("runs", "status"):
        assert "  ".join(call(verb).out.splitlines()[-2].split()) == "RUN  JOB  STATE  QUEUED"


@pytest.mark.usefixtures("three")
def test_document_names_its_units() -> None:
    run = call("runs", "--json").document["runs"][1]
    assert run["wall_ms"] == 1000
    assert run["cpu_user_ms"] == 200
    assert run["max_rss_kib"] == 20480
    assert run["block_out_512b"] == 8
    assert run["ended_at_s"] == run["claimed_at_s"] + 1
    assert run["outcome"] == "failed"
    assert run["rc"] == 3


@pytest.mark.usefixtures("three")
def test_ids_for_completion() -> None:
    assert call("runs", "--ids").out.splitlines() == [
        "3:good, live",
        "2:bad, failed",
        "1:good, succeeded",
    ]


@pytest.mark.parametrize("n", ["0", "-1", "x", "99999999999"])
def test_bad_limit_is_a_usage_error(user: User, n: str) -> None:
    result = call("runs", "-n", n)
    assert result.code == 2
    assert result.err.startswith("zdeferctl: argument -n/--limit: ")


@pytest.mark.usefixtures("three")
def test_several_outcomes() -> None:
    def runs(outcomes: str) -> list[int]:
        return [
            run["run"] for run in call("runs", "--json", "--outcome", outcomes).document["runs"]
        ]

    assert runs("failed,succeeded") == [2, 1]
    assert runs("timed_out,failed") == [2]
    assert call("runs", "--outcome", "timed_out,missed").out == "no run timed out or missed\n"
    wrong = call("runs", "--outcome", "failed,lost")
    assert wrong.code == 2
    assert "not an outcome: lost; expected succeeded, failed" in wrong.err


def test_since(user: User) -> None:
    ledger = user.ledger()
    end(ledger, claim(ledger, "old"))
    live = claim(ledger, "lives")
    shown = call("runs", "--since", "2d", "--json").document["runs"]
    assert [run["run"] for run in shown] == [live]
    at_its_end = [call("runs", "--since", text, "--json").document["runs"] for text in BOUNDS]
    assert [len(runs) for runs in at_its_end] == [2, 1]
    assert call("runs", "old", "--since", "today").out == "no runs of old since then\n"
    wrong = call("runs", "--since", "tomorrow")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "argument --since: not a time: tomorrow; expected such as 2h" in wrong.err


BOUNDS = ("2023-11-14 22:13:21", "2023-11-14 22:13:22")
"""The instant at which `end` lets a run end, in UTC, and one second later."""


@pytest.mark.usefixtures("three")
def test_format() -> None:
    assert call("runs", "--format", r"{run}\t{job:>5}|{rc:3}|{wall_ms:.1f}").out.splitlines() == [
        "3\t good|   |",
        "2\t  bad|  3|1000.0",
        "1\t good|  0|1000.0",
    ]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", 2, "--format: empty text; write {FIELD} for each value"),
        ("{nothing}", 2, "--format: unknown field: 'nothing'; `zdeferctl runs --help` lists"),
        ("{}", 2, "--format: unknown field: ''"),
        ("{job.__class__}", 2, "--format: unknown field: 'job.__class__'"),
        ("{job!r}", 2, "--format: no conversion is known: !r"),
        ("{job", 2, "--format: expected '}' before end of string"),
        ("{wall_ms:{run}}", 2, "--format: not a format of a value: {run}"),
        (
            "{job:d}",
            2,
            "--format: Unknown format code 'd' for object of type 'str': {job:d}; write",
        ),
    ],
)
def test_a_format_that_is_wrong_is_one_line(text: str, code: int, said: str) -> None:
    wrong = call("runs", "--format", text)
    assert (wrong.code, wrong.out, wrong.err.count("\n")) == (code, "", 1)
    assert wrong.err.startswith(f"zdeferctl: {said}")


@pytest.mark.usefixtures("three")
def test_help_lists_the_fields_of_a_run() -> None:
    assert set(FIELDS) == set(call("runs", "--json").document["runs"][0])
    assert call("runs", "--format", "{run}", "--json").code == 2
    listed = call("runs", "--help").out.split("fields:\n")[1].split("\n\n")[0]
    assert tuple(listed.replace("\n", " ").replace(" ", "").split(",")) == FIELDS
