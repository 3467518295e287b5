"""`zdeferctl top`: in a real terminal, against a real daemon, and where there is no terminal."""

import os
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl

import pytest
from support.daemon import Daemon, Peer, attempts, visit
from support.terminal import LIMIT_S, Terminal
from support.user import SOURCE, User, call, claim, end

TOP = (sys.executable, "-m", "zdeferd.cli", "top")
LEAVES = "\x1b[?1049l"
LONG = """
[long]
run = "print working; while :; do :; done"
[next]
run = "true"
"""


@contextmanager
def top(user: User, *words: str, argv: tuple[str, ...] = TOP, **env: str) -> Iterator[Terminal]:
    """`zdeferctl top` on a terminal of its own."""
    env = {**user.env, "PYTHONPATH": str(SOURCE), "TERM": "xterm"} | env
    with Terminal(user.root, None, env, (*argv, *words)) as terminal:
        yield terminal


def resize(terminal: Terminal, rows: int, columns: int) -> None:
    ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    terminal.signal(signal.SIGWINCH)


def shown(terminal: Terminal) -> list[str]:
    """The lines of the last picture that was drawn whole."""
    last = terminal.raw.decode().rsplit("\x1b[H", 1)[-1].partition("\x1b[J")[0]
    return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", line) for line in last.split("\n")]


def is_raw(terminal: Terminal) -> bool:
    """Whether keys come one by one, and are not printed."""
    flags: int = termios.tcgetattr(terminal.fd)[3]
    return not flags & (termios.ICANON | termios.ECHO)


def switches(pid: int) -> int:
    """How often a process has waited."""
    with open(f"/proc/{pid}/status") as file:
        found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.MULTILINE)
    assert found
    return int(found[1])


def wait_for_rest(terminal: Terminal) -> int:
    """Until it has not woken up for longer than it looks again; -> how often it has waited."""
    for _ in range(10):
        before = switches(terminal.pid)
        assert terminal.ended(1.2) is None
        if switches(terminal.pid) == before:
            return before
    raise AssertionError("it does not come to rest")


def test_what_runs_waits_and_has_ended(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(LONG)
    daemon.start()
    with top(user) as terminal:
        terminal.expect("nothing runs, nothing waits")
        call("run", "long", "--no-wait")
        terminal.expect(r"> 1  long .*\d+ % .* MiB .* proc")
        call("run", "next", "--no-wait")
        terminal.expect(r"2  next  waits for its turn: 2nd in the postprompt lane, behind long")
        call("cancel", "1")
        terminal.expect("ENDED")
        terminal.expect(r"2  next  succeeded")
        terminal.type("q")
        assert terminal.wait() == 0
        assert terminal.raw.endswith(LEAVES.encode())
        assert not is_raw(terminal)


def test_a_condition_is_named(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(
        '[calm]\nrun = "true"\nwhen = { load_below = 0.0001 }\n[next]\nrun = "true"\n'
    )
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("a-shell"))
    for _ in attempts():
        waiting = call("top", "--json").document["waiting"]
        if [one["code"] for one in waiting] == ["waits_for_condition"]:
            break
    assert re.search(r"calm  waits for its conditions: load", call("top", "--once").out)


def test_keys_choose_show_the_output_and_cancel(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(LONG)
    daemon.start()
    call("run", "next")
    call("run", "long", "--no-wait")
    with top(user) as terminal:
        terminal.expect("> 2  long")
        terminal.type("\x1b[B")
        terminal.expect("> 1  next")
        terminal.type("c")
        terminal.expect("run 1 has ended")
        terminal.type("k")
        terminal.expect("> 2  long")
        terminal.type("l")
        terminal.expect("output of run 2")
        terminal.expect("working")
        terminal.type("q")
        terminal.expect("RUNNING")
        terminal.type("c")
        terminal.expect("cancel run 2 of long\\? y or n")
        terminal.type("n")
        terminal.expect("q quit")
        terminal.type("cy")
        terminal.expect(r"2  long  cancelled")
        terminal.type("q")
        assert terminal.wait() == 0
    assert daemon.rows("SELECT outcome FROM runs WHERE id = 2") == [("cancelled",)]


def test_an_output_is_followed_and_cannot_drive_the_terminal(user: User) -> None:
    ledger = user.ledger()
    run = claim(ledger, "talks")
    end(ledger, run)
    folder = user.state / "runs" / str(run)
    folder.mkdir(parents=True, mode=0o700)
    output = folder / "output"
    output.write_bytes(b"\x1b]0;title\x07first\n")
    output.chmod(0o600)
    with top(user) as terminal:
        terminal.expect("> 1  talks")
        terminal.type("l")
        terminal.expect(re.escape("^[]0;title^Gfirst"))
        with output.open("ab") as file:
            file.write(b"second\n")
        terminal.expect("second")
        terminal.type("q")
        terminal.expect("ENDED")


def test_nothing_wakes_it_when_nothing_runs(user: User, daemon: Daemon) -> None:
    daemon.start()
    call("status")
    with top(user) as terminal:
        terminal.expect("nothing runs")
        before = wait_for_rest(terminal), len(terminal.raw)
        assert terminal.ended(3.0) is None
        assert (switches(terminal.pid), len(terminal.raw)) == before


def test_it_does_not_wake_itself_without_a_daemon(user: User) -> None:
    claim(user.ledger(), "waits")
    with top(user) as terminal:
        terminal.expect("waits  is queued and starts when the daemon is back")
        before = wait_for_rest(terminal)
        assert terminal.ended(1.0) is None
        assert switches(terminal.pid) == before


def test_running_jobs_are_looked_at_once_in_two_seconds(user: User, daemon: Daemon) -> None:
    """Count the looks; `bench/top.py` measures their cost."""
    jobs = "".join(f'[sleep-{n}]\nrun = "sleep 1000 & sleep 1000"\n' for n in range(4))
    daemon.write_jobs(jobs)
    daemon.write_settings("jobs_at_once = 4\n")
    daemon.start()
    for n in range(4):
        call("run", f"sleep-{n}", "--no-wait")
    with top(user) as terminal:
        terminal.expect("4 running")
        terminal.expect(r"sleep-3 .* 3 proc")
        for _ in range(2):  # those that follow the last change at once
            terminal.expect("4 running")
        began = time.monotonic()
        terminal.drain()
        before = terminal.screen.count("4 running")
        for _ in range(3):
            terminal.expect("4 running")
        looks = terminal.screen.count("4 running") - before
        assert looks <= (time.monotonic() - began) / 2 + 1


@pytest.mark.parametrize(("rows", "columns"), [(24, 80), (12, 20), (3, 20), (1, 5), (50, 300)])
def test_every_size_fits(user: User, rows: int, columns: int) -> None:
    ledger = user.ledger()
    for n in range(30):
        end(ledger, claim(ledger, f"a-job-with-a-long-name-{n}"))
    claim(ledger, "waits")
    with top(user) as terminal:
        terminal.expect("q quit")
        resize(terminal, rows, columns)
        for _ in attempts():
            terminal.drain()
            lines = shown(terminal)
            if len(lines) == rows and all(len(line) <= columns for line in lines):
                break
        else:
            raise AssertionError(shown(terminal))
        terminal.type("q")
        assert terminal.wait() == 0


def test_the_chosen_run_stays_in_sight(user: User) -> None:
    ledger = user.ledger()
    for n in range(25):
        end(ledger, claim(ledger, f"job-{n}"))
    with top(user) as terminal:
        terminal.expect("> 25  job-24")
        resize(terminal, 10, 40)
        for _ in range(20):
            terminal.type("j")
        terminal.expect("> +5  job-4")


def test_without_colour_and_without_utf_8(user: User) -> None:
    claim(user.ledger(), "a-job-with-a-name-that-is-cut-" + "x" * 30)
    with top(user, NO_COLOR="1", PYTHONIOENCODING="ascii", LC_ALL="C") as terminal:
        terminal.expect("q quit")
        resize(terminal, 12, 20)
        terminal.expect("~")
        terminal.type("q")
        assert terminal.wait() == 0
        assert terminal.raw.isascii()
        assert not re.search(rb"\x1b\[[0-9;]*m", terminal.raw)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_gives_the_terminal_back(user: User, number: signal.Signals, code: int) -> None:
    with top(user) as terminal:
        terminal.expect("nothing runs")
        assert is_raw(terminal)
        terminal.signal(number)
        assert terminal.wait() == code
        assert terminal.raw.endswith(LEAVES.encode())
        assert not is_raw(terminal)
        assert "Traceback" not in terminal.screen


def test_ctrl_z_and_fg(user: User) -> None:
    with Terminal(user.root, "", {**user.env, "PYTHONPATH": str(SOURCE)}) as shell:
        shell.prompt()
        shell.line(f"{' '.join(TOP)}")
        shell.expect("nothing runs")
        shell.type("\x1a")
        shell.expect("suspended")
        shell.prompt()
        assert shell.ask("$(( 6 * 7 ))") == "42"
        shell.line("fg")
        shell.expect("nothing runs")
        shell.type("q")
        shell.prompt()
        assert shell.ask("$?") == "0"


def test_a_terminal_that_goes_away_ends_it(user: User) -> None:
    with top(user) as terminal:
        terminal.expect("nothing runs")
        terminal.hang_up()
        assert terminal.ended(LIMIT_S) is not None


def test_the_daemon_s_end_is_shown(user: User, daemon: Daemon) -> None:
    daemon.start()
    with top(user) as terminal:
        terminal.expect("running, pid")
        daemon.kill()
        terminal.expect("not running")


def test_no_state_folder_yet(user: User, daemon: Daemon) -> None:
    user.state.rmdir()
    with top(user) as terminal:
        terminal.expect("not running")
        daemon.write_jobs('[quick]\nrun = "true"\n')
        daemon.start()
        call("run", "quick")
        terminal.expect("quick  succeeded")


def test_not_a_terminal_is_one_snapshot(user: User) -> None:
    ledger = user.ledger()
    end(ledger, claim(ledger, "build"))
    claim(ledger, "waits")
    for result in (user.program("top"), call("top", "--once")):
        assert result.code == 0
        assert result.err == ""
        assert "\x1b" not in result.out
        assert re.search(r"2  waits  is queued and starts when the daemon is back", result.out)
        assert re.search(r"1  build  succeeded  .*1.0 s  CPU 250 ms", result.out)


def test_a_dumb_terminal_gets_one_snapshot(user: User) -> None:
    with top(user, TERM="dumb") as terminal:
        assert terminal.wait() == 0
        assert "nothing runs, nothing waits" in terminal.screen
        assert b"\x1b" not in terminal.raw


def test_json(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(LONG)
    daemon.start()
    call("run", "long", "--no-wait")
    call("run", "next", "--no-wait")
    for _ in attempts():
        document = call("top", "--json").document
        if document["running"] and document["running"][0]["processes"]:
            break
    (run,) = document["running"]
    assert run["job"] == "long"
    assert run["memory_kib"] > 0
    assert 0 <= run["cpu_percent"] <= 100 * (os.cpu_count() or 1)
    (waits,) = document["waiting"]
    assert (waits["job"], waits["code"]) == ("next", "waits_for_turn")
    assert document["ended"] == []


def test_a_ledger_that_is_spoilt_ends_it_with_one_line(user: User) -> None:
    ledger = user.ledger()
    claim(ledger, "waits")
    ledger.close()  # else all of it is in the -wal file
    with top(user) as terminal:
        terminal.expect("1 waiting")
        path = user.state / "ledger.sqlite3"
        (user.state / "fresh").write_bytes(b"no database" * 1000)
        (user.state / "fresh").chmod(0o600)
        (user.state / "fresh").rename(path)
        assert terminal.wait() == 1
        assert not is_raw(terminal)
        said = terminal.raw.decode().rpartition(LEAVES)[2].strip()
        assert said.startswith("zdeferctl: ledger cannot be read")
        assert "Traceback" not in said


def test_to_cancel_without_a_daemon_says_so(user: User) -> None:
    claim(user.ledger(), "waits")
    with top(user) as terminal:
        terminal.expect("> 1  waits")
        terminal.type("cy")
        terminal.expect("no daemon listens: .*; start one: zdeferctl start")
        terminal.type("q")
        assert terminal.wait() == 0
