"""The world in trouble: noise on the socket, a full disk, a read-only home."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon, Peer, attempts, visit

from zdeferd.wire import control

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x00NULL" + bytes(48)


def serves(daemon: Daemon) -> bool:
    with Peer(daemon.socket) as peer:
        return isinstance(peer.request(control.Ping()), control.Pong)


def ctl(daemon: Daemon, *words: str) -> "subprocess.CompletedProcess[str]":
    return daemon.run("zdeferd.cli", *words)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        os.urandom(1 << 16),
        GREETING[:11],
        GREETING,
        GREETING + b"\x04\x05hello",
        GREETING + b"\x02" + b"\xff" * 8,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00" + b"\x03\x01hi\x04\x00you" * 300,
    ],
    ids=[
        *("nothing", "64 KiB", "half a greeting", "greeting", "bad READY", "huge", "HTTP"),
        "ZMTP 1.0",
    ],
)
def test_noise_on_the_socket_hurts_nobody(daemon: Daemon, data: bytes) -> None:
    daemon.start()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(daemon.socket))
        raw.setblocking(False)
        try:
            raw.send(data)
        except OSError:
            pass  # it hung up on the noise
        assert serves(daemon)
    assert serves(daemon)
    assert not (daemon.state / "deferred.log").exists()


@pytest.fixture
def small_disk(daemon: Daemon) -> Iterator[Path]:
    """A disk of 16 MiB under the state folder."""
    daemon.state.mkdir(mode=0o700, parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(daemon.state)]
    subprocess.run(mount, check=True)
    yield daemon.state
    daemon.close()
    for _ in attempts():
        if subprocess.run(["umount", str(daemon.state)], check=False).returncode == 0:
            return


@needs_root
def test_a_full_disk_is_said_and_heals(daemon: Daemon, small_disk: Path) -> None:
    daemon.start()
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 12)):
                pass
        except OSError:
            pass  # full
    with Peer(daemon.socket) as peer:
        peer.send(visit("n1", 1, {f"job-{i}": "true # " + "x" * 8000 for i in range(40)}))
        assert not peer.socket.poll(300), "what is not durable is not answered"
        assert serves(daemon)
        said = ctl(daemon, "doctor").stdout + ctl(daemon, "status").stdout
        assert "disk" in said or "full" in said
        filler.unlink()
        for i in range(40):
            assert peer.ask(visit("n1", i + 1, {f"job-{i}": "true"}))[0] == b"ok"
    daemon.wait_until_done(40)


@needs_root
def test_a_read_only_home_is_said_and_still_read(daemon: Daemon, small_disk: Path) -> None:
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": "true"}))
    daemon.wait_until_done(1)
    daemon.stop()
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    # Refused while a process of the daemon that ends has a file open to write.
    assert any(subprocess.run(remount, check=False).returncode == 0 for _ in attempts())
    refused = daemon.run("zdeferd.daemon")
    assert refused.returncode == 1
    assert "Read-only file system" in refused.stderr
    doctor = ctl(daemon, "doctor")
    assert (doctor.returncode, "ead-only" in doctor.stdout) == (1, True)
    runs = ctl(daemon, "runs")
    assert (runs.returncode, runs.stdout.count("succeeded")) == (0, 1)


def test_an_unwritable_log_is_said_by_doctor_and_status(daemon: Daemon) -> None:
    log = daemon.home / "missing/seg.log"
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": "true"}, {"PERF_SEGMENT_LOG": str(log)}))
    daemon.wait_for("SELECT count(*) > 0 FROM lines WHERE problem IS NOT NULL", 1)
    doctor = ctl(daemon, "doctor")
    assert doctor.returncode == 0, "a warning: nothing is lost"
    assert "missing" in doctor.stdout
    status = ctl(daemon, "status", "--json")
    assert "missing" in json.dumps(json.loads(status.stdout)["problems"])


def test_a_state_folder_that_cannot_be_made_is_refused_with_a_remedy(daemon: Daemon) -> None:
    (daemon.home / ".local").write_text("in the way")
    done = daemon.run("zdeferd.daemon")
    assert done.returncode == 1
    assert done.stderr.startswith("zdeferd: ")
    assert "Traceback" not in done.stderr


def test_a_folder_open_to_others_is_refused_with_a_remedy(daemon: Daemon) -> None:
    daemon.state.mkdir(parents=True)
    daemon.state.chmod(0o755)
    done = daemon.run("zdeferd.daemon")
    assert (done.returncode, "chmod 700" in done.stderr) == (1, True)


def test_a_folder_above_that_others_can_write_to_is_refused_with_a_remedy(daemon: Daemon) -> None:
    daemon.start()
    daemon.stop()
    above = daemon.state.parent
    above.chmod(0o777)
    remedy = f"others can write to it: {above}: mode 0777; chmod go-w {above}"
    assert remedy in daemon.refusal()
    doctor = ctl(daemon, "doctor")
    assert (doctor.returncode, "others can write to it" in doctor.stdout) == (1, True)
    above.chmod(0o700)
    daemon.start()


def test_a_newer_ledger_is_refused_and_left_alone(daemon: Daemon) -> None:
    daemon.start()
    daemon.stop()
    ledger = daemon.state / "ledger.sqlite3"
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sqlite3; sqlite3.connect({str(ledger)!r}).execute('PRAGMA user_version=99')",
        ],
        check=True,
    )
    before = ledger.read_bytes()
    done = daemon.run("zdeferd.daemon")
    assert done.returncode == 1
    assert "newer zdeferd" in done.stderr
    assert ledger.read_bytes() == before
    shutil.rmtree(daemon.state)


FAULT = """
import sys
from zdeferd.daemon.main import main
from zdeferd.wire import messages, router
router.HELD_BYTES = 10_000
def check(hello):
    if hello.nonce == "fault":
        raise ValueError("a fault of the test")
messages.check = check
sys.exit(main([]))
"""


def test_an_internal_error_is_said_in_one_line_and_ends_no_receiving(daemon: Daemon) -> None:
    daemon.command = [sys.executable, "-c", FAULT]
    daemon.start()
    with Peer(daemon.socket) as peer:
        for _ in range(5):  # more than the bytes that may be held
            peer.send(visit("fault"))
        assert peer.ask(visit("n1", 1, {"mine": "true"})) == [b"ok", b"seq=1"]
    daemon.wait_until_done(1)
    doctor = ctl(daemon, "doctor").stdout
    assert "internal error, please report: ValueError: a fault of the test" in doctor
    said = daemon.errors.read_text()
    assert (said.count("a fault of the test"), said.count("Traceback")) == (1, 0)
    daemon.errors.write_text("")  # `close` allows no internal error


DEAD_MOUNT = """
import sys, threading
from zdeferd.daemon.main import main
from zdeferd.runs import looks
looks.look_at = lambda watch, env: threading.Event().wait()
sys.exit(main([]))
"""


def test_a_file_system_that_does_not_answer_holds_up_one_job(daemon: Daemon) -> None:
    job = 'run = "true"\nonce_per = "change"\nwatch = ["/dead/mount"]\n'
    daemon.write_jobs(f'[other]\nrun = "true"\n[stuck]\n{job}[idle]\non = ["idle"]\n{job}')
    daemon.command = [sys.executable, "-c", DEAD_MOUNT]
    daemon.start()
    with Peer(daemon.socket) as peer:
        assert peer.ask(visit("n1", 1, {"mine": "true"})) == [b"ok", b"seq=1"]
        daemon.wait_until_done(2)
        assert peer.ask(visit("n2")) == [b"ok", b"seq=1"]
    assert daemon.rows("SELECT DISTINCT job FROM runs ORDER BY job") == [("mine",), ("other",)]
    assert daemon.stop() == 0


def test_a_proc_of_another_pid_namespace_is_refused_with_a_remedy(daemon: Daemon) -> None:
    command = ["unshare", "-Urpf", "--kill-child", *daemon.command]
    env = daemon.env | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=200
    )
    if "unshare" in done.stderr and "--mount-proc" not in done.stderr:
        pytest.skip("no namespaces here")
    assert done.returncode == 1
    assert done.stderr.startswith("zdeferd: /proc is of another PID namespace")
    assert done.stderr.count("\n") == 1
