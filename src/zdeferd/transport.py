"""The endpoint: one listening socket for shells and zdeferctl, and who is connected to it.

Binds the socket, or adopts the one that systemd listens on, and speaks ZMTP as a ROUTER
(zmtp.py). Everything is bounded here, because whoever connects is not trusted to be quick,
or brief, or well (ADR 15):

- **Peers.** At most as many as the descriptor limit allows, less RESERVED for the rest of
  the daemon. When another one wants in, the peer that has been without a whole message for
  longest makes room, unless it is owed an answer, or has been here for less than GRACE_S.
  Where nobody can go, or no descriptor is left all the same, the others wait in the
  kernel's queue.
- **Time.** PATIENCE_S for the handshake, for each message from its first byte to its last,
  and for silence: then comes a PING, and as long after that the end. Only while somebody is
  connected is there a timer, so at rest nothing wakes up.
- **Memory.** Unfinished messages have a limit each (zmtp.py) and UNFINISHED_BYTES together;
  over that, the largest goes. A peer that is owed OWED_MESSAGES answers is not read from,
  and none is while OWED_BYTES are unanswered. Who does not read its answers is let go.

Every message that arrives must be followed by one `send` or `hang_up`. Other users are
refused by their uid. Assumes that the caller holds the daemon's lock, because a second bind
would steal the path.
"""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Callable
from typing import TypeVar

from . import zmtp
from .errors import UnsafePath, WireError
from .peer import Peer, uid_of

BACKLOG = 4096
PATIENCE_S = 5.0
RESERVED = 96
"""Descriptors for the ledger, the logs, the runs under way, and what opens for a moment."""
MOST_PEERS, FEWEST_PEERS = 1024, 8
UNFINISHED_BYTES = 16 << 20
OWED_MESSAGES = 4
OWED_BYTES = 16 << 20
MESSAGE_OVERHEAD = 4096
"""Bytes that a message under way costs, be it empty."""
ACCEPTS_A_TURN, MESSAGES_A_TURN = 64, 8
"""Then others get theirs. The second is of one peer."""
AGAIN_S = 1.0
GRACE_S = 0.03
"""Nobody makes room sooner: a visit takes a few milliseconds, a crowd arrives in fewer."""

T = TypeVar("T")
OnMessage = Callable[[Peer, list[bytes]], asyncio.Future[None] | None]
"""Returns what is under way for this message and pointless once the peer has left, if any."""


def most_peers() -> int:
    """How many peers the descriptor limit of this process allows."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MOST_PEERS
    return max(FEWEST_PEERS, min(MOST_PEERS, limit - RESERVED))


class Endpoint:
    """The daemon's socket. `listen` it once; every message arrives at `on_message`.

    `say` is told, in a sentence, whom it had to turn away.
    """

    def __init__(
        self,
        on_message: OnMessage,
        loop: asyncio.AbstractEventLoop,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_message, self._loop, self._say = on_message, loop, say
        self._most = most_peers()
        self._peers: dict[Peer, None] = {}
        """Who sent a whole message last comes last."""
        self._unfinished = self._owed = 0
        self._listener: socket.socket | None = None
        self._listening = False
        self._bound: tuple[str, os.stat_result] | None = None
        """The path, where it is ours to remove, and what is there."""
        self._timer: asyncio.TimerHandle | None = None

    def listen(self, path: str, inherited_fd: int | None = None) -> None:
        """Bind `path` (mode 0600), or adopt a listening descriptor that is already there."""
        if inherited_fd is not None:
            self._listener = socket.socket(fileno=os.dup(inherited_fd))
        else:
            self._listener = _bind(path)
            self._bound = path, os.lstat(path)
        self._listener.setblocking(False)
        self._listen(True)

    def send(self, peer: Peer, frames: list[bytes]) -> None:
        """Answer a peer's oldest message; one that is gone, or never reads, gets nothing."""
        self._settle(peer)
        if peer in self._peers and not peer.write(zmtp.encode(frames)):
            self._drop(peer)

    def hang_up(self, peer: Peer) -> None:
        """A message of this peer gets no answer: let it go, so that it need not wait."""
        self._settle(peer)
        self._drop(peer)

    @property
    def resting(self) -> bool:
        """Nobody is connected, and nothing will wake us but somebody who comes."""
        return not self._peers and self._timer is None

    def close(self) -> None:
        """Let every peer go. All answers have been handed to the kernel by now.

        A visit that comes too late gets none, and the shell makes it again.
        """
        self._listen(False)
        for peer in list(self._peers):
            self._drop(peer)
        if self._bound is not None:
            path, made = self._bound
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(path), made):
                    os.unlink(path)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    # who comes

    def _listen(self, flag: bool) -> None:
        if self._listener is None or flag == self._listening:
            return
        self._listening = flag
        if flag:
            self._loop.add_reader(self._listener, self._accept)
        else:
            self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(ACCEPTS_A_TURN):
            leaving = None
            if len(self._peers) >= self._most:
                leaving = self._most_dispensable()
                if leaving is None:
                    self._listen(False)
                    return
                stays_s = leaving.ranked_at + GRACE_S - self._loop.time()
                if stays_s > 0:
                    self._listen_again_in(stays_s)
                    return
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._say(f"cannot take a connection: {error.strerror}")
                self._listen_again_in(AGAIN_S)
                return
            if leaving is not None:
                self._say(f"{self._most} connections at once: the most silent make room")
                self._drop(leaving)
            self._admit(connection)

    def _most_dispensable(self) -> Peer | None:
        """Who has been without a whole message for longest and waits for no answer; or is gone."""
        for peer in self._peers:
            if not peer.owed:
                return peer
        return next((peer for peer in self._peers if peer.has_left()), None)

    def _listen_again_in(self, delay_s: float) -> None:
        """Or as soon as somebody leaves; who comes waits in the kernel's queue."""
        self._listen(False)
        self._loop.call_later(delay_s, self._listen, True)

    def _admit(self, connection: socket.socket) -> None:
        uid = uid_of(connection)
        if uid != os.getuid():
            self._say(f"refused a connection of another user: uid {uid}")
            connection.close()
            return
        peer = Peer(connection, self._loop, self._turn)
        self._rank(peer)
        if peer.write(zmtp.OPENING):
            peer.listen(True)
            self._watch()
        else:
            self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        if peer not in self._peers:
            return
        del self._peers[peer]
        self._unfinished -= peer.counted
        peer.close()
        for request in peer.requests:
            request.cancel()
        self._listen(True)
        if not self._peers and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # what they say

    def _turn(self, peer: Peer) -> bool:
        """Some of what a peer has sent. False: there was nothing, or it is gone."""
        if not self._hear(peer, peer.take_in):
            return False
        for _ in range(MESSAGES_A_TURN):
            message = self._hear(peer, peer.take)
            if message is None:
                break
            self._take(peer, message)
            if not peer.listens:
                break
        if peer in self._peers and not peer.write_replies():
            self._drop(peer)
        self._count(peer)
        return peer in self._peers

    def _hear(self, peer: Peer, listen: Callable[[], T]) -> T | None:
        """What `listen` returns; None where nothing is there, or the peer is no use any more."""
        try:
            return listen()
        except BlockingIOError:
            return None
        except OSError:
            pass
        except WireError as error:
            self._say(f"dropped a connection: {error}")
        self._drop(peer)
        return None

    def _rank(self, peer: Peer) -> None:
        """Nobody is less dispensable now."""
        self._peers.pop(peer, None)
        self._peers[peer] = None
        peer.ranked_at = self._loop.time()

    def _count(self, peer: Peer) -> None:
        """Keep the sum of what is unfinished, and keep it small."""
        if peer not in self._peers:
            return
        self._unfinished += peer.held - peer.counted
        peer.counted = peer.held
        if self._unfinished > UNFINISHED_BYTES:
            self._say("too many bytes of unfinished messages: the largest was dropped")
            self._drop(max(self._peers, key=lambda one: one.counted))

    def _take(self, peer: Peer, message: list[bytes]) -> None:
        size = MESSAGE_OVERHEAD + sum(map(len, message)) + zmtp.FRAME_OVERHEAD * len(message)
        peer.owed.append(size)
        self._owed += size
        self._rank(peer)
        if len(peer.owed) >= OWED_MESSAGES or self._owed > OWED_BYTES:
            peer.listen(False)
        under_way = self._on_message(peer, message)
        if under_way is not None:
            peer.requests.add(under_way)
            under_way.add_done_callback(peer.requests.discard)

    def _settle(self, peer: Peer) -> None:
        """One answer is no longer owed."""
        full = self._owed > OWED_BYTES
        self._owed -= peer.owed.popleft()
        self._listen(True)  # this peer may make room now
        if self._owed > OWED_BYTES:
            return
        for one in list(self._peers) if full else [peer]:
            if one in self._peers and len(one.owed) < OWED_MESSAGES:
                one.listen(True)

    # how long they take

    def _watch(self) -> None:
        """See to it that there is a timer, at the earliest instant at which one is late."""
        if self._timer is None and self._peers:
            late_at = min(peer.late_at(PATIENCE_S) for peer in self._peers)
            self._timer = self._loop.call_at(late_at, self._look)

    def _look(self) -> None:
        """Ping who is silent, and let go who is late. Hear them first: we may have slept."""
        self._timer = None
        now = self._loop.time()
        for peer in [peer for peer in self._peers if peer.late_at(PATIENCE_S) <= now]:
            for _ in range(zmtp.MAX_MESSAGE_BYTES // peer.PIECE_BYTES):
                if not (peer.listens and peer.have_turn()):
                    break
            if peer in self._peers and peer.late_at(PATIENCE_S) <= now and not peer.remind():
                self._drop(peer)
        for peer in [peer for peer in self._peers if not peer.listens and peer.has_left()]:
            self._drop(peer)
        self._watch()


def _bind(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    umask = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # left behind by a daemon that was killed: we have its lock
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UnsafePath(f"cannot listen: {path}: {error.strerror}") from None
    finally:
        os.umask(umask)
    return listener
