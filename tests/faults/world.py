"""Set-ups of the tests of faults: small disks, a failing disk, and the user's messages.

The sick disk is a library that is loaded into the daemon alone (never part of the
product): while a switch file exists, every change to files below a folder fails with the
error number that stands in it.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support.daemon import Daemon, Peer, attempts, visit
from support.user import call


def _may_mount() -> bool:
    """Root in a container often may not."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(not _may_mount(), reason="mounting needs root")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="a fault that only Linux has")
COMPILER = shutil.which("gcc") or shutil.which("cc")
needs_compiler = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux", reason="the sick disk is made with gcc, on Linux"
)


def said_by(daemon: Daemon, verb: str) -> Any:
    """The document of a verb of zdeferctl that the daemon's user calls."""
    with patch.dict(os.environ, daemon.env, clear=True):
        return call(verb, "--json").document


def doctor(daemon: Daemon) -> str:
    """Return doctor's findings that are not ok: level, check, finding, remedy."""
    findings = said_by(daemon, "doctor")["findings"]
    lines = [f"{f['level']} {f['check']} {f['found']} {f['remedy']}" for f in findings]
    return "\n".join(line for line in lines if not line.startswith("ok"))


def status(daemon: Daemon) -> str:
    """Return the problems that status lists."""
    return "\n".join(said_by(daemon, "status")["problems"])


def heals(daemon: Daemon) -> None:
    """Wait until status lists no problem: the daemon notes that soon after what has shown it."""
    until(lambda: status(daemon) == "", "a problem stays")


def until(condition: Callable[[], bool], what: str = "it did not come true") -> None:
    """Wait, with a limit, for a fact that no event announces."""
    assert any(condition() for _ in attempts()), what


def prompt(daemon: Daemon, nonce: str, code: str, log: Path | None = None, job: str = "") -> None:
    """A shell that registers one job, named as itself, and is answered."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(daemon.home)}
    environ |= {"PERF_SEGMENT_LOG": str(log)} if log else {}
    with Peer(daemon.socket) as peer:
        answer = peer.ask(visit(nonce, 1, {job or nonce: code}, environ))
    assert answer[0] == b"ok", answer


def lines_of(*logs: Path, job: str) -> list[str]:
    """The DEFERRED lines of a job in these files."""
    texts = [log.read_text() for log in logs if log.is_file()]
    return [line for text in texts for line in text.splitlines() if f"DEFERRED id={job} " in line]


def ended(daemon: Daemon, job: str) -> list[tuple[str, int]]:
    """Outcome and rc of every run of a job that has ended."""
    found: list[tuple[str, int]] = daemon.rows(
        "SELECT outcome, rc FROM runs WHERE job = ? AND state = 'ended'", job
    )
    return found


def wait_ended(daemon: Daemon, job: str, runs: int = 1) -> list[tuple[str, int]]:
    """The same, once there are that many."""
    daemon.wait_for(f"SELECT count(*) FROM runs WHERE state = 'ended' AND job = '{job}'", runs)
    return ended(daemon, job)


@contextmanager
def small_disk(folder: Path, size: str = "64k") -> Iterator[Path]:
    """A disk of its own under `folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        unmount(folder)


def unmount(folder: Path) -> None:
    """Detach a mount; it goes as soon as no process uses it."""
    for _ in attempts():
        if subprocess.run(["umount", str(folder)], stderr=subprocess.DEVNULL).returncode == 0:
            return
    raise AssertionError(f"still used: {folder}")


def fill(folder: Path) -> Path:
    """Leave no room on the disk of `folder`; -> the file whose removal frees it."""
    filler = folder / "filler"
    for size in (1 << 16, 1 << 12, 1):
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while file.write(bytes(size)):
                pass
    return filler


# --- the sick disk -------------------------------------------------------------

SICK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int sick(const char *path) {
    const char *folder = getenv("SICK_FOLDER"), *name = getenv("SICK_SWITCH");
    char text[16] = {0};
    if (!folder || !name || strncmp(path, folder, strlen(folder))) return 0;
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int file = real_open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t (*real_read)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    real_read(file, text, sizeof text - 1);
    close(file);
    return atoi(text);
}
static int sick_fd(int fd) {
    char link[64], path[4096] = {0};
    int before = errno, found = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0) found = sick(path);
    errno = before;
    return found;
}
#define FD(type, name, args, call) type name args { \
    int error = sick_fd(fd); \
    if (error) { errno = error; return -1; } \
    type (*real) args = dlsym(RTLD_NEXT, #name); \
    return real call; }
FD(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
FD(ssize_t, pwrite, (int fd, const void *d, size_t size, off_t at), (fd, d, size, at))
FD(ssize_t, pwrite64, (int fd, const void *d, size_t size, off_t at), (fd, d, size, at))
FD(int, fsync, (int fd), (fd))
FD(int, fdatasync, (int fd), (fd))
FD(int, ftruncate, (int fd, off_t size), (fd, size))
FD(int, ftruncate64, (int fd, off_t size), (fd, size))
int mkdir(const char *path, mode_t mode) {
    int error = sick(path);
    if (error) { errno = error; return -1; }
    int (*real)(const char *, mode_t) = dlsym(RTLD_NEXT, "mkdir");
    return real(path, mode);
}
"""


def make_sick_disk(folder: Path) -> Path:
    """The library, compiled."""
    source, library = folder / "sick.c", folder / "sick.so"
    source.write_text(SICK)
    assert COMPILER is not None
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-O1", "-w", "-o", str(library), str(source), "-ldl"],
        check=True,
    )
    return library


class SickDisk:
    """Makes changes below a folder fail in the daemon that has its `environment`."""

    def __init__(self, library: Path, home: Path, folder: Path) -> None:
        self._switch = home / "sick"
        self.environment = {
            "LD_PRELOAD": str(library),
            "SICK_FOLDER": str(folder),
            "SICK_SWITCH": str(self._switch),
        }

    @contextmanager
    def failing(self, error: int) -> Iterator[None]:
        """While in here."""
        self._switch.write_text(str(error))
        try:
            yield
        finally:
            self._switch.unlink()


# --- processes -----------------------------------------------------------------


def spawner_of(daemon: Daemon) -> int:
    """The pid of a daemon's spawner."""
    assert daemon.process is not None
    path = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    found: list[int] = []
    for _ in attempts():
        for pid in map(int, path.read_text().split()):
            with suppress(OSError):
                if b"spawner.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        if found:
            return found[0]
    raise AssertionError("there is no spawner")


@contextmanager
def limited(pid: int, what: int, most: int) -> Iterator[None]:
    """Process `pid` under a soft limit, while in here."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, what, before)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process of ours that does not run, while in here."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
