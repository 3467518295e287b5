"""`zdeferctl show`: one run, whole."""

import sqlite3
from contextlib import closing

from support.user import User, call, claim, end

from zdeferd.model import Outcome


def test_an_ended_run(user: User) -> None:
    ledger = user.ledger()
    run = claim(ledger, "build", after=("first", "second"))
    end(ledger, run, Outcome.TIMED_OUT, 124)
    folder = user.state / "runs" / str(run)
    folder.mkdir(parents=True)
    (folder / "output").write_text("hello\n")
    text = call("show", str(run)).out
    assert text.endswith(f"its output: zdeferctl log {run}\n")
    assert "command      true\n" in text
    for part in ("timed out, rc 124", "200 ms user, 50 ms system", "first second", "20 MiB"):
        assert part in text
    document = call("show", str(run), "--json").document["run"]
    assert document["output_path"] == str(folder / "output")
    assert document["after"] == ["first", "second"]


def test_a_waiting_run_has_no_cost(user: User) -> None:
    run = claim(user.ledger(), "build")
    text = call("show", str(run)).out
    assert "waiting" in text
    assert "cpu" not in text
    assert call("show", str(run), "--json").document["run"]["outcome"] is None


def test_what_claimed_it(user: User) -> None:
    """A run with conditions is in no batch either; its shell claimed it all the same."""
    ledger = user.ledger()
    own, asked = claim(ledger, "build"), claim(ledger, "build", "run:1f")
    with closing(sqlite3.connect(user.state / "ledger.sqlite3")) as db, db:
        db.execute("UPDATE runs SET batch = NULL")
    assert "trigger     postprompt\n" in call("show", str(own)).out
    assert "trigger     zdeferctl run\n" in call("show", str(asked)).out


def test_what_it_runs(user: User) -> None:
    run = claim(user.ledger(), "build")
    shown = call("show", str(run), "--json").document["run"]
    assert (shown["command"], shown["timeout_s"]) == ("true", 600.0)
    end(user.ledger(), run)
    user.job_file('[build]\nrun = ["make", "all it"]\ntimeout = "5m"\n')
    text = call("show", str(run)).out
    assert "command      true\n" in text, "what ran, not what would run now"
    assert "time limit   10 min (the default, as set now)\n" in text


def test_a_run_of_an_older_zdeferd(user: User) -> None:
    run = claim(user.ledger(), "build")
    with closing(sqlite3.connect(user.state / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("ALTER TABLE runs DROP COLUMN command")
        ledger.execute("ALTER TABLE runs DROP COLUMN timeout_s")
    assert "not known" in call("show", str(run)).out
    assert call("show", str(run), "--json").document["run"]["command"] is None


def test_what_was_ended_behind_a_job_is_told(user: User) -> None:
    """By `show`, `runs`, `why` and their JSON; an older ledger has no such column."""
    user.job_file('[build]\nrun = "true"\nonce_per = "ever"\n')
    run = claim(user.ledger(), "build")
    end(user.ledger(), run)
    assert "behind" not in call("show", str(run)).out + call("runs").out
    path = user.state / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("UPDATE runs SET ended_behind = 2")
    assert "behind       2 processes ended\n" in call("show", str(run)).out
    assert "`background = true`" in call("show", str(run)).out
    assert " 2 ended\n" in call("runs").out
    assert "(succeeded, 2 processes ended behind it)" in call("why", "build").out
    assert call("show", str(run), "--json").document["run"]["ended_behind"] == 2
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("ALTER TABLE runs DROP COLUMN ended_behind")
        ledger.execute("PRAGMA user_version = 3")
    assert call("show", str(run), "--json").document["run"]["ended_behind"] is None


def test_unknown_run(user: User) -> None:
    assert call("show", "7") == (1, "", "zdeferctl: no such run: 7; `zdeferctl runs` lists them\n")
    failed = call("show", "7", "--json")
    assert failed.code == 1
    assert failed.document["error"].startswith("no such run: 7")


def test_a_job_stands_for_its_newest_run(user: User) -> None:
    ledger = user.ledger()
    end(ledger, claim(ledger, "build"))
    claim(ledger, "build", "boot:b")
    assert call("show", "build", "--json").document["run"]["run"] == 2
    assert "no such job: built; did you mean build?" in call("show", "built").err
    assert call("show", "Not_An_Id").code == 2


def test_why_an_output_was_refused_is_told(user: User) -> None:
    """By `show`, `why` and their JSON; an older ledger has no such column."""
    user.job_file('[build]\nrun = "true"\nonce_per = "ever"\noutput = "~/x"\n')
    run = claim(user.ledger(), "build")
    end(user.ledger(), run)
    path = user.state / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("UPDATE runs SET outcome = 'failed', rc = 65, refusal = 'it is empty'")
    assert "refused      it is empty\n" in call("show", str(run)).out
    assert "(failed, rc 65, its output was refused: it is empty)" in call("why", "build").out
    assert call("show", str(run), "--json").document["run"]["refusal"] == "it is empty"
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("ALTER TABLE runs DROP COLUMN refusal")
        ledger.execute("PRAGMA user_version = 4")
    assert call("show", str(run), "--json").document["run"]["refusal"] is None
