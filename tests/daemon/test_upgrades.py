"""What an upgrade meets: the ledgers of all earlier versions, and runs that the old one started."""

import os
import re
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from floods.crowd import Caller
from shell.peer import wait_until
from support.daemon import Daemon, Peer, visit
from support.user import User

import zdeferd
from zdeferd.ledger.database import SCHEMA_VERSION
from zdeferd.ledger.store import Ledger
from zdeferd.model import State, Trigger
from zdeferd.wire import control

DATA = Path(__file__).parents[1] / "data"
KEPT = sorted(DATA.glob("ledger-*.sqlite3"))
READING = ("status", "jobs", "runs", "show 1", "why claimed", "status --json", "runs --json")


def put(source: Path, state: Path) -> Path:
    """A ledger as an earlier version left it in its state folder."""
    state.mkdir(parents=True, mode=0o700, exist_ok=True)
    path = Path(shutil.copy(source, state / "ledger.sqlite3"))
    path.chmod(0o600)
    return path


@pytest.fixture(params=KEPT, ids=lambda path: path.stem)
def source(request: pytest.FixtureRequest) -> Path:
    """Every ledger that was kept."""
    assert isinstance(request.param, Path)
    return request.param


@pytest.fixture
def kept(source: Path, home: Path) -> Path:
    """It, in its place in `home`."""
    return put(source, home / ".local/state/zdeferd")


def test_the_ledger_of_this_version_is_kept() -> None:
    """Another schema is another version: raise SCHEMA_VERSION, and run keep_ledger.py once."""
    assert [path.stem for path in KEPT] == [f"ledger-{n}" for n in range(1, SCHEMA_VERSION + 1)]


def schema(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        return [(name, " ".join(re.sub(r"--.*", "", sql).split())) for name, sql in rows]


def test_the_schema_has_not_changed_under_its_number(home: Path) -> None:
    Ledger(str(home / "ledger.sqlite3")).close()
    assert schema(home / "ledger.sqlite3") == schema(KEPT[-1])


def test_it_holds_a_row_of_every_kind(kept: Path) -> None:
    """So that to open it is to read all that there can be."""
    with closing(sqlite3.connect(kept)) as db:
        outcomes = {row[0] for row in db.execute("SELECT outcome FROM runs")}
        states = {row[0] for row in db.execute("SELECT state FROM runs")}
        lines = {row[0] for row in db.execute("SELECT state FROM lines")}
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        empty = [name for name in tables if not db.execute(f"SELECT 1 FROM {name}").fetchone()]
    ended = {"succeeded", "failed", "timed_out", "cancelled", "abandoned", "missed"}
    assert outcomes == ended | {None}
    assert states == {"claimed", "dispatched", "ended"}
    assert lines == {"pending", "writing", "lost"}
    assert empty == []


def test_it_opens_and_all_of_it_can_be_read(kept: Path) -> None:
    ledger = Ledger(str(kept))
    live = ledger.live_runs()
    assert {run.state for run in live} == {State.CLAIMED, State.DISPATCHED}
    assert [ledger.work(run.id).job.id for run in live] == [run.job for run in live]
    assert ledger.open_batches()
    assert {line.state for line in ledger.open_lines()} == {"pending", "writing"}
    assert len(ledger.latest_shells()) == 8
    assert [one.job.id for one in ledger.registrations(Trigger.POSTPROMPT)] == ["registered"]
    assert ledger.fingerprint("on-change")[1] == 1
    assert ledger.is_claimed("again", "ever")
    assert ledger.ended_run(6) == ("failed", 3)
    ledger.close()


@pytest.mark.parametrize("words", READING)
def test_every_reading_verb_answers_from_it(source: Path, home: Path, words: str) -> None:
    user = User(home)
    put(source, user.state)
    result = user.program(*words.split())
    assert (result.code, result.err) == (0, "")


def test_a_daemon_takes_up_its_work(kept: Path, daemon: Daemon) -> None:
    before = daemon.rows("SELECT * FROM runs WHERE state = 'ended' ORDER BY id")
    live = [row[0] for row in daemon.rows("SELECT id FROM runs WHERE state != 'ended'")]
    daemon.start()
    with Peer(daemon.socket) as peer:
        for frames in (visit("n1", 4, {"bad": "true"}), visit("new", 1, {"new": "true"})):
            assert peer.ask(frames)[0] == b"ok"
    daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)
    rows = daemon.rows("SELECT id, outcome FROM runs WHERE id >= ? ORDER BY id", live[0])
    # Another boot: what was dispatched is abandoned. What was claimed starts, in a home that
    # is not there any more.
    assert [outcome for _, outcome in rows] == [
        *("abandoned", "failed", "abandoned", "failed"),
        "succeeded",
    ]
    after = daemon.rows("SELECT * FROM runs WHERE id < ? ORDER BY id", live[0])
    assert [row[: len(before[0])] for row in after] == before, "new columns stand behind"


@pytest.mark.parametrize("name", ["ledger-7", "ledger-8"])
def test_a_pause_outlives_it(home: Path, daemon: Daemon, name: str) -> None:
    """The lane is as the old version left it: nothing starts before it is resumed."""
    kept = put(DATA / f"{name}.sqlite3", daemon.state)
    with closing(sqlite3.connect(kept)) as db, db:
        db.execute("INSERT INTO lanes VALUES ('postprompt', 1700000000.0)")
    daemon.start()
    with Peer(daemon.socket) as peer:
        assert peer.ask(visit("new", 1, {"new": "true"}))[0] == b"ok"
        assert isinstance(peer.request(control.Ping()), control.Pong)
    assert daemon.rows("SELECT lane FROM lanes WHERE paused_at = 1700000000.0") == [("postprompt",)]
    assert daemon.rows("SELECT state FROM runs WHERE job = 'new'") == [("claimed",)]
    with Peer(daemon.socket) as peer:
        peer.request(control.Resume(lanes=[Trigger.POSTPROMPT]))
    daemon.wait_for("SELECT outcome FROM runs WHERE job = 'new'", "succeeded")


def test_a_newer_one_is_refused_untouched(kept: Path, home: Path) -> None:
    with closing(sqlite3.connect(kept)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = kept.read_bytes()
    refusal = Daemon(home).refusal()
    numbers = f"(schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION})"
    assert f"is from a newer zdeferd {numbers}" in refusal
    assert kept.read_bytes() == before
    assert {path.name for path in kept.parent.iterdir()} <= {kept.name, "lock", "runs"}


# --- runs of another version ----------------------------------------------------


def install(folder: Path, version: str) -> Path:
    """zdeferd as a version of its own, in a place of its own."""
    shutil.copytree(Path(zdeferd.__file__).parent, folder / "zdeferd")
    path = folder / "zdeferd" / "__init__.py"
    path.write_text(path.read_text().replace(zdeferd.__version__, version))
    return folder


def version(daemon: Daemon) -> str:
    with Peer(daemon.socket) as peer:
        pong = peer.request(control.Ping())
    assert isinstance(pong, control.Pong)
    return pong.version


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_new_version_adopts_the_runs_of_the_old(
    home: Path, daemon: Daemon, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = home / "gate"
    os.mkfifo(gate)
    old, new = install(home / "old", "0.0.1"), install(home / "new", "99.0.0")
    monkeypatch.syspath_prepend(str(old))
    daemon.start()
    assert version(daemon) == "0.0.1"
    with Peer(daemon.socket) as peer:
        jobs = {"first": f"print 12345; read -r < {gate}; return 7", "second": "true"}
        peer.ask(visit("n1", 1, jobs, {"HOME": str(home)}))
    started = daemon.state / "runs/1/started.1"
    wait_until(started.exists, "the old version has started the job")
    daemon.kill(number)
    shutil.rmtree(old)
    monkeypatch.syspath_prepend(str(new))
    daemon.start()
    assert version(daemon) == "99.0.0"
    gate.write_text("go\n")
    daemon.wait_until_done(2)
    rows = daemon.rows("SELECT job, outcome, rc, attempt, output_bytes FROM runs ORDER BY id")
    assert rows == [("first", "failed", 7, 1, 6), ("second", "succeeded", 0, 1, 0)]
    assert daemon.rows("SELECT max_rss_kib > 0 FROM runs") == [(1,), (1,)]
    assert [line.split()[1] for line in daemon.log()] == [
        *("id=first", "id=second"),
        "name=deferred_total",
    ]


# --- shells of another version --------------------------------------------------


def test_a_shell_that_was_open_before_the_upgrade_is_understood(daemon: Daemon) -> None:
    """`data/visit-2` holds the bytes of a visit that the shim of version 0.1.0 made."""
    said = (DATA / "visit-2").read_bytes()
    handshake = said[: said.index(b"DEALER") + len(b"DEALER")]
    daemon.start()
    for _ in range(2):  # the second time nothing changes
        with Caller(daemon.socket) as shell:
            shell.shake_hands(handshake)
            shell.socket.sendall(said.removeprefix(handshake))
            assert shell.answer() == bytes.fromhex("01026f6b0005") + b"seq=1"
    daemon.wait_until_done(3)
    assert daemon.rows("SELECT job, outcome, rc FROM runs ORDER BY job") == [
        ("from-add", "succeeded", 0),
        ("from-register", "failed", 3),
        ("with-fields", "failed", 3),
    ]
    assert (daemon.state / "runs/1/output").read_text() == "one\n"
