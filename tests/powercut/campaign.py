"""Power cuts at random changes of the disk, while shells come and jobs run.

A *disk* is one campaign: blank at first, cut again and again, audited at each boot, and
audited once more when the last boot was let come to rest. All chance is the seed's, but for
the order in which processes run.
"""

import contextlib
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from typing import NamedTuple

from powercut.audit import Evidence, at_a_boot, at_the_end
from powercut.machine import LIMIT_S, Machine

LIVE = "SELECT id, job, state, attempt, boot FROM runs WHERE state != 'ended'"
UNWRITTEN = "SELECT * FROM lines WHERE state != 'lost'"


class Result(NamedTuple):
    """What one disk went through."""

    seed: int
    cuts: int
    changes: int
    """Of names and contents, up to the cuts."""
    runs: Counter[str]
    """By outcome."""
    lines: int
    breaches: list[str]


class Campaign:
    """One disk, and the history of its machine."""

    def __init__(self, seed: int, lies: bool) -> None:
        self.seed, self.chance, self.lies = seed, random.Random(seed), lies
        self.machine = Machine()
        self.logs = [self.machine.disk / "even.log", self.machine.disk / "odd.log"]
        self.ended: dict[int, tuple[str, int | None]] = {}
        self.breaches: list[str] = []
        self.changes = 0
        self._shells = self._rotations = 0

    def run(self, cuts: int) -> Result:
        """Cut the power `cuts` times, and let the last boot come to rest."""
        self.machine.mount()
        self.machine.write_jobs()
        self.machine.cut(0)
        self.machine.end_everything()
        for number in range(cuts):
            self._life(number)
            if self.breaches:
                break
        seen = self._last_life()
        outcomes = Counter(str(run["outcome"]) for run in seen.runs)
        lines = seen.logged.total()
        made = self.machine.boots - 1
        return Result(self.seed, made, self.changes, outcomes, lines, self.breaches)

    def _life(self, number: int) -> None:
        """From a boot to a cut: in the daemon's start, or while it works."""
        # The first is never early: then nothing is there yet that could be lost.
        early = number > 0 and self.chance.random() < 0.4
        cut_at = self.chance.randint(1, 90) if early else self.chance.randint(150, 900)
        self._check()
        self.machine.mount(cut_at, self.chance.randrange(1 << 30), self.lies)
        self.changes += cut_at
        self.machine.boot()
        while not self.machine.off():
            self._something_happens()
            self.machine.wait_answered()
        self.machine.end_everything()

    def _check(self) -> None:
        """What the disk holds, before a daemon touches it."""
        self.machine.mount()
        self.breaches += at_a_boot(Evidence(self.machine, self.logs), self.ended)
        self.machine.cut(0)
        self.machine.end_everything()

    def _something_happens(self) -> None:
        for _ in range(self.chance.randint(1, 4)):
            self._call()
        # Other programs of the user; after a cut their calls fail.
        with contextlib.suppress(OSError):
            if self.chance.random() < 0.5:
                with self.chance.choice(self.logs).open("ab", buffering=0) as log:
                    log.write(b"SEGMENT name=other ms=%d phase=core sample=x\n" % self._shells)
            if self.chance.random() < 0.2:
                (self.machine.disk / "watched").write_text(str(self._shells))
            if self.chance.random() < 0.15:
                self._rotations += 1
                log_path = self.chance.choice(self.logs)
                log_path.rename(f"{log_path}.{self._rotations}")

    def _call(self) -> None:
        self._shells += 1
        nonce = f"s{self._shells}"
        starts = self.machine.base / "starts"
        jobs = {}
        for number in range(self.chance.randint(1, 3)):
            name = f"{nonce}-{number}-rc{(rc := self.chance.choice((0, 0, 3)))}"
            sleep = self.chance.choice((0, 0.01, 0.1))
            jobs[name] = f"print -n x >> {starts}/{name}; sleep {sleep}; return {rc}"
        self.machine.call(nonce, jobs, self.logs[self._shells % 2])

    def _last_life(self) -> Evidence:
        """A boot without a cut, until all is at rest; what there is to see then."""
        self._check()
        self.machine.mount()
        self.machine.boot()
        self._call()
        self.machine.wait_answered()
        deadline = time.monotonic() + LIMIT_S
        while self._left():
            assert time.monotonic() < deadline, f"no rest: {self._unfinished()}"
            self.machine.turn()
        assert self.machine.leave() == 0, self.machine.complaint()
        seen = Evidence(self.machine, self.logs)
        self.breaches += at_the_end(seen, self.ended)
        self.machine.cut(0)
        self.machine.end_everything()
        return seen

    def _left(self) -> int:
        return len(self._rows(LIVE)) + len(self._rows(UNWRITTEN))

    def _rows(self, sql: str) -> list[tuple[object, ...]]:
        path = self.machine.state / "ledger.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()

    def _unfinished(self) -> str:
        return f"{self._rows(LIVE)} {self._rows(UNWRITTEN)}\n{self.machine.complaint()}"


def one_disk(seed: int, cuts: int, lies: bool = False) -> Result:
    """A whole campaign on one disk, which may lie about what is durable."""
    campaign = Campaign(seed, lies)
    try:
        return campaign.run(cuts)
    except (AssertionError, sqlite3.DatabaseError) as error:
        what = (
            "the campaign ended" if isinstance(error, AssertionError) else "the ledger is damaged"
        )
        breaches = [*campaign.breaches, f"{what}: {error}"]
        return Result(seed, campaign.machine.boots, campaign.changes, Counter(), 0, breaches)
    finally:
        campaign.machine.close()
