"""Forks runners, from a process that has loaded all they need.

Owns one end of a stream socket to the daemon; runs as `python -I -S <this file> <fd>`.
Each line it reads is a request (launch.Request) as ASCII JSON; each is answered by a
line, `{"folder", "attempt", "pid"}` or `{"folder", "attempt", "error"}`: no process.

It is executed, never forked from the daemon, whose locks a fork would hold. It exits at
the end of file, and looks for that end before each fork, so that no queued request is
started after the daemon's end. It ignores the signals that end a terminal's or a service's
processes, and SIGCHLD: runners outlive it. SIGTERM is blocked, not ignored: a runner
unblocks it when it can act on it, so that a cancellation in its first instants is kept.

Assumes one thread (a fork copies no other) and the standard library only: with -S there
is no site-packages, so zdeferd itself is found from this file's own path.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys

if not __package__:
    # Behind the standard library: beside zdeferd there may be files that shadow it.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from zdeferd.attempts import records, runner
from zdeferd.crashpoints import reached
from zdeferd.processes import resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from zdeferd.attempts.launch import Request

_IGNORED = (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)


def serve(channel: int) -> None:
    """Fork a runner for each request on the stream socket `channel`, until its end."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    rest = b""
    while data := os.read(channel, 1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if any(events & select.POLLHUP for _, events in poll.poll(0)):
                return
            reached("spawner.asked")
            answer = json.dumps(_answer(line, channel)).encode() + b"\n"
            while answer:
                answer = answer[os.write(channel, answer) :]
            reached("spawner.answered")


def _answer(line: bytes, channel: int) -> dict[str, Any]:
    try:
        request = json.loads(line)
        answer = {"folder": request["folder"], "attempt": request["attempt"]}
    except (ValueError, KeyError, TypeError) as error:
        return {"folder": "", "attempt": 0, "error": f"malformed request: {error!r}"}
    try:
        return answer | {"pid": _fork(request, channel)}
    except OSError as error:
        return answer | {"error": str(error)}


def _fork(request: Request, channel: int) -> int:
    # Opened here, so that the daemon sees its end also where a runner ends at its first step.
    alive = records.open_alive(request["folder"])
    reached("spawner.ready")
    try:
        pid = os.fork()
        if pid == 0:
            os.close(channel)
            runner.main(request, alive)
        reached("spawner.forked")
        return pid
    except OSError as error:
        # The daemon mostly sees the end of `alive` before the answer, so the reason goes there.
        records.say(alive, f"refused cannot make a process: {error.strerror}\n")
        raise
    finally:
        os.close(alive)


def main() -> None:
    """Run the program `spawner.py FD`."""
    channel = int(sys.argv[1])
    os.set_inheritable(channel, False)
    resources.close_descriptors(channel)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    os.chdir("/")
    if os.getsid(0) != os.getpid():
        os.setsid()
    gc.disable()  # runners are short, and a collection would unshare their memory
    gc.freeze()
    try:
        serve(channel)
    except OSError:
        pass  # the daemon ended during a read or an answer


if __name__ == "__main__":
    main()
