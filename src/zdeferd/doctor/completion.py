"""Reads from the dumps of `zdefer compinit` what they leave out as insecure.

The dump says so itself, in comments at its beginning (shell/live/dump.zsh writes them). What has
been mended since is passed over: the next shell has the dump made anew.
"""

from __future__ import annotations

import glob
import os
import stat

from ..machine.paths import cache_dir
from ..view.health import Trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MARK = "# insecure: "
_MOST_READ = 1 << 16


def dumps_of(env: Mapping[str, str]) -> list[str]:
    """Return the paths of all dumps of a shell with this environment."""
    return sorted(glob.glob(f"{glob.escape(cache_dir(env))}/compinit/compinit-*.zsh"))


def insecure_troubles(dumps: Iterable[str]) -> list[Trouble]:
    """Return a trouble for each path that a dump leaves out and that is still insecure."""
    named = dict.fromkeys(path for dump in dumps for path in _named(dump))
    says = "completion leaves out what is insecure"
    return [Trouble(f"{says}: {path}", _remedy(path)) for path in named if _is_insecure(path)]


def _remedy(path: str) -> str:
    return f"chmod go-w {path}, or where its owner is wrong chown it; compaudit lists all"


def _named(dump: str) -> Iterator[str]:
    try:
        fd = os.open(dump, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        head = os.read(fd, _MOST_READ) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)
    for line in os.fsdecode(head).split("\n"):
        if not line.startswith("#"):
            return
        if line.startswith(_MARK):
            yield line.removeprefix(_MARK)


def _is_insecure(path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return bool(found.st_mode & 0o022) or found.st_uid not in (0, os.getuid())
