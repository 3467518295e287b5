"""Fuzzed frames: the corpus and what mutation makes of it, on the real socket."""

from pathlib import Path

import pytest
from floods import fuzz, zmtp
from floods.crowd import GREETING, READY, Caller, Signs
from hypothesis import given, settings
from hypothesis import strategies as st
from support.daemon import Daemon, Peer, visit

from zdeferd.wire import control

FRAMES = 5000
GROWTH_KIB = 24 << 10


def sound(daemon: Daemon) -> bool:
    """It serves, foresaw all of it, and wrote nothing but what the contract has."""
    assert "internal error" not in daemon.errors.read_text()
    log = daemon.state / "deferred.log"
    for line in log.read_text().splitlines() if log.exists() else []:
        assert line.startswith(("DEFERRED id=", "SEGMENT name=deferred_total ms=", "IDLE:")), line
    with Peer(daemon.socket) as peer:
        assert peer.ask(visit("sound", event=b""))[0] == b"ok"
        return isinstance(peer.request(control.Ping()), control.Pong)


@pytest.mark.parametrize("path", sorted(fuzz.CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus_is_taken_apart(path: Path) -> None:
    fuzz.take_apart(path.read_bytes())


def test_the_corpus_has_what_honest_peers_send() -> None:
    assert set(fuzz.seeds().values()) <= set(fuzz.corpus())


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=60) | st.sampled_from(fuzz.ODD_FRAMES), min_size=1))
def test_any_frames_are_decoded_or_refused(frames: list[bytes]) -> None:
    fuzz.take_apart(GREETING + READY + zmtp.encode(frames))


def test_mutations_are_the_same_for_the_same_seed() -> None:
    assert fuzz.Mutator(1).stream() == fuzz.Mutator(1).stream() != fuzz.Mutator(2).stream()


def test_fuzzed_frames_on_the_real_socket(daemon: Daemon) -> None:
    daemon.start()
    for data in fuzz.corpus():
        with Caller(daemon.socket) as caller:
            caller.socket.sendall(data)
    assert daemon.process is not None
    signs = Signs(daemon.process.pid)
    before = signs.rss_kib()
    sent = fuzz.flood(daemon.socket, FRAMES, seed=1)
    assert sent.frames >= FRAMES
    assert sound(daemon)
    assert signs.peak_kib() - before < GROWTH_KIB
    assert signs.wake_ups_at_rest(0.5) == 0
