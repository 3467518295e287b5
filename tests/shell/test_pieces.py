"""Visits of more than 64 KiB: only what is called travels, and in pieces that the daemon joins."""

from pathlib import Path

import pytest
from shell.conftest import Start
from shell.peer import Peer, wait_for_visit
from support.daemon import Daemon

from zdeferd.wire import frames as wire_frames


def big(name: str, size: int) -> str:
    """A function of `size` bytes."""
    return f"{name}() {{\n print -r -- {name} >>$HOME/ran\n : {'x' * size}\n}}\n"


@pytest.mark.parametrize("size", [60_000, 65_000, 70_000, 200_000, 900_000])
def test_a_large_function_arrives(size: int, peer: Peer, start: Start) -> None:
    shell = start(big("huge", size) + "zdefer add a -- huge; zdefer add b -- true")
    shell.prompt()
    visit, pieces = peer.take_whole()
    assert pieces == (1 if size == 60_000 else size // 64_000 + 1)
    assert [job.id for job in visit.jobs] == ["a", "b"]
    assert [function.name for function in visit.functions] == ["huge"]
    assert visit.postprompt
    wait_for_visit(peer.path, shell)
    shell.run("zdefer add later -- true")
    assert [job.id for job in peer.take().jobs] == ["later"]


def test_what_does_not_fit_names_its_largest_function(peer: Peer, start: Start) -> None:
    start(
        big("huge", 700_000) + big("other", 500_000) + "both() { other; huge }\n"
        "zdefer add a -- both; zdefer add b -- other; zdefer add c -- true"
    ).prompt()
    jobs, oversize, prompts = [], [], 0
    while not prompts:
        visit, _ = peer.take_whole()
        jobs += [job.id for job in visit.jobs]
        oversize += list(visit.oversize)
        prompts += visit.postprompt
    assert jobs == ["b", "c"]
    (refused,) = oversize
    assert (refused.id, refused.function) == ("a", "huge")
    assert refused.bytes > 1 << 20
    assert 700_000 < refused.size < 700_100


def test_a_word_in_a_string_drags_nothing_in(peer: Peer, start: Start) -> None:
    start(
        big("huge", 2_000_000)
        + "f() { print huge 'a huge one' $huge; g huge; : huge }; g() { : }\n"
        "zdefer add a -- f; zdefer add b -- 'print huge; g'"
    ).prompt()
    visit = peer.take()
    assert {function.name for function in visit.functions} == {"f", "g"}
    assert [sorted(job.functions) for job in visit.jobs] == [["f", "g"], ["g"]]
    assert not visit.oversize


def test_the_daemon_joins_and_runs_it(home: Path, start: Start) -> None:
    daemon = Daemon(home).start()
    try:
        shell = start(big("huge", 300_000) + "zdefer add a -- huge; zdefer add b -- 'huge; exit 3'")
        shell.prompt()
        daemon.wait_until_done(2)
        assert daemon.rows("SELECT job, rc FROM runs ORDER BY id") == [("a", 0), ("b", 3)]
        assert (home / "ran").read_text() == "huge\nhuge\n"
    finally:
        daemon.close()


def test_a_visit_that_is_broken_off_begins_with_its_first_piece(peer: Peer, start: Start) -> None:
    shell = start(big("huge", 150_000) + "zdefer add a -- huge")
    shell.prompt()
    first = peer.take().piece
    identity, visit = peer.receive()
    assert first
    assert visit.piece
    assert (first.number, visit.piece.number) == (1, 2)
    peer.answer(identity, wire_frames.answer("again"))
    wait_for_visit(peer.path, shell)
    shell.line("")
    visit, pieces = peer.take_whole()
    assert (pieces, [job.id for job in visit.jobs]) == (3, ["a"])
