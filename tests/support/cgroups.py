"""A cgroup (version 2) for a test, with nothing in it at first."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.daemon import attempts

MOUNTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


def why_not() -> str:
    """Why there is none here; empty where there is."""
    if not any((mount / "cgroup.controllers").exists() for mount in MOUNTS):
        return "cgroups of version 2 are not mounted"
    return "" if os.geteuid() == 0 else "cgroups of one's own need root or a delegation"


@contextlib.contextmanager
def delegated() -> Iterator[Path]:
    """A cgroup as a service manager gives one to a service; all in it is killed at the end."""
    mount = next(mount for mount in MOUNTS if (mount / "cgroup.controllers").exists())
    base = Path(tempfile.mkdtemp(prefix="zdeferd-test-", dir=mount))
    try:
        yield base
    finally:
        (base / "cgroup.kill").write_text("1")
        for _ in attempts():
            if "populated 0" in (base / "cgroup.events").read_text():
                break
        for folder, _, _ in os.walk(base, topdown=False):
            os.rmdir(folder)


def into(base: Path, *command: str) -> list[str]:
    """The words that execute `command` in a cgroup."""
    return ["sh", "-c", f'echo $$ > {base}/cgroup.procs; exec "$@"', "sh", *command]
