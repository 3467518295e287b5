"""Another boot: dispatched runs are abandoned, waiting ones run, `boot` is due again."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.world import lines_of, needs_linux, needs_mounts, prompt, until, wait_ended
from support.daemon import Daemon, Peer, visit

from zdeferd.judging import judge, leftovers
from zdeferd.rules import verdicts

pytestmark = [needs_mounts, needs_linux]
IN_ANOTHER_BOOT = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'


class Machine(Daemon):
    """A daemon that sees the boot id it is given, in a mount namespace of its own."""

    def boot(self, name: str) -> "Machine":
        """Start it in that boot."""
        boot_id = self.home / "boot_id"
        boot_id.write_text(f"{name}\n")
        program = [sys.executable, "-m", "zdeferd.daemon"]
        self.command = ["unshare", "-m", "sh", "-c", IN_ANOTHER_BOOT, str(boot_id), *program]
        self.start()
        return self

    def crash(self) -> None:
        """Power off: the daemon, its runners and their jobs are gone at once."""
        self.kill()
        for folder in (self.state / "runs").iterdir():
            marks = (folder / "started.1").read_text() if (folder / "started.1").exists() else ""
            if '"pid"' in marks:
                pid = int(marks.partition('"pid": ')[2].partition(",")[0])
                os.kill(pid, 9)
            until(lambda folder=folder: not isinstance(  # type: ignore[misc]
                judge.judge(str(folder), 1), verdicts.Running))  # fmt: skip
            leftovers.end(str(folder), grace_s=0.1)


@pytest.fixture
def machine(home: Path) -> Iterator[Machine]:
    with contextlib.closing(Machine(home)) as made:
        yield made


def test_a_reboot(machine: Machine, home: Path) -> None:
    log = home / "seg.log"
    machine.write_jobs('[each-boot]\nrun = "true"\non = ["postprompt"]\nonce_per = "boot"\n')
    os.mkfifo(home / "never")
    machine.boot("one")
    with Peer(machine.socket) as peer:
        jobs = {
            "interrupted": f"echo x >> {home}/count; read < {home}/never",
            "waiting": f"echo x >> {home}/waited",
        }
        peer.ask(visit("n1", 1, jobs, {"PATH": os.environ["PATH"], "PERF_SEGMENT_LOG": str(log)}))
    until((home / "count").exists)
    machine.crash()
    machine.boot("two")
    assert wait_ended(machine, "waiting") == [("succeeded", 0)]
    assert wait_ended(machine, "interrupted") == [("abandoned", 255)]
    prompt(machine, "n2", "true")
    assert wait_ended(machine, "each-boot", 2) == [("succeeded", 0)] * 2
    machine.wait_until_done(5)
    assert (home / "count").read_text() == "x\n"
    assert (home / "waited").read_text() == "x\n"
    assert lines_of(log, job="interrupted") == ["DEFERRED id=interrupted ms=0 rc=255"]
