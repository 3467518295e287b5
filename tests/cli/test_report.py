"""`zdeferctl report`: sums by job and day, failures, what shells were spared, and the page."""

import os
import stat
import time
from pathlib import Path

import pytest
from support.user import SINK, User, call, claim, end

from zdeferd.ledger.store import Ledger
from zdeferd.model import Cost, Ending, Outcome, State, Trigger

DAY = 86400
LONG = "9999d"


def ended(ledger: Ledger, run: int, at: float, wall_ms: int, outcome: str = "succeeded") -> None:
    """Give a run an end at an instant, with as much CPU time as wall time."""
    cost = Cost(wall_ms=wall_ms, cpu_user_ms=wall_ms, max_rss_kib=2048)
    rc = 0 if outcome == "succeeded" else 3
    ledger.dispatch(run, "a-boot", at - 1)
    ledger.end_run(
        run,
        State.DISPATCHED,
        Ending(outcome=Outcome(outcome), rc=rc, started_at=at - 1, ended_at=at, cost=cost),
    )


def prompts(ledger: Ledger, count: int, now: float, first: int = 0) -> None:
    """So many shells report their first prompt."""
    for n in range(first, first + count):
        ledger.new_batch(Trigger.POSTPROMPT, f"new-{n}", SINK, now)


def test_nothing_yet(user: User) -> None:
    result = call("report")
    assert result.code == 0
    assert "none ended" in result.out
    document = call("report", "--json").document
    assert (document["jobs"], document["days"], document["failures"]) == ([], [], [])
    assert document["first_ended_at_s"] is None


def test_jobs_days_and_failures(user: User) -> None:
    ledger, now = user.ledger(), time.time()
    for n, wall in enumerate((100, 300, 200)):
        ended(ledger, claim(ledger, "build", f"day:{n}", now), now - n * DAY, wall)
    ended(ledger, claim(ledger, "fetch", now=now), now - DAY, 5000, "failed")
    ended(ledger, claim(ledger, "old", now=now - 40 * DAY), now - 40 * DAY, 9)
    document = call("report", "--json").document
    fetch, build = document["jobs"]
    assert (fetch["job"], fetch["runs"], fetch["failed"], fetch["median_ms"]) == (
        "fetch",
        1,
        1,
        None,
    )
    assert (build["wall_ms"], build["cpu_ms"], build["median_ms"]) == (600, 600, 200)
    assert [day["runs"] for day in document["days"]] == [1, 2, 1]
    assert [day["failed"] for day in document["days"]] == [0, 1, 0]
    assert [row["job"] for row in document["failures"]] == ["fetch"]
    assert document["outcomes"] == {"succeeded": 3, "failed": 1}
    assert document["away_ms"] == document["cpu_ms"] == 5600
    text = call("report").out
    assert "4 of 2 jobs: 3 succeeded, 1 failed" in text
    assert "1 failure; the latest: zdeferctl log 4" in text
    assert "old" in call("report", "--since", "50d").out


def test_a_repeat_is_a_shell_that_found_the_work_done(user: User) -> None:
    ledger, now = user.ledger(), time.time()
    prompts(ledger, 5, now - 500)  # before the job was there
    ended(ledger, claim(ledger, "once", "ever", now - 100), now - 99, 400)
    prompts(ledger, 3, now - 50, first=5)
    document = call("report", "--json").document
    (job,) = document["jobs"]
    assert (job["repeats"], job["spared_ms"]) == (3, 1200)
    assert (document["shells"], document["repeats"], document["spared_ms"]) == (9, 3, 1200)
    assert "1.2 s in 3 repeats not made" in call("report").out


@pytest.mark.parametrize("key", ["shell:a", "run:b", "here:c:d"])
def test_what_each_shell_does_itself_spares_nothing(user: User, key: str) -> None:
    ledger, now = user.ledger(), time.time()
    ended(ledger, claim(ledger, "mine", key, now - 100), now - 99, 400)
    prompts(ledger, 3, now - 50)
    (job,) = call("report", "--json").document["jobs"]
    assert (job["repeats"], job["spared_ms"]) == (0, 0)


def test_idle_jobs_and_failed_ones_spare_nothing(user: User) -> None:
    ledger, now = user.ledger(), time.time()
    idle = claim(ledger, "idle", "ever", now - 100, trigger=Trigger.IDLE)
    ended(ledger, idle, now - 99, 400)
    ended(ledger, claim(ledger, "fails", "ever", now - 100), now - 99, 400, "failed")
    prompts(ledger, 3, now - 50)
    assert call("report", "--json").document["spared_ms"] == 0


def test_the_change_of_the_clocks_loses_no_day(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        ledger = user.ledger()
        for n, day in enumerate((28, 31)):  # 2024-03-31 has 23 hours
            at = time.mktime((2024, 3, day, 23, 30, 0, 0, 0, -1))
            ended(ledger, claim(ledger, "build", f"day:{n}", at), at, 10)
        found = [day["day"] for day in call("report", "--since", LONG, "--json").document["days"]]
        assert found[:4] == ["2024-03-28", "2024-03-29", "2024-03-30", "2024-03-31"]
        assert len(found) == len(set(found))
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_page_is_written_whole_and_says_the_same(user: User) -> None:
    ledger, now = user.ledger(), time.time()
    ended(ledger, claim(ledger, "build", now=now), now - 5, 700)
    ended(ledger, claim(ledger, "<b>", now=now), now - 3, 100, "timed_out")
    page = user.root / "report.html"
    assert call("report", "--html", str(page)).code == 0
    text = page.read_text()
    assert "<svg" in text
    assert "<td>build</td>" in text
    assert "&lt;b&gt;" in text
    assert "<b>build" not in text
    assert "timed out" in text
    assert "http" not in text
    assert stat.S_IMODE(page.stat().st_mode) & 0o077 in (0, 0o044)
    assert [name for name in os.listdir(user.root) if name.endswith(".html")] == ["report.html"]


def test_a_page_that_cannot_be_written(user: User) -> None:
    result = call("report", "--html", str(user.root / "none" / "x.html"))
    assert result.code == 1
    assert result.err.startswith("zdeferctl: cannot write: ")


def test_a_page_without_a_name_is_a_usage_error() -> None:
    result = call("report", "--html", "")
    assert (result.code, result.out) == (2, "")
    assert "no file is named: --html; name one, or - to print" in result.err


def test_the_page_goes_through_a_link_or_into_a_pipe(user: User) -> None:
    """Neither is replaced by a file: it may be a device, and root may do so."""
    page, link = user.root / "page.html", user.root / "link.html"
    link.symlink_to(page)
    assert call("report", "--html", str(link)).code == 0
    assert link.is_symlink()
    assert "<html" in page.read_text()
    pipe = user.root / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert call("report", "--html", str(pipe)).code == 0
    assert b"<html" in os.read(reader, 65536)
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("text", ["soon", "-1d", "0", "1e9"])
def test_a_time_that_is_none(user: User, text: str) -> None:
    result = call("report", "--since", text)
    assert result.code == 2
    assert "argument --since: not a duration" in result.err


def test_a_run_that_still_runs_is_in_no_sum(user: User) -> None:
    ledger = user.ledger()
    claim(ledger, "waits", now=time.time())
    end(ledger, claim(ledger, "done", now=time.time()))
    assert [job["job"] for job in call("report", "--since", LONG, "--json").document["jobs"]] == [
        "done"
    ]


def test_a_dash_stands_for_standard_output(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger, now = user.ledger(), time.time()
    ended(ledger, claim(ledger, "build", now=now), now, 100)
    result = call("report", "--html", "-")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("<!doctype html>")
    assert "build" in result.out
    assert result.out.rstrip().endswith("</html>")
    assert list(tmp_path.iterdir()) == []
    refused = call("report", "--html", "-", "--json")
    assert refused.code == 2
    assert "--html - and --json; leave one out" in refused.err
