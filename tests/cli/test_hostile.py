"""Every verb on a terminal, with hostile output, descriptions, names, paths and arguments."""

import json
import re

from support.daemon import LIMIT_S, Daemon, Peer, visit
from support.pty import Pty
from support.user import SOURCE, User, ctl_script

EVIL = "\x1b]0;OWNED\x07\x1b[31m\x9b31m\x1b[6n\u202e"
JOB = f"""\
[evil]
run = "print $'\\\\e]0;OWNED\\\\a\\\\e[31m\\\\e[6n'; exit 3"
description = {json.dumps(EVIL)}
once_per = "ever"
[words]
run = ["echo", {json.dumps(EVIL)}]
"""
REFUSED = f"""\
[{json.dumps(EVIL)}]
run = "true"
[other]
run = "true"
{json.dumps(EVIL)} = 1
timeout = {json.dumps(EVIL)}
"""
READS = [
    "status", "jobs", "runs", "show evil", "show words", "log evil", "log -f evil", "why evil",
    "why shells", "why late", "check", "reload", "doctor", "jobs --ids", "runs --ids", "run evil",
    "run other", "install --dry-run", "uninstall --dry-run", "cancel evil",
]  # fmt: skip
TAKES_EVIL = [
    "why", "show", "log", "run", "cancel", "runs", "runs --outcome", "status", "nosuch", "help", ""
]  # fmt: skip


def printed(user: User, *words: str) -> bytes:
    """What zdeferctl prints on a terminal, its own lines of progress left out."""
    env = user.env | {"TERM": "xterm", "NO_COLOR": "1", "PYTHONPATH": str(SOURCE)}
    with Pty(env, [str(ctl_script(user)), *words], (24, 200)) as terminal:
        found = b""
        while part := terminal.take(LIMIT_S):
            found += part
        assert terminal.ended(LIMIT_S) is not None
    return found.replace(b"\x1b[G\x1b[K", b"").replace(b"\r\n", b"\n")


def drives(found: bytes) -> list[str]:
    """Everything in it that a terminal obeys."""
    return re.findall(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", found.decode(errors="surrogateescape")
    )


def test_no_verb_lets_anything_through(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOB)
    user.job_file(REFUSED, "bad\x1b[31m.toml")
    (user.config / "config.toml").write_text(f'{json.dumps(EVIL)} = 3\nlog = "{user.root}/x"\n')
    daemon.start()
    env = {"HOME": str(user.root), "PATH": "/usr/bin:/bin", "PERF_SEGMENT_LOG": "/no/\x1b[31m/x"}
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"shells": f"true # {EVIL}", "late": EVIL}, env))
        peer.ask(visit("n1", 2, {"x\x1b[31m": "true"}, env))
    daemon.wait_until_done(4)
    assert printed(user, "log", "evil", "--raw").startswith(b"\x1b]0;OWNED\x07")
    assert printed(user, "log", "evil").startswith(b"^[]0;OWNED^G^[[31m^[[6n\n")
    calls = [line.split() for line in READS] + [[*line.split(), EVIL] for line in TAKES_EVIL]
    for words in calls:
        found = printed(user, *words)
        assert (words, drives(found)) == (words, [])
        assert found or words == ["runs", "--ids"]


def test_nor_does_the_daemon_s_own_log(daemon: Daemon) -> None:
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask([b"hello", EVIL.encode() + b"=1"])
    daemon.stop()
    found = daemon.errors.read_bytes()
    assert b"OWNED" in found
    assert drives(found) == []
