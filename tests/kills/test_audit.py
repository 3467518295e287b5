"""Each rule of the audit is broken once by hand, and says so."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kills import audit
from kills.arena import Arena


@pytest.fixture(scope="module")
def rested() -> Iterator[Arena]:
    """An arena in which all has come to rest: three shells, the third with a sidecar."""
    arena = Arena()
    arena.shell(0, 3)
    arena.shell(5, trigger="idle")
    arena.shell(1)
    arena.settle()
    arena.write_as_a_shell()
    arena.stop()
    shutil.copytree(arena.home, f"{arena.home}.kept", ignore=lambda *_: ["gate", "run"])
    yield arena
    shutil.rmtree(f"{arena.home}.kept")
    arena.close()


@pytest.fixture
def arena(rested: Arena) -> Iterator[Arena]:
    """The same, as it was, for every test."""
    yield rested
    rested.doomed.clear()
    shutil.copytree(f"{rested.home}.kept", rested.home, dirs_exist_ok=True)


def sql(statement: str) -> Callable[[Arena], None]:
    def change(arena: Arena) -> None:
        with closing(sqlite3.connect(arena.daemon.state / "ledger.sqlite3")) as db, db:
            assert db.execute(statement).rowcount == 1

    return change


def edit(name: str, change: Callable[[str], str]) -> Callable[[Arena], None]:
    def changed(arena: Arena) -> None:
        path = Path(arena.home, name)
        text = path.read_text()
        path.write_text(change(text))
        assert path.read_text() != text

    return changed


def doomed(arena: Arena) -> None:
    arena.doomed.add((1, 1))


BREAKS: tuple[tuple[str, Callable[[Arena], None]], ...] = (
    ("no_run_is_lost", sql("DELETE FROM runs WHERE job = 's1-1'")),
    ("no_claim_is_made_twice", sql("UPDATE claims SET run = 99 WHERE job = 's1-1'")),
    ("no_start_is_made_twice", edit("starts/s1-0", lambda text: text * 2)),
    ("no_start_is_made_twice", edit("starts/s1-0", lambda text: "")),
    ("no_start_is_made_twice", edit("starts/again.s1", lambda text: text * 2)),
    ("every_run_has_ended", sql("UPDATE runs SET state = 'dispatched' WHERE id = 1")),
    ("abandoned_is_where_a_runner_died", doomed),
    (
        "abandoned_is_where_a_runner_died",
        sql("UPDATE runs SET outcome = 'abandoned' WHERE id = 1"),
    ),
    ("a_record_is_kept_whole", sql("UPDATE runs SET rc = 4 WHERE job = 's1-1'")),
    ("a_record_is_kept_whole", sql("UPDATE runs SET output_bytes = 4 WHERE job = 's1-1'")),
    ("a_record_is_kept_whole", sql("UPDATE runs SET max_rss_kib = 0 WHERE job = 's1-1'")),
    (
        "cancelled_is_what_was_cancelled",
        sql("UPDATE runs SET outcome = 'cancelled' WHERE job = 's1-1'"),
    ),
    ("every_line_is_there_once", edit("odd.log", lambda text: text.split("\n", 1)[1])),
    ("every_line_is_there_once", edit("odd.log", lambda text: text + text.split("\n")[0] + "\n")),
    ("every_line_is_there_once", edit("odd.log", lambda text: text.replace("SEG", "GES"))),
    (
        "idle_batches_do_not_mix",
        edit("even.log", lambda text: "IDLE:START budget=0ms tasks=1\n" + text),
    ),
    ("the_sidecar_says_the_same", edit("odd.jsonl", lambda text: text * 2)),
    (
        "an_output_is_whole_and_published",
        edit("made/value.zsh", lambda text: text[:100]),
    ),
    ("an_output_is_whole_and_published", lambda arena: (arena.home / "made/value.zsh").unlink()),
    (
        "an_output_is_whole_and_published",
        sql("UPDATE runs SET job = 'makes', rc = 0, started_at = ended_at + 9 WHERE job = 's1-1'"),
    ),
    ("nothing_is_left_behind", edit("stderr", lambda text: text + "Traceback")),
)


@pytest.mark.parametrize(("rule", "breach"), BREAKS)
def test_a_broken_rule_is_found(arena: Arena, rule: str, breach: Callable[[Arena], None]) -> None:
    breach(arena)
    assert rule in {found.split(":")[0] for found in audit.breaches(arena)}


def test_at_rest_no_rule_is_broken(arena: Arena) -> None:
    assert audit.breaches(arena) == []


def test_every_rule_is_broken_here_once() -> None:
    assert {rule for rule, _ in BREAKS} == {rule.__name__ for rule in audit.RULES}
