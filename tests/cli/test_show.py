"""`zdeferctl show`: one run, whole."""

from ctl import User, call, claim, end

from zdeferd.model import Outcome


def test_an_ended_run(user: User) -> None:
    ledger = user.ledger()
    run = claim(ledger, "build", after=("first", "second"))
    end(ledger, run, Outcome.TIMED_OUT, 124)
    folder = user.state / "runs" / str(run)
    folder.mkdir(parents=True)
    (folder / "output").write_text("hello\n")
    text = call("show", str(run)).out
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


def test_unknown_run(user: User) -> None:
    assert call("show", "7") == (1, "", "zdeferctl: no such run: 7; `zdeferctl runs` lists them\n")
    failed = call("show", "7", "--json")
    assert failed.code == 1
    assert failed.document["error"].startswith("no such run: 7")


def test_a_run_is_named_by_its_number(user: User) -> None:
    result = call("show", "seven")
    assert result.code == 2
    assert "not a run's number: seven" in result.err
