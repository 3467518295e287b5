"""Makes the ledger that tests/data keeps of this schema: `python tests/data/keep_ledger.py`.

Run it once for each new schema, commit `ledger-N.sqlite3`, and never make that file again:
every later zdeferd must open it (tests/daemon/test_upgrades.py). A real daemon writes it, and is
killed in the middle of its work, so that every table has rows in every state: runs with
each outcome, one dispatched and one claimed, registrations that wait, lines that are
pending, begun and lost. It names a home that does not exist, and nothing of this machine.
"""

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "src")]

from support.daemon import Daemon, Peer, attempts, visit  # noqa: E402

from zdeferd.crashpoints import VARIABLE  # noqa: E402
from zdeferd.judging import judge  # noqa: E402
from zdeferd.ledger.database import SCHEMA_VERSION  # noqa: E402
from zdeferd.machine.boot import boot_id  # noqa: E402
from zdeferd.model import Trigger  # noqa: E402
from zdeferd.processes import tree  # noqa: E402
from zdeferd.rules import verdicts  # noqa: E402
from zdeferd.wire import control  # noqa: E402

HOME = Path("/tmp/zdeferd-ledger")
BOOT = "00000000-0000-4000-8000-000000000000"
JOBS = """
[once-boot]
run = "true"
once_per = "boot"

[daily]
run = ["/bin/echo", "daily"]
once_per = "day"
description = "Printed once a day"

[on-change]
run = "true"
once_per = "change"
watch = ["~/watched"]

[again]
run = "true"
once_per = "ever"
idempotent = true
attempts = 3
after = ["once-boot"]
"""


class History:
    """What happened, step by step."""

    def __init__(self) -> None:
        HOME.mkdir()
        os.mkfifo(HOME / "gate")
        (HOME / "watched").write_text("one")
        self.daemon = Daemon(HOME, PATH="/usr/bin:/bin")
        self.daemon.write_jobs(JOBS)
        self.daemon.write_settings('jobs_at_once = 1\nidle_after = "365d"\nnotify = "prompt"\n')

    def say(self, *frames: list[bytes]) -> None:
        """Visits, each answered before the next."""
        with Peer(self.daemon.socket) as peer:
            for message in frames:
                assert peer.ask(message)[0] == b"ok"

    def ask(self, request: control.Request) -> None:
        """A request of zdeferctl."""
        with Peer(self.daemon.socket) as peer:
            peer.request(request)

    def runner(self, job: str) -> tuple[int, int]:
        """The run of `job` and its runner's pid, once the job runs."""
        for _ in attempts():
            rows = self.daemon.rows("SELECT id FROM runs WHERE job = ?", job)
            folder = str(self.daemon.state / f"runs/{rows[0][0]}") if rows else ""
            found = judge.judge(folder, 1) if os.path.isdir(folder) else None
            if isinstance(found, verdicts.Running) and found.pid:
                return rows[0][0], found.pid
        raise AssertionError(f"{job} does not run: {self.daemon.errors.read_text()}")

    def outcomes(self) -> None:
        """A run for each outcome."""
        waits = f"read -r < {HOME}/gate"
        self.say(visit("n1", 1, {"good": "print good", "bad": "print bad >&2; return 3"}, env()))
        self.say(visit("n1", 2, {"slow": waits}, env(), timeout="0.1s"))
        self.say(visit("n1", 3, {"long": waits, "queued": "true"}, env()))
        run, _ = self.runner("long")
        self.ask(control.CancelRun(run=run + 1))
        self.ask(control.CancelRun(run=run))
        self.say(visit("n1", 4, {"left": waits}, env()))
        os.kill(self.runner("left")[1], signal.SIGKILL)
        self.daemon.wait_for("SELECT count(*) FROM runs WHERE outcome = 'abandoned'", 1)
        budget = env(ZSH_IDLE_HARD_BUDGET_MS="1", ZSH_LOG_STRUCTURED="1")
        idle = {"first": "sleep 0.05", "second": "true"}
        self.say(visit("n2", 1, idle, budget, event=b"idle", on="idle"))
        self.daemon.wait_for("SELECT count(*) FROM runs WHERE outcome = 'missed'", 1)
        self.ask(control.RunJob(job="daily"))
        self.ask(control.Switch(job="daily", enabled=False))
        self.ask(control.Pause(lanes=[Trigger.IDLE]))
        self.ask(control.Resume(lanes=[Trigger.IDLE]))
        self.say(visit("n3", 1, {"daily": "true", "waits": "true"}, env(), event=b"", on="idle"))
        self.daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)
        self.daemon.wait_for("SELECT count(*) FROM lines", 0)

    def lines(self) -> None:
        """A line that is lost, and two that cannot be written."""
        self.daemon.stop()
        self.arm("lost")
        self.say(visit("n5", 1, {"lost": "true"}, env(PERF_SEGMENT_LOG=f"{HOME}/lost.log")))
        self.wait_for_death()
        (HOME / "lost.log").unlink()
        self.daemon.start()
        self.daemon.wait_for("SELECT count(*) FROM lines WHERE state = 'lost'", 1)
        nowhere = env(PERF_SEGMENT_LOG=f"{HOME}/no/folder")
        self.say(visit("n6", 1, {"unwritten": "true"}, nowhere))
        self.daemon.wait_for("SELECT count(*) FROM lines WHERE problem LIKE '%is missing%'", 1)
        self.daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)
        self.daemon.stop()

    def live(self) -> None:
        """One run dispatched, one claimed, one line begun, and then nobody is left."""
        self.arm("begun")
        self.say(visit("n7", 1, {"runs": f"read -r < {HOME}/gate", "claimed": "true"}, env()))
        _, pid = self.runner("runs")
        runner = tree.Handle(pid)
        self.say(visit("n9", 1, {"registered": "true"}, env(), event=b""))
        log = env(PERF_SEGMENT_LOG=f"{HOME}/begun.log")
        self.say(visit("n8", 1, {"begun": "true"}, log, event=b"idle", on="idle"))
        self.wait_for_death()
        left = tree.tree_of(pid)
        runner.send(signal.SIGKILL)
        tree.kill_all(lambda: left)

    def arm(self, name: str) -> None:
        """A daemon that dies between a line's append and its mark."""
        self.daemon.env[VARIABLE] = f"daemon.line-appended:1:9:{HOME}/tally.{name}"
        self.daemon.start()
        del self.daemon.env[VARIABLE]

    def wait_for_death(self) -> None:
        """It has."""
        assert self.daemon.process is not None
        assert self.daemon.process.wait(200) == -signal.SIGKILL


def env(**more: str) -> Mapping[str, str]:
    """What a shell sends."""
    return {"HOME": str(HOME), "PATH": "/usr/bin:/bin"} | more


def keep(source: Path, target: Path) -> None:
    """One file, without the write-ahead log, and without what tells this machine."""
    with closing(sqlite3.connect(source)) as db:
        for table, column in (("runs", "boot"), ("runs", "key"), ("claims", "key")):
            db.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (boot_id(), BOOT),
            )
        db.commit()
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(source, target)
    target.chmod(0o644)


def main() -> int:
    """The program."""
    target = HERE / f"ledger-{SCHEMA_VERSION}.sqlite3"
    if target.exists():
        print(f"keep_ledger: it is kept already, and for ever: {target}", file=sys.stderr)
        return 1
    history = History()
    try:
        history.daemon.start()
        history.outcomes()
        history.lines()
        history.live()
        keep(history.daemon.state / "ledger.sqlite3", target)
    finally:
        history.daemon.close()
        shutil.rmtree(HOME)
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
