"""The shells that wait, without a daemon: what each is told at the end of a run."""

from pathlib import Path

from zdeferd.ledger.packing import Report
from zdeferd.model import Expected, Run, Sink, Trigger
from zdeferd.runs.followers import MOST_BYTES, MOST_OUTPUTS, MOST_SHELLS, Caller, Followers
from zdeferd.runs.live import LiveRuns
from zdeferd.wire.bells import Bells

Said = list[list[bytes]]


def run(number: int, job: str = "a") -> Run:
    return Run(
        id=number,
        job=job,
        key=f"run:{number}",
        trigger=Trigger.POSTPROMPT,
        batch=None,
        sink=Sink(log="/log"),
        claimed_at=0.0,
    )


def live(*runs: Run) -> LiveRuns:
    made = LiveRuns()
    made.add(runs, [])
    return made


def hold(
    followers: Followers, nonce: str, since: int = 1, job: str = "a", published: int = 0
) -> Said:
    said: Said = []
    caller = Caller(lambda _: None, send=said.append)
    followers.take(nonce, caller, [Expected(job, "/made\udcff", since, published)])
    return said


def apply(number: int) -> list[bytes]:
    return [b"apply", b"id=a", b"run=%d" % number, b"path=/made\xff"]


OVER = [b"over", b"id=a"]


def test_a_shell_waits_on_while_another_run_of_the_job_is_left() -> None:
    followers, other = Followers(), run(9, "b")
    said = hold(followers, "n1", published=1)
    assert said == [apply(1)]
    followers.ended(run(2), False, live(run(3), other))
    followers.ended(other, True, live(run(3)))
    assert said == [apply(1)]
    followers.ended(run(3), True, live(run(4)))
    followers.ended(run(4), True, live())
    followers.ended(run(5), True, live())
    assert said == [apply(1), apply(3), apply(4), OVER]


def test_a_run_before_the_one_it_waits_for_does_not_count() -> None:
    followers = Followers()
    said = hold(followers, "n1", since=5)
    followers.ended(run(4), True, live(run(5)))
    assert said == []
    followers.ended(run(5), False, live())
    assert said == [OVER]


def test_the_last_visit_of_a_shell_counts() -> None:
    followers = Followers()
    before, after = hold(followers, "n1"), hold(followers, "n1")
    followers.ended(run(1), True, live())
    assert (before, after) == ([], [apply(1), OVER])


def test_of_too_many_shells_the_oldest_is_not_held() -> None:
    followers = Followers()
    said = [hold(followers, f"n{number}") for number in range(MOST_SHELLS + 1)]
    followers.ended(run(1), True, live())
    assert [len(words) for words in said] == [0] + [2] * MOST_SHELLS


def test_paths_are_told_as_far_as_an_answer_has_room() -> None:
    report = Report(nonce="n1", seq=1, env={}, sink=Sink(log="/log"))
    found = [Expected(f"j{n}", "/x" * 100, 3, waits=n < 5) for n in range(MOST_OUTPUTS)]
    notes = Followers.notes(report, [Expected("v", "$V/x", 1, waits=False), *found])
    assert notes[:5] == [b"wait=j%d:3" % n for n in range(5)]
    assert notes[5] == b"follow=j0:3:" + b"/x" * 100
    assert 5 + MOST_OUTPUTS > len(notes) > 25
    assert sum(len(note) + 1 for note in notes) <= MOST_BYTES
    assert Followers.notes(report, [Expected("a", "/a", 3, 9, waits=False)])[1] == b"follow=a:9:/a"


def test_the_bells_ring_for_jobs_that_shells_have_asked_for(tmp_path: Path) -> None:
    followers = Followers(Bells(str(tmp_path / "bells")))
    followers.follow("n1", [])
    assert followers.bell_of(run(1)) is None
    followers.follow("n2", [Expected("a", "/made", 1, waits=False)])
    assert [path.name for path in (tmp_path / "bells").iterdir()] == ["n2"]
    assert followers.bell_of(run(1)) is not None
    assert followers.bell_of(run(1, "b")) is None
    without = Followers()
    without.follow("n2", [Expected("a", "/made", 1, waits=False)])
    assert without.bell_of(run(1)) is None
