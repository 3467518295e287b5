"""`zdeferctl run`: claims, waits, tells; Ctrl-C leaves the run going."""

import os
import re
import signal
import subprocess
import sys
from typing import Any

import pytest
from support.daemon import Daemon, Peer
from support.terminal import Terminal
from support.user import SOURCE, User, call, ctl_script

from zdeferd.cli import run as verb
from zdeferd.wire import control


def test_a_job_that_succeeds(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[good]\nrun = "print hello"\nonce_per = "ever"\n')
    daemon.start()
    for _ in range(2):  # by hand it runs whatever its scope says
        result = call("run", "good")
        assert result.code == 0
        assert result.out.startswith("hello\ngood succeeded in ")
    run = call("run", "good", "--json").document["run"]
    assert run["outcome"] == "succeeded"
    assert run["wall_ms"] >= 0
    assert run["batch"] is None


def test_a_job_that_fails(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[bad]\nrun = ["sh", "-c", "exit 3"]\n')
    daemon.start()
    result = call("run", "bad")
    assert result.code == 1
    assert "bad failed (rc 3)" in result.out
    assert "zdeferctl log 1" in result.out


def test_its_environment_is_this_shells(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[show]\nrun = "print -r -- $LC_TIME $SECRET_TOKEN."\n')
    daemon.start()
    assert user.program("run", "show", LC_TIME="C", SECRET_TOKEN="x").code == 0
    assert call("log", "show").out == "C .\n"


def test_its_environment_may_have_any_bytes(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[show]\nrun = "print -r -- ${(q)LC_TIME}"\n')
    daemon.start()
    done = user.program("run", "show", LC_TIME=os.fsdecode(b"\xe9"))
    assert (done.code, done.err) == (0, "")
    assert call("log", "show").out == "$'\\351'\n"


def test_from_a_shell_with_another_state_folder(user: User, daemon: Daemon) -> None:
    """The same socket leads to the daemon, whose ledger has the run."""
    daemon.write_jobs('[bad]\nrun = ["sh", "-c", "exit 3"]\n')
    daemon.start()
    done = user.program("run", "bad", XDG_STATE_HOME=str(user.root / "elsewhere"))
    assert (done.code, done.err) == (1, "")
    assert "bad failed (rc 3)" in done.out
    assert not (user.root / "elsewhere").exists()


def test_no_wait(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[good]\nrun = "true"\n')
    daemon.start()
    assert call("run", "good", "--no-wait").out == "run 1 of good is queued\n"
    daemon.wait_until_done(1)


def test_unknown_job(user: User, daemon: Daemon) -> None:
    daemon.start()
    result = call("run", "nothing")
    assert result.code == 1
    assert result.err.startswith("zdeferctl: no such job: nothing; ")


def test_a_refused_job_is_not_unknown(user: User, daemon: Daemon) -> None:
    daemon.write_jobs("[broken]\nrun = 7\n", "mine.toml")
    daemon.start()
    result = call("run", "broken")
    assert result.code == 1
    where = "~/.config/zdeferd/jobs.d/mine.toml:2: broken.run"
    assert result.err.startswith(f"zdeferctl: job is refused: broken: {where}: found 7")


def test_a_job_runs_as_its_file_says_now(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[edited]\nrun = "print old"\n')
    daemon.start()
    daemon.write_jobs('[edited]\nrun = "print new"\n')
    assert call("run", "edited").code == 0
    assert call("log", "edited").out == "new\n"
    daemon.write_jobs('[fresh]\nrun = "true"\n', "fresh.toml")
    assert call("run", "fresh").code == 0


def test_a_job_that_was_good_before_does_not_run_as_it_was(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[edited]\nrun = "print old"\n', "mine.toml")
    daemon.start()
    for bad in ("[edited]\nrun = 7\n", "[edited]\nrun = \n"):
        daemon.write_jobs(bad, "mine.toml")
        result = call("run", "edited")
        assert result.code == 1
        assert "zdeferctl: job is refused: edited: " in result.err
        assert "mine.toml:2" in result.err
    daemon.write_jobs('[other]\nrun = "true"\n', "mine.toml")
    assert "no such job: edited" in call("run", "edited").err


def test_no_daemon(user: User) -> None:
    result = call("run", "good")
    assert result.code == 3
    assert result.err.startswith("zdeferctl: no daemon listens: ")
    assert "zdeferctl start" in result.err
    assert call("run", "good", "--json").document["exit_code"] == 3


def wait_for_output(waiting: "subprocess.Popen[str]") -> None:
    """Until zdeferctl shows what the job prints: it knows its runs, and waits for the first."""
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "begun\n"


@pytest.mark.parametrize("instant", ["_warn_paused", "_claim"])
def test_ctrl_c_before_it_waits_says_what_goes_on(
    instant: str, user: User, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.write_jobs('[good]\nrun = "true"\n')
    daemon.start()
    real, left = verb._claim, [1]

    def interrupted(*arguments: Any) -> Any:
        if instant == "_warn_paused" or not left:
            raise KeyboardInterrupt
        left.pop()
        return real(*arguments)

    monkeypatch.setattr(verb, instant, interrupted)
    result = call("run", "good", "good")
    assert result.code == 130
    claimed = 2 if instant == "_warn_paused" else 1
    goes_on = {1: "run 1 goes on", 2: "runs 1, 2 go on"}[claimed]
    assert f"no longer waiting: {goes_on}; see `zdeferctl " in result.err
    daemon.wait_until_done(claimed)


def test_ctrl_c_leaves_the_run_going(user: User, daemon: Daemon) -> None:
    fifo = daemon.start_gated("print begun")
    waiting = user.begin("run", "slow")
    wait_for_output(waiting)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=200)
    assert waiting.returncode == 130
    assert (out, err.count("\n")) == ("", 1)
    assert "no longer waiting: run 1 goes on" in err
    fifo.write_text("on\n")
    daemon.wait_until_done(1)
    assert daemon.rows("SELECT outcome FROM runs") == [("succeeded",)]


def test_the_daemon_dies_meanwhile(user: User, daemon: Daemon) -> None:
    fifo = daemon.start_gated("print begun")
    waiting = user.begin("run", "slow")
    wait_for_output(waiting)
    daemon.kill()
    _, err = waiting.communicate(timeout=200)
    assert waiting.returncode == 3
    assert "run 1 goes on" in err
    daemon.start()
    fifo.write_text("on\n")
    daemon.wait_until_done(1)


def test_progress_on_a_terminal(user: User, daemon: Daemon) -> None:
    fifo = daemon.start_gated()
    with Terminal(user.root, "") as shell:
        shell.prompt()
        shell.line(f"PYTHONPATH={SOURCE} {sys.executable} -m zdeferd.cli run slow")
        shell.expect(r"run 1 of slow: (waiting|running) .*Ctrl-C leaves it running")
        shell.expect(r"run 1 of slow: running [1-9]")
        fifo.write_text("on\n")
        shell.expect("slow succeeded in ")


def test_output_is_shown_as_it_comes(user: User, daemon: Daemon) -> None:
    fifo = user.root / "go"
    os.mkfifo(fifo)
    daemon.write_jobs(f"[slow]\nrun = 'print one; read <{fifo}; print -n two'\n")
    daemon.start()
    running = user.begin("run", "slow")
    assert running.stdout is not None
    assert running.stdout.readline() == "one\n"
    fifo.write_text("on\n")
    out, err = running.communicate(timeout=200)
    assert out.startswith("two\nslow succeeded in ")
    assert (err, running.returncode) == ("", 0)


def test_control_characters_are_marks_on_a_terminal(user: User, daemon: Daemon) -> None:
    daemon.write_jobs("[odd]\nrun = 'print -n \"\\e[2Jx\"'\n")
    daemon.start()
    with Terminal(user.root, f"PATH={ctl_script(user).parent}:$PATH\n") as shell:
        shell.prompt()
        shell.run("zdeferctl run odd")
        assert re.search(r"\^\[\[2Jx\r?\n.*odd succeeded in ", shell.screen)


def test_quiet_shows_no_output(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[good]\nrun = "print hello"\n')
    daemon.start()
    assert call("run", "good", "-q").out.startswith("good succeeded in ")
    made = call("run", "good", "--json").document
    assert made["run"]["outcome"] == "succeeded"
    assert made["runs"] == [made["run"]], "as of several"


def test_several_jobs_in_order(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[bad]\nrun = "print no; false"\n[good]\nrun = "print yes"\n')
    daemon.start()
    result = call("run", "bad", "good")
    assert result.code == 1
    told = re.fullmatch(
        r"no\nbad failed \(rc 1\) in .*\nits output: zdeferctl log 1\nyes\ngood succeeded .*\n",
        result.out,
    )
    assert told, result.out
    runs = call("run", "good", "good", "--json").document["runs"]
    assert [(run["run"], run["outcome"]) for run in runs] == [(3, "succeeded"), (4, "succeeded")]
    assert call("run", "good", "bad", "--no-wait").out.splitlines() == [
        "run 5 of good is queued",
        "run 6 of bad is queued",
    ]
    daemon.wait_until_done(6)


def test_of_several_jobs_one_is_unknown(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[good]\nrun = "true"\n')
    daemon.start()
    result = call("run", "good", "nothing")
    assert result.code == 1
    assert re.match(r"zdeferctl: no such job: nothing; .*; run 1 goes on\n", result.err)
    daemon.wait_until_done(1)


def test_ctrl_c_leaves_several_runs_going(user: User, daemon: Daemon) -> None:
    fifo = daemon.start_gated("print begun")
    waiting = user.begin("run", "slow", "slow")
    wait_for_output(waiting)
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=200)
    assert waiting.returncode == 130
    assert "no longer waiting: runs 1, 2 go on; see `zdeferctl status`" in err
    assert "`zdeferctl cancel 1 2`" in err
    assert call("cancel", "2").code == 0
    fifo.write_text("on\n")
    daemon.wait_until_done(2)


@pytest.mark.parametrize("words", [("run", "big"), ("log", "-f", "1")])
def test_a_reader_that_has_stopped_holds_up_neither_run_nor_daemon(
    user: User, daemon: Daemon, words: tuple[str, ...]
) -> None:
    daemon.write_jobs("[big]\nrun = 'print -r -- ${(l:300000::x:)}'\n")
    daemon.start()
    if words[0] == "log":
        call("run", "big", "--no-wait")
    with user.begin(*words) as reader:  # nobody reads its output: 64 KiB fill the pipe
        daemon.wait_for("SELECT max(outcome) FROM runs", "succeeded")
        with Peer(daemon.socket) as peer:
            peer.request(control.Ping())
        assert reader.poll() is None
        reader.kill()
