"""`zdeferctl simulate`: what would run from now on, as text and JSON, and what it refuses."""

import time

import pytest
from support.user import SINK, User, call, claim, end, job

from zdeferd.model import Outcome, Run, Trigger, Work

JOBS = """
[first]
run = ["true"]
[second]
run = ["true"]
after = ["first"]
[powered]
run = ["true"]
when = { power = "battery", deadline = "3d" }
[calm]
run = ["true"]
when = { load_below = 0.5, quiet = "10m" }
[once]
run = ["true"]
once_per = "ever"
"""


@pytest.fixture
def jobs(user: User) -> User:
    """A user with jobs, one of which has run for ever."""
    user.job_file(JOBS)
    ledger = user.ledger()
    end(ledger, claim(ledger, "once", key="ever", now=time.time()))
    end(ledger, claim(ledger, "first", key="shell:old", now=time.time()))
    return user


@pytest.mark.usefixtures("jobs")
def test_what_would_run_in_order_and_why_not_the_rest() -> None:
    made = call("simulate", "--power", "ac", "--load", "9")
    assert made.code == 0
    rows = [line.split() for line in made.out.splitlines()]
    assert [row[1:] for row in rows[3:5]] == [
        ["first", "postprompt", "1.0", "s"],
        ["second", "postprompt", "1.0", "s"],
    ]
    assert "powered waits for its conditions: power battery (now ac; seen when it" in made.out
    assert "calm waits for its conditions: load below 0.5 (now 9.00;" in made.out
    assert "once has run in this span of its scope" in made.out


@pytest.mark.usefixtures("jobs")
def test_json_has_the_same(user: User) -> None:
    at = time.time() + 7200
    words = ("--at", "2h", "--quiet", "5m", "--power", "battery", "--load", "0.1", "--offline")
    made = call("simulate", *words, "--for", "10m", "--json").document
    assert made["from_s"] == pytest.approx(at, abs=30)
    assert made["to_s"] == made["from_s"] + 600
    assert made["assumed"] == {"quiet_s": 300.0, "power": "battery", "load": 0.1, "online": False}
    starts = [(one["job"], round(one["at_s"] - made["from_s"], 1)) for one in made["starts"]]
    assert starts == [("first", 0), ("second", 1.0), ("powered", 2.0), ("calm", 300)]
    assert made["starts"][0] | {"at_s": 0} == {
        "at_s": 0,
        "job": "first",
        "trigger": "postprompt",
        "lasts_ms": 1000,
    }
    assert made["rest"] == [
        {"job": "once", "code": "already_ran", "waits_for": None, "conditions": [], "unmet": []}
    ]


@pytest.mark.usefixtures("jobs")
def test_json_has_conditions_as_why_has_them(user: User) -> None:
    made = call("simulate", "--power", "ac", "--for", "10m", "--json").document
    (left,) = (one for one in made["rest"] if one["job"] == "powered")
    wanted = {"condition": "power", "wanted": "battery", "found": "ac", "holds": False}
    assert left["conditions"] == ["power"]
    assert [one | {"at_s": None} for one in left["unmet"]] == [wanted | {"at_s": None}]
    why = call("why", "powered", "--json").document["conditions"]
    assert [one.keys() for one in left["unmet"]] == [one.keys() for one in why]


@pytest.mark.usefixtures("jobs")
def test_nothing_is_claimed_and_a_disabled_or_refused_job_is_named(user: User) -> None:
    user.job_file("[bad]\nrun = 7\n", "bad.toml")
    ledger = user.ledger()
    ledger.disable("first", time.time())
    made = call("simulate", "--json").document
    codes = {one["job"]: one["code"] for one in made["rest"]}
    assert codes["first"] == "disabled"
    assert codes["bad"] == "refused"
    assert ledger.live_runs() == []


def test_a_job_that_failed_is_said_to_have_retries_that_are_not_shown(user: User) -> None:
    user.job_file("""
[fetch]
run = ["false"]
retry = { attempts = 3, backoff = "30s" }
[steady]
run = ["true"]
retry = { attempts = 3 }
[plain]
run = ["false"]
""")
    ledger = user.ledger()
    for name, outcome in (("fetch", "failed"), ("steady", "succeeded"), ("plain", "failed")):
        end(ledger, claim(ledger, name, key="shell:old"), Outcome(outcome))
    document = call("simulate", "--json").document
    assert {one["job"] for one in document["starts"]} == {"fetch", "steady", "plain"}
    assert document["retries_not_shown"] == ["fetch"]
    notes = [line for line in call("simulate").out.splitlines() if line.startswith("!")]
    assert notes == ["! fetch failed when it last ran: no retry of it is shown"]


def test_a_retry_that_waits_is_shown_at_its_instant(user: User) -> None:
    ledger, now = user.ledger(), time.time()
    run = Run(
        id=ledger.next_run(), job="fetch", key="retry:0", trigger=Trigger.POSTPROMPT, batch=None,
        sink=SINK, claimed_at=now, retry=1, retry_at=now + 900,
    )  # fmt: skip
    ledger.add_run(run, Work(job=job("fetch"), env={}))
    user.job_file("[fetch]\nrun = 'x'\nonce_per = 'ever'\n")
    ledger.claim("fetch", "ever", 0, now)
    for words in ((), ("--at", "5m")):
        (start,) = call("simulate", *words, "--json").document["starts"]
        assert (start["job"], start["at_s"]) == ("fetch", pytest.approx(now + 900, abs=1))
    assert "fetch failed and is tried again at " in call("simulate", "--for", "5m").out


def test_without_jobs_and_ledger_there_is_nothing(user: User) -> None:
    made = call("simulate")
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith("0 runs from ")


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--at", "2020-01-01 10:00"), "a time that has passed: 2020-01-01 10:00"),
        (("--at", "yesterday"), "a time that has passed: yesterday"),
        (("--at", "soon"), "not a time: soon; expected such as 22:00, 2h"),
        (("--for", "0"), "not a duration above 0 and up to 31d: 0"),
        (("--for", "99d"), "not a duration above 0 and up to 31d: 99d"),
        (("--for", "x"), "not a duration: x"),
        (("--load", "nan"), "not a load: nan"),
        (("--load", "high"), "not a load: high"),
        (("--power", "steam"), "invalid choice: 'steam'"),
    ],
)
def test_what_cannot_be_assumed_is_refused(words: tuple[str, ...], said: str) -> None:
    made = call("simulate", *words)
    assert (made.code, made.out) == (2, "")
    assert said in made.err


@pytest.mark.usefixtures("user")
def test_a_time_of_day_is_the_next_one() -> None:
    hour = (time.localtime().tm_hour - 1) % 24
    made = call("simulate", "--at", f"{hour:02}:00", "--json").document
    assert time.time() <= made["from_s"] <= time.time() + 86400
    assert time.localtime(made["from_s"])[3:6] == (hour, 0, 0)
