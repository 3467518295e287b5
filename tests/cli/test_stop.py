"""`zdeferctl stop`: the daemon leaves, its jobs go on."""

from support.daemon import Daemon
from support.user import User, call, wait_for_file


def test_jobs_go_on(user: User, daemon: Daemon) -> None:
    fifo = daemon.start_gated()
    call("run", "slow", "--no-wait")
    wait_for_file(user.state / "runs/1/started.1")
    assert call("stop") == (0, "zdeferd has stopped\n", "")
    assert daemon.process is not None
    assert daemon.process.wait(200) == 0
    fifo.write_text("on\n")
    daemon.start()
    daemon.wait_until_done(1)
    assert daemon.rows("SELECT outcome FROM runs") == [("succeeded",)]


def test_a_caller_that_waits_for_a_run_does_not_hold_it_up(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[slow]\nrun = ["sleep", "600"]\n')
    daemon.start()
    waiting = user.begin("run", "slow")
    wait_for_file(user.state / "runs/1/started.1")
    assert call("stop").code == 0
    _, err = waiting.communicate(timeout=200)
    assert waiting.returncode == 3, err
    assert "run 1 goes on" in err


def test_no_shell_starts_it_until_start(user: User, daemon: Daemon) -> None:
    marker = user.state / "autostart"
    marker.write_text("/nowhere/zdeferd\n")
    daemon.start()
    assert "shells start none until `zdeferctl start`" in call("stop").out
    assert not marker.exists()
    assert call("stop").code == 3
    marker.write_text("/nowhere/zdeferd\n")  # a daemon that is not there is held back, too
    assert call("stop").code == 0
    doctor = call("doctor").out
    assert "stopped by zdeferctl stop: no shell starts it" in doctor
    assert "not installed (no service" not in doctor


def test_no_daemon(user: User) -> None:
    result = call("stop")
    assert result.code == 3
    assert "no daemon runs" in result.err
