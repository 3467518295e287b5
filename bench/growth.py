"""Times claims, status and restart against the number of runs, jobs and shells.

A ledger is filled by SQL with runs that ended over the last weeks, each with its claim,
as they would have come to be; then a daemon is started on it and visited. A sample of a
claim is a visit of a new shell with one new job, from sending to the answer: all that
takes its commit, and nothing of the run. Each figure is compared with itself.
"""

import contextlib
import sqlite3
import time

from support.daemon import Daemon, Peer, visit

from zdeferd.ledger.store import Ledger

from .control import status_ms
from .stage import Stage, until
from .values import Figure

FILL = """
INSERT INTO batches (trigger, shell, sink, opened_at, ended_at)
VALUES ('postprompt', 'old', '{"log":"/nowhere"}', :now, :now);
"""
RUNS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO runs (job, key, trigger, shell, batch, sink, claimed_at, state, boot,
    dispatched_at, started_at, ended_at, outcome, rc, wall_ms, cpu_user_ms, cpu_system_ms,
    max_rss_kib, output_bytes, output_dropped_bytes)
SELECT 'old-' || (i % 50), 'shell:old-' || (i / 50), 'postprompt', 'old-' || (i / 50), 1,
    '{"log":"/nowhere"}', :now - i, 'ended', 'a-boot', :now - i, :now - i, :now - i + 1,
    'succeeded', 0, 20, 15, 5, 5000, 0, 0 FROM n;
"""
CLAIMS = """
INSERT INTO claims (job, key, run, claimed_at) SELECT job, key, id, claimed_at FROM runs;
"""
SPENT = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count - 1)
INSERT INTO claims (job, key, run, claimed_at) SELECT 'old-' || i, 'ever', 1, :now FROM n;
"""
SHELLS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO shells (nonce, seq, seen_at, prompted, env, sink)
SELECT 'old-' || i, 1, :now - i, 1, '{}', '{"log":"/nowhere"}' FROM n;
"""
SPACING_S = 5.0
"""Between two old runs: a million of them go back two months, within `keep_runs`."""
KINDS = {"claim": "Claim, answered", "status": "`zdeferctl status`", "restart": "Restart"}


def measure(stage: Stage) -> list[Figure]:
    """For runs, jobs and shells a figure each of claim, status, restart."""
    figures = []
    for what, counts in {
        "runs": stage.size.growth_runs,
        "jobs": stage.size.growth_others,
        "shells": stage.size.growth_others,
    }.items():
        figures += _grow(stage, what, counts)
    return figures


def _grow(stage: Stage, what: str, counts: tuple[int, ...]) -> list[Figure]:
    figures = {
        kind: Figure(
            f"growth-{kind}-{what}", f"{title}, by {what}", "ms", f"with so many {what} known"
        )
        for kind, title in KINDS.items()
    }
    daemons = {_name(count, what): _daemon(stage, what, count) for count in counts}
    samples: dict[str, dict[str, list[float]]] = {
        kind: {name: [] for name in daemons} for kind in figures
    }
    for name, daemon in daemons.items():
        for _ in range(stage.size.restarts):
            samples["restart"][name].append(_restart(daemon))
    for number, name in enumerate(stage.rounds(list(daemons), stage.size.growth_samples)):
        samples["claim"][name].append(_claim(daemons[name], number))
        if number < len(daemons) * 12:
            samples["status"][name].append(status_ms(daemons[name]))
    for kind, figure in figures.items():
        for name, values in samples[kind].items():
            figure.add(name, values)
    first, last = next(iter(daemons)), list(daemons)[-1]
    limits = {"claim": 1.5, "status": 2.0} if what == "runs" else {"status": 2.0}
    for kind, limit in limits.items():
        figure = figures[kind]
        figure.goal("the most over the least, p50", figure.p50(last) / figure.p50(first), limit)
    for daemon in daemons.values():
        stage.close(daemon)
    return list(figures.values())


def _name(count: int, what: str) -> str:
    return f"{count:,} {what}".replace(",", " ")


def _daemon(stage: Stage, what: str, count: int) -> Daemon:
    daemon = stage.daemon(start=False)
    daemon.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = str(daemon.state / "ledger.sqlite3")
    Ledger(path).close()
    if what == "jobs":
        daemon.write_jobs(
            "".join(f'[old-{n}]\nrun = ["true"]\nonce_per = "ever"\n' for n in range(count))
        )
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        now = time.time()
        if what == "runs" and count:
            db.execute(FILL, {"now": now})
            db.execute(
                RUNS.replace(":now - i", f":now - i * {SPACING_S}"), {"now": now, "count": count}
            )
            db.execute(CLAIMS)
        elif what == "jobs":  # claimed once for ever: from now on they are only looked at
            db.execute(SPENT, {"now": now, "count": count})
        elif what == "shells":
            db.execute(SHELLS, {"now": now, "count": count})
    daemon.start()
    return daemon


def _restart(daemon: Daemon) -> float:
    daemon.stop()
    began = time.monotonic()
    daemon.start()
    return (time.monotonic() - began) * 1000


def _claim(daemon: Daemon, number: int) -> float:
    with Peer(daemon.socket) as peer:
        peer.ask(visit(f"warm-{number}", event=b""))
        frames = visit(f"new-{number}", jobs={f"new-{number}": "true"})
        began = time.monotonic()
        peer.ask(frames)
        took = (time.monotonic() - began) * 1000
    live = "SELECT count(*) FROM runs WHERE state != 'ended'"
    until(lambda: daemon.rows(live) == [(0,)])
    until(lambda: daemon.rows("SELECT count(*) FROM lines") == [(0,)])
    return took
