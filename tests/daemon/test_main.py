"""The daemon whole: a real process, real jobs, a libzmq peer in the place of zsh."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import ASK_LEDGER, Daemon, Peer, attempts, visit

from zdeferd.machine.lock import daemon_pid
from zdeferd.wire import control


def ask(daemon: Daemon, frames: list[bytes]) -> list[bytes]:
    with Peer(daemon.socket) as peer:
        return peer.ask(frames)


def request(daemon: Daemon, message: control.Request) -> control.Reply | str:
    with Peer(daemon.socket) as peer:
        reply: control.Reply | str = peer.request(message)
        return reply


def gate(daemon: Daemon) -> Path:
    """A FIFO on which a job can wait: `read -r < ~/gate`."""
    os.mkfifo(daemon.home / "gate")
    return daemon.home / "gate"


def started(daemon: Daemon, run: int, attempt: int = 1) -> None:
    """Wait until the run's process exists."""
    mark = daemon.state / f"runs/{run}/started.{attempt}"
    for _ in attempts():
        if mark.exists() and len(mark.read_text().splitlines()) == 2:
            return
    raise AssertionError(f"run {run} never started: {daemon.errors.read_text()}")


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie that nobody has reaped yet does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_five_shells_at_once_run_each_claim_once(daemon: Daemon) -> None:
    (daemon.home / "ask.py").write_text(ASK_LEDGER)
    shared = [f"shared-{i}" for i in range(10)]
    own = [f"own-{i}" for i in range(5)]
    daemon.write_jobs(
        "\n".join(
            f'[{name}]\nrun = ["{sys.executable}", "{daemon.home}/ask.py", "{name}"]\n'
            'once_per = "boot"'
            for name in shared
        )
    )
    daemon.start()
    peers = [Peer(daemon.socket) for _ in range(5)]
    for number, peer in enumerate(peers):
        peer.send(visit(f"n{number}", 1, dict.fromkeys(own, "true"), {"HOME": str(daemon.home)}))
    for peer in peers:
        assert peer.receive() == [b"ok", b"seq=1"]
        peer.__exit__()
    daemon.wait_until_done(35)
    jobs = daemon.rows("SELECT job, count(*) FROM runs GROUP BY job")
    assert dict(jobs) == dict.fromkeys(shared, 1) | dict.fromkeys(own, 5)
    lines = daemon.log()
    deferred = [line for line in lines if re.fullmatch(r"DEFERRED id=\S+ ms=\d+ rc=0", line)]
    assert len(deferred) == 35, "no job failed: each found its own claim committed"
    assert sum(line.startswith("SEGMENT name=deferred_total") for line in lines) == 5
    assert len(lines) == 40


def test_what_runs_costs_and_prints_is_kept(daemon: Daemon) -> None:
    daemon.start()
    ask(daemon, visit("n1", 1, {"x": "print -r -- out; print -ru2 -- err; return 3"}))
    daemon.wait_until_done(1)
    row = daemon.rows("SELECT outcome, rc, wall_ms, max_rss_kib, output_bytes FROM runs")[0]
    assert row[:2] == ("failed", 3)
    assert row[2] >= 0
    assert row[3] > 1000
    assert row[4] == len("out\nerr\n")
    assert (daemon.state / "runs/1/output").read_text() == "out\nerr\n"


def test_bytes_that_are_no_text_reach_the_job(daemon: Daemon) -> None:
    daemon.start()
    frames = visit("n1", 1, {"x": "print -rn -- $LC_ODD$'\\xfe'"})
    frames[frames.index(b"environment=")] += b"LC_ODD=\xff\xfd"
    ask(daemon, frames)
    daemon.wait_until_done(1)
    assert (daemon.state / "runs/1/output").read_bytes() == b"\xff\xfd\xfe"


def test_a_command_that_does_not_exist_is_rc_127(daemon: Daemon) -> None:
    daemon.write_jobs('[gone]\nrun = ["/no/such/program"]\n[typo]\nrun = "no-such-command"')
    daemon.start()
    ask(daemon, visit("n1"))
    daemon.wait_until_done(2)
    assert daemon.rows("SELECT outcome, rc FROM runs") == [("failed", 127)] * 2


def test_the_daemons_death_costs_nothing(daemon: Daemon) -> None:
    waiting = gate(daemon)
    daemon.start()
    jobs = {"first": f"read -r < {waiting}; return 7", "second": "true"}
    ask(daemon, visit("n1", 1, jobs))
    started(daemon, 1)
    daemon.kill()
    waiting.write_text("go\n")
    daemon.start()
    daemon.wait_until_done(2)
    assert daemon.rows("SELECT job, outcome, rc FROM runs ORDER BY id") == [
        ("first", "failed", 7),
        ("second", "succeeded", 0),
    ]
    lines = daemon.log()
    assert len(lines) == 3
    assert sum(line.startswith("DEFERRED id=first") for line in lines) == 1


def test_a_job_that_still_runs_is_adopted(daemon: Daemon) -> None:
    waiting = gate(daemon)
    daemon.start()
    ask(daemon, visit("n1", 1, {"first": f"read -r < {waiting}", "second": "true"}))
    started(daemon, 1)
    daemon.kill()
    daemon.start()
    assert daemon.rows("SELECT state FROM runs ORDER BY id") == [("dispatched",), ("claimed",)]
    waiting.write_text("go\n")
    daemon.wait_until_done(2)
    assert daemon.rows("SELECT outcome FROM runs") == [("succeeded",)] * 2
    assert not (daemon.state / "runs/1/started.2").exists()


def test_a_runner_that_vanishes_is_abandoned_and_its_job_ended(daemon: Daemon) -> None:
    daemon.start()
    ask(daemon, visit("n1", 1, {"x": f"read -r < {gate(daemon)}"}))
    started(daemon, 1)
    first, second = (daemon.state / "runs/1/started.1").read_text().splitlines()
    os.kill(int(re.findall(r"\d+", first)[0]), signal.SIGKILL)
    daemon.wait_until_done(1)
    assert daemon.rows("SELECT outcome, rc FROM runs") == [("abandoned", 255)]
    assert daemon.log()[0] == "DEFERRED id=x ms=0 rc=255"
    assert not alive(int(re.findall(r"\d+", second)[0]))


def test_only_an_idempotent_job_is_attempted_again(daemon: Daemon) -> None:
    waiting = gate(daemon)
    daemon.write_jobs(f'[x]\nrun = "read -r < {waiting}"\nidempotent = true\nattempts = 2')
    daemon.start()
    ask(daemon, visit("n1", 1))
    started(daemon, 1)
    mark = (daemon.state / "runs/1/started.1").read_text()
    os.kill(int(re.findall(r"\d+", mark)[0]), signal.SIGKILL)
    started(daemon, 1, attempt=2)
    waiting.write_text("go\n")
    daemon.wait_until_done(1)
    assert daemon.rows("SELECT outcome, attempt FROM runs") == [("succeeded", 2)]


def test_a_redelivered_visit_is_answered_and_changes_nothing(daemon: Daemon) -> None:
    daemon.start()
    for _ in range(2):
        assert ask(daemon, visit("n1", 1, {"x": "true"})) == [b"ok", b"seq=1"]
    daemon.wait_until_done(1)
    assert len(daemon.log()) == 2


def test_cancel_a_running_and_a_waiting_run(daemon: Daemon) -> None:
    daemon.start()
    ask(daemon, visit("n1", 1, {"x": f"read -r < {gate(daemon)}", "y": "true"}))
    started(daemon, 1)
    assert request(daemon, control.CancelRun(run=2)) == control.Done(outcome="cancelled")
    assert request(daemon, control.CancelRun(run=1)) == control.Done(outcome="cancelled", rc=143)
    assert "not waiting or running: 1" in str(request(daemon, control.CancelRun(run=1)))
    daemon.wait_until_done(2)
    assert re.fullmatch(r"DEFERRED id=x ms=\d+ rc=143", daemon.log()[0])
    assert len(daemon.log()) == 2, "a run that never started has no line"


def test_a_time_limit_ends_the_run(daemon: Daemon) -> None:
    daemon.start()
    ask(daemon, visit("n1", 1, {"x": f"read -r < {gate(daemon)}"}, timeout="0.2s"))
    daemon.wait_until_done(1)
    assert daemon.rows("SELECT outcome, rc FROM runs") == [("timed_out", 124)]
    assert re.fullmatch(r"DEFERRED id=x ms=\d{3,} rc=124", daemon.log()[0])


def test_after_and_the_order_of_starts(daemon: Daemon) -> None:
    record = daemon.home / "record"
    daemon.write_jobs(
        f'[late]\nrun = "print late >> {record}"\nafter = ["early"]\n'
        f'[other]\nrun = "print other >> {record}"\n'
        f'[early]\nrun = "print early >> {record}; return 1"\n'
    )
    daemon.start()
    ask(daemon, visit("n1"))
    daemon.wait_until_done(3)
    assert record.read_text().split() == ["other", "early", "late"]


def test_an_idle_event_runs_an_idle_batch(daemon: Daemon) -> None:
    daemon.write_jobs('[tidy]\nrun = "true"\non = ["idle"]\nonce_per = "boot"')
    daemon.start()
    log = daemon.home / "seg.log"
    env = {"PERF_SEGMENT_LOG": str(log), "ZSH_LOG_STRUCTURED": "1"}
    ask(daemon, visit("n1", 1, {"mine": "return 2"}, env, on="idle"))
    ask(daemon, visit("n1", 2, event=b"idle", environ=env))
    daemon.wait_until_done(2)
    lines = [re.sub(r"(ms|elapsed)=\d+", r"\1=", line) for line in log.read_text().splitlines()]
    assert lines == [
        "SEGMENT name=deferred_total ms= phase=postprompt sample=unknown",
        "IDLE:START budget=0ms tasks=2",
        "DEFERRED id=tidy ms= rc=0",
        "IDLE:TASK id=tidy ms= rc=0",
        "DEFERRED id=mine ms= rc=2",
        "IDLE:TASK id=mine ms= rc=2",
        "IDLE:SUMMARY tasks=2 ok=1 err=1 elapsed= budget_exceeded=0",
    ]
    sidecar = (daemon.home / "seg.jsonl").read_text().splitlines()
    kinds = [re.findall(r'"type":"(\w+)"', line)[0] for line in sidecar]
    assert kinds == ["segment", "idle_start", *["deferred", "idle_task"] * 2, "idle_summary"]


def test_configuration_is_read_again_when_it_changes(daemon: Daemon) -> None:
    daemon.write_jobs('[one]\nrun = "true"')
    daemon.start()
    ask(daemon, visit("n1"))
    daemon.write_jobs('[one]\nrun = "true"\n[two]\nrun = "true"')
    ask(daemon, visit("n2"))
    daemon.wait_until_done(3)
    daemon.write_jobs('[one]\nrun = "true"\n[two]\nrun = 3\n[three]\nrun = "true"')
    reply = request(daemon, control.Reload())
    assert isinstance(reply, control.Reloaded)
    assert reply.jobs == 3, "the last good [two] stays in force"
    assert "jobs.toml:4: two.run: found 3" in reply.problems[0]


def test_run_by_hand_and_await_its_end(daemon: Daemon) -> None:
    daemon.write_jobs('[one]\nrun = "return 4"\nonce_per = "ever"')
    daemon.start()
    for number in (1, 2):
        assert request(daemon, control.RunJob(job="one")) == control.RunClaimed(
            run=number, ledger=bytes(daemon.state / "ledger.sqlite3")
        )
        assert request(daemon, control.AwaitRun(run=number)) == control.Done(outcome="failed", rc=4)
    assert "no such job: two" in str(request(daemon, control.RunJob(job="two")))
    assert "no such run: 99" in str(request(daemon, control.AwaitRun(run=99)))


def test_one_daemon_only(daemon: Daemon) -> None:
    daemon.start()
    second = daemon.run("zdeferd.daemon")
    assert second.returncode == 3
    assert "another zdeferd" in second.stderr
    assert isinstance(request(daemon, control.Ping()), control.Pong)


HELLO = [b"hello", b"protocol=2", b"nonce=n1", b"seq=1"]


@pytest.mark.parametrize(
    "frames",
    [
        [b"hullo"],
        [b"hello"],
        [b"hello", b"protocol=1", b"nonce=n1", b"seq=1"],
        [b"hello", b"protocol=3", b"nonce=n1", b"seq=1"],
        [b"hello", b"protocol=2", b"nonce=a/b", b"seq=1"],
        [b"hello", b"protocol=2", b"nonce=a\nb", b"seq=1"],
        [*HELLO, b"seq=1"],
        [*HELLO, b"jobs", b"list=9"],
        [*HELLO, b"postprompt", b"postprompt=1"],
        [os.urandom(1 << 16)],
        [b"request"],
        [b"request", b"\xc1"],
        [b"request", b"\x81\xa4verb\xa4nope"],
    ],
)
def test_a_bad_message_is_answered_with_an_error(daemon: Daemon, frames: list[bytes]) -> None:
    daemon.start()
    with Peer(daemon.socket) as peer:
        for _ in range(2):
            assert peer.ask(frames)[0] == b"error"
        assert isinstance(peer.request(control.Ping()), control.Pong), "it serves on"
    assert daemon.errors.read_text().count("dropped a message") == 1, "said once"
    assert not (daemon.state / "deferred.log").exists()


def test_ids_that_are_none_reach_neither_ledger_nor_log(daemon: Daemon) -> None:
    daemon.start()
    assert ask(daemon, visit("n1", 1, {"a/b": "true", "a\nb": "true"}))[0] == b"ok"
    daemon.wait_for("SELECT count(*) FROM batches WHERE ended_at IS NULL", 0)
    daemon.wait_until_done(0)
    assert daemon.log() == ["SEGMENT name=deferred_total ms=0 phase=postprompt sample=unknown"]


def test_a_log_that_cannot_be_written_hurts_no_job(daemon: Daemon) -> None:
    daemon.start()
    lost = daemon.home / "missing" / "seg.log"
    ask(daemon, visit("n1", 1, {"x": "true"}, {"PERF_SEGMENT_LOG": str(lost)}))
    daemon.wait_for("SELECT count(*) FROM runs WHERE outcome = 'succeeded'", 1)
    daemon.wait_for("SELECT count(*) > 0 FROM lines WHERE problem IS NOT NULL", 1)
    lost.parent.mkdir()
    ask(daemon, visit("n2", 1, {"y": "true"}, {"PERF_SEGMENT_LOG": str(lost)}))
    daemon.wait_until_done(2)
    ids = re.findall(r"DEFERRED id=(\w)", lost.read_text())
    assert ids == ["x", "y"], "what could not be written was kept, in order"


def test_a_stop_leaves_jobs_running_and_says_so_to_who_waits(daemon: Daemon) -> None:
    waiting = gate(daemon)
    daemon.start()
    ask(daemon, visit("n1", 1, {"x": f"read -r < {waiting}"}))
    started(daemon, 1)
    with Peer(daemon.socket) as peer:
        peer.send(control.encode_request(control.AwaitRun(run=1)))
        peer.request(control.Ping())  # its answer says that what was sent before has arrived
        assert request(daemon, control.Stop()) == control.Done()
        assert peer.receive()[0] == b"refused"
    assert daemon.process is not None
    assert daemon.process.wait(200) == 0
    waiting.write_text("go\n")
    daemon.start()
    daemon.wait_until_done(1)
    assert daemon.rows("SELECT outcome FROM runs") == [("succeeded",)]


@pytest.fixture
def _all_blocked() -> Iterator[None]:
    """Block all signals, as some terminals and launchers leave them to what they start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.usefixtures("_all_blocked")
def test_signals_that_its_parent_blocked_end_it(daemon: Daemon) -> None:
    daemon.start()
    second = daemon.run("zdeferd.daemon")  # its wait for the lock ends by a signal
    assert (second.returncode, second.stderr.count("\n")) == (3, 1)
    assert daemon.stop() == 0


def test_what_is_older_than_keep_runs_is_forgotten_but_not_its_claims(daemon: Daemon) -> None:
    daemon.write_jobs('[once]\nrun = "print out"\nonce_per = "ever"')
    daemon.start()
    ask(daemon, visit("n1", 1, {"own": "print out"}))
    daemon.wait_until_done(2)
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.state / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("UPDATE runs SET ended_at = 1000")
        ledger.execute("UPDATE batches SET ended_at = 1000")
        ledger.execute("UPDATE shells SET seen_at = 1000, boot = 'another'")
        ledger.execute("UPDATE claims SET claimed_at = 1000")
        ledger.execute("UPDATE jobs SET declared_at = 1000")
    daemon.start()
    ask(daemon, visit("n2"))
    daemon.wait_for("SELECT count(*) FROM runs", 0)
    daemon.wait_for("SELECT count(*) FROM claims", 1)
    assert daemon.rows("SELECT job FROM claims") == [("once",)], "ever stays spent"
    assert daemon.rows("SELECT nonce FROM shells") == [("n2",)]
    assert daemon.rows("SELECT id FROM jobs") == []
    for _ in attempts():
        if not list((daemon.state / "runs").iterdir()):
            return
    raise AssertionError("the folders of forgotten runs are still there")


def test_a_job_of_an_open_shell_does_not_run_again_when_its_run_is_forgotten(
    daemon: Daemon,
) -> None:
    daemon.write_jobs('[shell]\nrun = ":"\n[day]\nrun = ":"\nonce_per = "day"\n')
    daemon.start()
    ask(daemon, visit("n1"))
    daemon.wait_until_done(2)
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.state / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("UPDATE runs SET ended_at = 1000")
        ledger.execute("UPDATE shells SET seen_at = 1000")
        ledger.execute("UPDATE claims SET claimed_at = 1000")
    daemon.start()
    ask(daemon, visit("n2"))
    daemon.wait_for("SELECT count(*) FROM runs WHERE shell = 'n1'", 0)
    ask(daemon, visit("n1"))  # delivered again
    ask(daemon, visit("n1", 2))
    daemon.wait_until_done(1)
    assert daemon.rows("SELECT job, shell FROM runs") == [("shell", "n2")]


def test_a_script_that_a_crash_left_is_gone_after_the_next_start(daemon: Daemon) -> None:
    daemon.write_jobs('[a]\nrun = "print out"\n')
    daemon.start()
    ask(daemon, visit("n1"))
    daemon.wait_until_done(1)
    daemon.kill()
    script = daemon.state / "runs/1/script"
    script.write_text("secret")
    daemon.start()
    assert any(not script.exists() for _ in attempts())
    assert (script.parent / "output").read_text() == "out\n"


def test_detached_it_answers_when_the_command_returns(daemon: Daemon) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zdeferd.daemon", "--detach"],
        env=daemon.env | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        timeout=200,
    )
    daemon.errors.touch()
    assert done.returncode == 0
    assert request(daemon, control.Stop()) == control.Done()
    assert any(daemon_pid(str(daemon.state / "lock")) is None for _ in attempts()), "it stays"
    first = (daemon.state / "zdeferd.log").read_text().split("\n")[0]
    assert re.fullmatch(r"[-\d]{10} [:\d]{8} zdeferd: \S+ serves .*", first)


def test_a_refused_declaration_is_remembered_for_who_asks_why(daemon: Daemon) -> None:
    daemon.start()
    ask(daemon, visit("n1", 1, {"late": "true"}, timeout="soon"))
    assert daemon.rows("SELECT id, refused FROM jobs")[0][0] == "late"
    assert "found 'soon'" in daemon.rows("SELECT refused FROM jobs")[0][0]
    assert "no such job: late" in str(request(daemon, control.RunJob(job="late")))
    ask(daemon, visit("n2", 1, {"late": "true"}))
    assert daemon.rows("SELECT refused FROM jobs") == [(None,)]


@pytest.mark.parametrize("encoding", ["C", "EUC-JP", "GBK"])
def test_a_locale_that_is_not_utf_8_changes_no_byte(daemon: Daemon, encoding: str) -> None:
    names = {"EUC-JP": "ja_JP", "GBK": "zh_CN"}
    locale = f"{names.get(encoding, '')}.{encoding}".lstrip(".")
    if encoding != "C":
        made = shutil.which("localedef") and subprocess.run(
            ["localedef", "-i", names[encoding], "-f", encoding, str(daemon.home / locale)],
            capture_output=True,
            check=False,
        )
        if not made or not (daemon.home / locale).exists():
            pytest.skip("this system cannot make the locale")
    daemon.env |= {"LC_ALL": locale, "LOCPATH": str(daemon.home)}
    daemon.env |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    daemon.write_jobs('[file]\nrun = ["touch", "file-é✓"]\n')
    daemon.start()
    frames = visit("n1", 1, {"mine": "touch $HOME/mine-é✓"}, {"HOME": str(daemon.home)})
    odd = visit("n2", 1, {"odd": "touch $HOME/odd-X"}, {"HOME": str(daemon.home)})
    for one in (frames, [frame.replace(b"odd-X", b"odd-\xff") for frame in odd]):
        assert ask(daemon, one) == [b"ok", b"seq=1"]
    daemon.wait_until_done(4)  # the job of the file once a shell
    made_files = {os.fsencode(path.name) for path in daemon.home.glob("*-*")}
    assert {"file-é✓".encode(), "mine-é✓".encode(), b"odd-\xff"} <= made_files
    for verb in ("status", "jobs", "why mine", "check", "doctor"):
        done = daemon.run("zdeferd.cli", *verb.split())
        assert "internal error" not in done.stderr, done
