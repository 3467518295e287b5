"""What a job finds, how it ends, and what is written down about it: with real processes."""

import errno
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.spawning import LIMIT_S, PATH, Spawner, until, wait_gone

from zdeferd.attempts import launch, records, runner, supervise
from zdeferd.judging import judge, leftovers
from zdeferd.processes import tree
from zdeferd.rules import verdicts

# --- how it ended -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "rc"),
    [("true", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)],
)
def test_the_exit_code_is_the_jobs_own(spawner: Spawner, script: str, rc: int) -> None:
    outcome = spawner.start(script=script).outcome()
    assert (outcome["ended_by"], outcome["rc"]) == ("exit", rc)
    assert outcome["started_at"] <= outcome["ended_at"]


def test_a_command_that_does_not_exist_is_127(spawner: Spawner) -> None:
    run = spawner.start(argv=["no-such-command", "-x"])
    assert run.outcome()["rc"] == 127
    assert run.output() == b"zdeferd: command not found: no-such-command\n"
    assert spawner.start(2, argv=["/no/such/file"]).outcome()["rc"] == 127
    assert spawner.start(3, argv=[""]).outcome()["rc"] == 127


def test_what_cannot_be_executed_is_126(spawner: Spawner, home: Path) -> None:
    (home / "plain").write_text("echo hello\n")
    env = {"PATH": f"{home}:{PATH}"}
    assert spawner.start(argv=["plain"], env=env).outcome()["rc"] == 126
    assert spawner.start(2, argv=[str(home)]).outcome()["rc"] == 126
    assert spawner.start(3, argv=["true", "\0"]).outcome()["rc"] == 126
    lost = spawner.start(4, argv=["true"], cwd=str(home / "gone"))
    assert lost.outcome()["rc"] == 126
    assert b"cannot enter its folder" in lost.output()


def test_without_a_zsh_on_the_path_the_users_shell_runs_code(spawner: Spawner, home: Path) -> None:
    own = home / "zsh-5.9"
    own.write_text('#!/bin/sh\nprintf "%s" "own $1"\n')
    own.chmod(0o755)
    run = spawner.start(script="true", env={"PATH": "/nowhere", "SHELL": str(own)})
    assert run.outcome()["rc"] == 0
    assert run.output() == b"own -f"
    on_path = spawner.start(2, script="print path", env={"PATH": PATH, "SHELL": str(own)})
    assert on_path.outcome()["rc"] == 0
    assert on_path.output() == b"path\n"


def test_a_program_without_an_interpreter_line_goes_to_sh(spawner: Spawner, home: Path) -> None:
    (home / "bare").write_text('echo "$0 $1"\n')
    (home / "bare").chmod(0o755)
    run = spawner.start(argv=["bare", "x"], env={"PATH": f"{home}:{PATH}"})
    assert run.outcome()["rc"] == 0
    assert run.output() == f"{home}/bare x\n".encode()


# --- what a job finds ---------------------------------------------------------------


def test_the_environment_is_exact(spawner: Spawner) -> None:
    env = {"PATH": PATH, "EMPTY": "", "BYTES": os.fsdecode(b"\xff\n="), "GIT_ASKPASS": "mine"}
    run = spawner.start(argv=["env", "-0"], env=env)
    assert run.outcome()["rc"] == 0
    found = {os.fsdecode(item) for item in run.output().split(b"\0")[:-1]}
    wanted = launch.GIVEN | env
    assert found == {f"{key}={value}" for key, value in wanted.items()}


LOOK = """
import json, os, resource, sys
fds = "/proc/self/fd"
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status"))
mask = os.umask(0)
print(json.dumps({
    "sid": os.getsid(0) == os.getpid(), "cwd": os.getcwd(), "umask": mask,
    "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
    "data": resource.getrlimit(resource.RLIMIT_DATA), "nice": os.getpriority(0, 0),
    "signals": [int(status[name], 16) & 0x7fffffff for name in ("SigBlk", "SigIgn")],
    "fds": sorted(int(n) for n in os.listdir(fds) if os.path.exists(fds + "/" + n)),
    "stdin": os.readlink("/proc/self/fd/0"), "same": os.path.sameopenfile(1, 2),
}))
"""


def test_what_a_job_wakes_up_with(spawner: Spawner, home: Path) -> None:
    # Signals 1 to 31: libc keeps two above them for itself. Python ignores two of its own.
    limits = {"nofile": [512, 2048], "data": [1 << 30, -1]}
    run = spawner.start(argv=[sys.executable, "-I", "-S", "-c", LOOK], limits=limits)
    assert run.outcome()["rc"] == 0, run.output()
    found = json.loads(run.output())
    ignored = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
    assert found == {
        "sid": True,
        "cwd": str(home),
        "umask": 0o022,
        **limits,
        "nice": 19,
        "signals": [0, ignored],
        "fds": [0, 1, 2, launch.JOB_LOCK_FD],
        "stdin": "/dev/null",
        "same": True,
    }


def test_a_job_weighs_little_although_its_session_is_its_own(spawner: Spawner) -> None:
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this kernel has no autogroups")
    phone, gate = spawner.telephone(), spawner.telephone()
    run = spawner.start(script=f"echo $$ >> {phone}; read line < {gate}")
    pid = phone.line()
    until(lambda: Path(f"/proc/{pid}/autogroup").read_text().endswith(" nice 19\n"))
    assert os.getpriority(os.PRIO_PROCESS, int(pid)) == 19
    with gate.path.open("w") as opened:
        opened.write("go\n")
    assert run.outcome()["rc"] == 0


def test_files_of_the_folder_are_private(spawner: Spawner) -> None:
    run = spawner.start(script="print hello")
    run.outcome()
    modes = {path.name: path.stat().st_mode & 0o777 for path in Path(run.folder).iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"alive", "lock", "job.lock", "script", "started.1", "output", "outcome.json"} == set(
        modes
    )


# --- ending a tree --------------------------------------------------------------------

FAMILY = """
echo $$ >> {phone}
(setsid sh -c 'echo $$ >> {phone}; exec sleep 1000' &)
( ( sh -c 'echo $$ >> {phone}; exec sleep 1000' & ) & )
zsh -fc 'lock={fd}; exec {{lock}}>&-; trap "" TERM; echo $$ >> {phone}; sleep 1000' &
"""
"""The main process; a session of its own; an orphan; one without our lock that ignores TERM."""


def family(phone: object) -> str:
    return FAMILY.format(phone=phone, fd=launch.JOB_LOCK_FD)


def test_a_time_limit_ends_the_whole_tree(spawner: Spawner) -> None:
    phone = spawner.telephone()
    script = family(phone) + "sleep 1000"
    run = spawner.start(script=script, timeout_ms=6000, grace_ms=100)
    members = [phone.pidfd() for _ in range(4)]
    outcome = run.outcome()
    assert (outcome["ended_by"], outcome["rc"]) == ("timeout", 143)
    assert 6000 <= outcome["wall_ms"] < LIMIT_S * 1000
    for member in members:
        wait_gone(member)


def test_term_comes_first_and_is_heard(spawner: Spawner) -> None:
    phone = spawner.telephone()
    script = f"trap 'print bye; exit 0' TERM; echo ready >> {phone}; while :; do sleep 0.01; done"
    run = spawner.start(script=script, timeout_ms=5000, grace_ms=600_000)
    assert phone.line() == "ready"
    assert (run.outcome()["ended_by"], run.outcome()["rc"]) == ("timeout", 0)
    assert run.output() == b"bye\n"


def test_a_stopped_job_hears_term_too(spawner: Spawner) -> None:
    run = spawner.start(script="kill -STOP $$", timeout_ms=100, grace_ms=600_000)
    assert run.outcome()["wall_ms"] < 600_000


def test_what_outlives_the_main_process_is_ended(spawner: Spawner) -> None:
    phone, gate = spawner.telephone(), spawner.telephone()
    run = spawner.start(script=f"{family(phone)}read line < {gate}; exit 7", grace_ms=100)
    members = [phone.pidfd() for _ in range(4)][1:]
    with gate.path.open("w") as opened:
        opened.write("go\n")
    outcome = run.outcome()
    assert (outcome["ended_by"], outcome["rc"]) == ("exit", 7)
    assert outcome["ended_behind"] >= len(members)
    for member in members:
        wait_gone(member)


def test_a_flushing_child_may_finish(spawner: Spawner, home: Path) -> None:
    script = "print text > >(read line; print -r -- $line > copy)"
    outcome = spawner.start(script=script).outcome()
    assert (outcome["rc"], outcome["ended_behind"]) == (0, 0)
    assert (home / "copy").read_text() == "text\n"


@pytest.mark.parametrize(
    ("states", "ends_at", "settles", "after_s"),
    [
        ("S", None, False, 0.1),
        ("RD", None, False, 5.0),
        ("RRS", None, False, 0.3),
        ("RRRR", 4, True, 0.5),
    ],
)
def test_what_waits_for_a_processor_may_finish(
    states: str, ends_at: int | None, settles: bool, after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`states`: at each look, the last one from then on; `ends_at`: the look at which it ended."""
    clock, looks = [0.0], [0]

    def until(_self: Any, _condition: Any, deadline: float) -> bool:
        clock[0] = deadline
        return looks[0] == ends_at

    def left(_self: Any) -> list[tree.Process]:
        looks[0] += 1
        state = states[min(looks[0], len(states)) - 1]
        return [tree.Process(2, "S", 1, 1, 1), tree.Process(3, state, 2, 1, 1)]

    monkeypatch.setattr(supervise, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(supervise.Supervision, "_until", until)
    monkeypatch.setattr(supervise.Supervision, "_tree", left)
    supervision = object.__new__(supervise.Supervision)
    assert supervision._settles() is settles
    assert clock[0] == pytest.approx(after_s)


def test_background_work_is_left_alone_and_may_print(spawner: Spawner) -> None:
    phone, gate = spawner.telephone(), spawner.telephone()
    script = f"""
    ( trap '' HUP; echo $sysparams[pid] >> {phone}; read line < {gate}
      print {{1..20000}} && echo printed >> {phone}; sleep 1000 ) &!
    """
    run = spawner.start(script="zmodload zsh/system;" + script, background=True)
    leftover = phone.pidfd()
    assert run.outcome()["rc"] == 0
    with gate.path.open("w") as opened:
        opened.write("go\n")
    assert phone.line() == "printed"
    signal.pidfd_send_signal(leftover, signal.SIGKILL)
    wait_gone(leftover)


def test_cancelling(spawner: Spawner) -> None:
    phone = spawner.telephone()
    run = spawner.start(script=family(phone) + "sleep 1000", grace_ms=100)
    members = [phone.pidfd() for _ in range(4)]
    assert judge.cancel(run.folder)
    outcome = run.outcome()
    assert (outcome["ended_by"], outcome["rc"]) == ("cancel", 143)
    for member in members:
        wait_gone(member)
    assert not judge.cancel(run.folder)


@pytest.mark.parametrize("order", ["runner first", "job first"])
def test_a_shutdown_is_no_cancellation(spawner: Spawner, order: str) -> None:
    """SIGTERM to the job and to its runner, by another process than zdeferd."""
    phone = spawner.telephone()
    run = spawner.start(script=f"echo $$ >> {phone}; sleep 1000").wait_started()
    pids = [run.answer["pid"], int(phone.line())]
    for pid in pids if order == "runner first" else reversed(pids):
        os.kill(pid, signal.SIGTERM)
    assert run.verdict() == verdicts.Vanished()
    assert b"interrupted SIGTERM of another process" in run.said
    assert not Path(run.folder, "outcome.json").exists()


def test_a_tree_that_forks_without_end_is_ended(spawner: Spawner) -> None:
    """Its processes are stopped before they are killed, so none forks meanwhile."""
    code = "import os, time; [os.fork() for _ in range(3)]; time.sleep(0.3)"
    bomb = f"{code}\nwhile True:\n  if os.fork() == 0: time.sleep(0.05)\n  else: os.wait()"
    bomb = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + bomb
    argv = [sys.executable, "-I", "-S", "-c", bomb]
    run = spawner.start(argv=argv, timeout_ms=500, grace_ms=100).wait_started()
    assert run.outcome()["ended_by"] == "timeout"
    assert tree.session_of(run.marks()["job_pid"]) == []


# --- cost ---------------------------------------------------------------------------

BURN = """
import os, sys, time
def burn(seconds):
    while time.process_time() < seconds: sum(range(10_000))
    with open(sys.argv[1], "a") as file: file.write(f"{time.process_time()}\\n")
    os._exit(0)
def orphan():
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            burn(0.1)
        os._exit(0)
ended, held = os.pipe()
orphan(); orphan()
os.close(held)
os.read(ended, 1)
burn(0.05)
"""
"""Three processes write what they cost as their last deed; the first waits for the others.

Short: on a busy machine a job gets a small part of a processor."""


def test_cpu_of_orphans_is_counted(spawner: Spawner, home: Path) -> None:
    argv = [sys.executable, "-I", "-S", "-c", BURN, str(home / "burnt")]
    outcome = spawner.start(argv=argv).outcome()
    burnt = (home / "burnt").read_text().split()
    assert len(burnt) == 3
    burnt_ms = 1000 * sum(map(float, burnt))
    counted_ms = outcome["cpu_user_ms"] + outcome["cpu_system_ms"]
    assert counted_ms == pytest.approx(burnt_ms, abs=40)
    assert outcome["wall_ms"] >= 100


def test_memory_and_switches_have_their_units(spawner: Spawner) -> None:
    code = "import time; x = bytearray(64 << 20); time.sleep(0.01)"
    outcome = spawner.start(argv=[sys.executable, "-I", "-S", "-c", code]).outcome()
    assert 64 << 10 <= outcome["max_rss_kib"] < 128 << 10
    assert outcome["switches_voluntary"] >= 1


# --- output ---------------------------------------------------------------------------


def test_output_is_bounded_and_keeps_both_ends(spawner: Spawner) -> None:
    limit = 100_000
    run = spawner.start(argv=["seq", "7000000"], output_limit_bytes=limit)
    outcome = run.outcome()
    assert outcome["rc"] == 0
    assert outcome["output_bytes"] == 54_888_896
    assert outcome["output_dropped_bytes"] == 54_888_896 - limit
    head, mark, tail = run.output().partition(b"\n[zdeferd: 54788896 bytes left out]\n")
    assert mark
    assert head.startswith(b"1\n2\n3\n")
    assert tail.endswith(b"6999999\n7000000\n")
    assert len(head) + len(tail) == limit


def test_both_streams_keep_their_order(spawner: Spawner) -> None:
    run = spawner.start(script="print one; print -u2 two; print three")
    assert run.outcome()["output_dropped_bytes"] == 0
    assert run.output() == b"one\ntwo\nthree\n"


# --- one start, whatever dies -----------------------------------------------------------


def test_a_second_start_is_refused(spawner: Spawner) -> None:
    phone, gate = spawner.telephone(), spawner.telephone()
    script = f"echo ran >> {phone}; read line < {gate}"
    first = spawner.start(script=script)
    assert phone.line() == "ran"
    while_it_runs = spawner.start(script=script)
    with gate.path.open("w") as opened:
        opened.write("go\n")
    assert first.outcome()["rc"] == 0
    afterwards = spawner.start(script=script).wait_gone()
    assert b"refused" in afterwards.said
    assert b"started\n" not in while_it_runs.said + afterwards.said
    assert spawner.start(attempt=2, script="exit 4").outcome()["rc"] == 4


def test_a_runners_death_is_seen_and_its_job_is_ended(spawner: Spawner) -> None:
    phone = spawner.telephone()
    run = spawner.start(script=family(phone) + "sleep 1000").wait_started()
    members = [phone.pidfd() for _ in range(4)]
    bystander = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ, setsid=True)
    os.kill(run.answer["pid"], signal.SIGKILL)
    assert run.verdict() == verdicts.Vanished()
    assert leftovers.end(run.folder, grace_s=0.2)
    for member in members:
        wait_gone(member)
    assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    os.kill(bystander, signal.SIGKILL)
    os.waitpid(bystander, 0)
    assert run.verdict() == verdicts.Vanished()


def test_the_daemons_death_costs_nothing(spawner: Spawner) -> None:
    phone, gate = spawner.telephone(), spawner.telephone()
    script = f"echo ran >> {phone}; read line < {gate}; print {{1..100000}}; exit 5"
    run = spawner.start(script=script).wait_started()
    assert phone.line() == "ran"
    os.close(run.alive)
    spawner.leave()
    run.alive = judge.prepare(run.folder)  # the next daemon adopts it
    verdict = judge.judge(run.folder, 1)
    assert verdict == verdicts.Running(run.answer["pid"])
    with gate.path.open("w") as opened:
        opened.write("go\n")
    assert run.outcome()["rc"] == 5


def test_a_folder_that_is_removed_does_not_hurt_the_job(spawner: Spawner, home: Path) -> None:
    phone, gate = spawner.telephone(), spawner.telephone()
    script = f"echo ran >> {phone}; read line < {gate}; print text; : > done"
    run = spawner.start(script=script)
    assert phone.line() == "ran"
    for path in Path(run.folder).iterdir():
        path.unlink()
    Path(run.folder).rmdir()
    with gate.path.open("w") as opened:
        opened.write("go\n")
    assert run.verdict() == verdicts.Vanished("its files are gone")
    assert (home / "done").exists()


# --- full disks and tables ------------------------------------------------------------


def let_write(pid: int, most: int) -> None:
    """A process that can write no file beyond `most` bytes: EFBIG, as a full disk's ENOSPC."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, hard))


def test_on_a_full_disk_nothing_is_started(spawner: Spawner) -> None:
    let_write(spawner.process.pid, 0)
    run = spawner.start(script="exit 3")
    assert run.verdict() == verdicts.NeverStarted()
    assert b"refused cannot write" in run.said
    let_write(spawner.process.pid, resource.RLIM_INFINITY)
    assert spawner.start(script="exit 3").outcome()["rc"] == 3


def test_a_disk_that_fills_up_costs_the_output_only(spawner: Spawner) -> None:
    gate = spawner.telephone()
    run = spawner.start(script=f"read line < {gate}; print {{1..9999}}; exit 3").wait_started()
    let_write(run.answer["pid"], runner.OUTCOME_ROOM)
    with gate.path.open("w") as opened:
        opened.write("go\n")
    outcome = run.outcome()
    assert outcome["rc"] == 3
    assert outcome["output_bytes"] == 48_888
    assert (
        len(run.output())
        == runner.OUTCOME_ROOM
        == outcome["output_bytes"] - outcome["output_dropped_bytes"]
    )


def test_an_outcome_that_cannot_be_written_is_tried_again(spawner: Spawner) -> None:
    phone, gate = spawner.telephone(), spawner.telephone()
    run = spawner.start(script=f"echo $$ >> {phone}; read line < {gate}; exit 3")
    job = phone.pidfd()
    let_write(run.answer["pid"], 0)
    with gate.path.open("w") as opened:
        opened.write("go\n")
    wait_gone(job)
    assert isinstance(judge.judge(run.folder, 1), verdicts.Running)
    let_write(run.answer["pid"], resource.RLIM_INFINITY)
    assert run.outcome()["rc"] == 3


def test_without_a_process_to_be_had_nothing_is_started(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_process(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(launch, "_posix_spawn", no_process)
    judge.make(str(home / "1"))
    os.close(judge.prepare(str(home / "1")))
    request: Any = {"folder": str(home / "1"), "attempt": 1, "script": None, "argv": ["true"]}
    request |= {"env": {"PATH": PATH}, "cwd": os.getcwd(), "limits": {"nofile": [-1, -1]}}
    alive = records.open_alive(str(home / "1"))
    signals: Any = type("Signals", (), {"cancelled": False})
    before = os.umask(0o022), os.getcwd()
    with pytest.raises(runner.Refused, match="cannot make a process"):
        runner.Attempt(request, alive, signals).run()
    os.umask(before[0])
    os.chdir(before[1])
    os.close(alive)
    assert not (home / "1/started.1").exists()
    assert not (home / "1/job.lock").exists()


def test_a_start_that_has_begun_is_not_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's process exists; only the way back to `/` fails."""
    leave = os.chdir

    def no_way_back(path: str) -> None:
        if path == "/":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        leave(path)

    monkeypatch.setattr(os, "chdir", no_way_back)
    monkeypatch.setattr(launch, "_posix_spawn", lambda *_: 7)
    request: Any = {"argv": ["true"], "env": {"PATH": PATH}, "cwd": os.getcwd()}
    before = os.umask(0o022)
    assert launch.launch(request | {"limits": {"nofile": [-1, -1]}}, (1, 1), 2) == 7
    os.umask(before)


@pytest.mark.parametrize("longest", [1, 7, 100])
def test_an_outcome_is_whole_although_each_write_is_short(
    home: Path, monkeypatch: pytest.MonkeyPatch, longest: int
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:longest], at))
    with (home / "record").open("wb+") as file:
        file.write(b" " * runner.OUTCOME_ROOM)
        file.flush()
        records.write_over(file.fileno(), b'{"rc": 3}' * 30)
    assert (home / "record").read_bytes() == b'{"rc": 3}' * 30


# --- what cannot be ended -----------------------------------------------------------------


def test_what_survives_kill_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is not ours to signal must not hold its slot for ever."""

    told: list[int] = []

    def deaf(targets: Any, *numbers: int) -> int:
        told.extend(numbers)
        return 0

    monkeypatch.setattr(tree, "signal_processes", deaf)
    monkeypatch.setattr(tree, "tree_of", lambda *roots: [tree.Process(2, "S", 1, 1, 1)])
    monkeypatch.setattr(supervise, "LAST_WAIT_S", 0.05)
    monkeypatch.setattr(supervise, "ROUND_S", 0.05)
    output: Any = type("Output", (), {"pipe": os.open(os.devnull, 0), "read": lambda _: False})()
    output.finish = lambda: None
    signals: Any = type("Signals", (), {"cancelled": False, "fd": os.pipe()[0]})()
    request: Any = {"timeout_ms": 50, "grace_ms": 50, "background": False}
    job = supervise.Launched(1, time.monotonic())
    facts = supervise.Supervision(request, signals, [output], job).run()
    assert (facts["ended_by"], facts["rc"]) == ("timeout", 0)
    assert told[:4] == [signal.SIGTERM, signal.SIGCONT, signal.SIGSTOP, signal.SIGKILL]
    assert set(told[4:]) <= {signal.SIGSTOP, signal.SIGKILL}
