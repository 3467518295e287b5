"""Finds the paths of one user's zdeferd, and refuses those that are not safely the user's.

The socket rule stands here and in the shim, and a test compares them: `$ZDEFERD_SOCKET`,
else `$XDG_RUNTIME_DIR/zdeferd/sock` (not on macOS), else
`$HOME/.local/state/zdeferd/run/sock`. A value that is empty or relative counts as unset.
Paths are joined as text, so that zsh and Python give the same bytes.

Assumes a POSIX system; imports nothing slow, because `zdeferctl status` starts with it.
"""

import errno
import os
import pwd
import stat
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..errors import UnsafePath

SOCKET_PATH_LIMIT = 107
"""Bytes of a socket's path on Linux (unix(7): 108 with the final NUL)."""
SOCKET_PATH_LIMIT_DARWIN = 103
STATE_SETTING = "state_dir in config.toml"
MEASURING = "zdeferd-perf."
"""Begins the name of the temporary folder in which `zdeferctl perf` has the logs of its shells."""
SOCKET_SETTING = "ZDEFERD_SOCKET, for the shells and the daemon,"
"""The settings that move the state folder and the socket, as advice names them."""


class Paths(NamedTuple):
    """Every path of one user's zdeferd, absolute."""

    home: str
    socket: str
    config_file: str
    jobs_dir: str
    state: str
    ledger: str
    lock: str
    runs: str
    shared_log: str
    """The shared log where neither a shell nor the settings name one."""
    daemon_log: str
    autostart: str
    """The marker that lets the shim start the daemon; the setting `state_dir` does not move
    it, because the shim reads no settings."""
    pointer: str
    """The file that names the socket in force, for shells whose rule gives another, and the
    daemon's `TZ`; beside the marker."""


def locate(
    env: Mapping[str, str], state_dir_setting: str = "", platform: str = sys.platform
) -> Paths:
    """Return the paths that `env` and the setting `state_dir` (empty: none) lead to."""
    config = config_dir(env)
    default_state = state_dir(env)
    state = state_dir_setting or default_state
    return Paths(
        home=home_dir(env),
        socket=socket_path(env, platform),
        config_file=f"{config}/config.toml",
        jobs_dir=f"{config}/jobs.d",
        state=state,
        ledger=f"{state}/ledger.sqlite3",
        lock=f"{state}/lock",
        runs=f"{state}/runs",
        shared_log=f"{state}/deferred.log",
        daemon_log=f"{state}/zdeferd.log",
        autostart=f"{default_state}/autostart",
        pointer=f"{default_state}/socket",
    )


def socket_path(env: Mapping[str, str], platform: str = sys.platform) -> str:
    """Return the socket's path by the rule above; `check_socket_path` checks its length."""
    if own := _absolute(env, "ZDEFERD_SOCKET"):
        return own
    runtime = _absolute(env, "XDG_RUNTIME_DIR")
    if runtime and platform != "darwin":
        return f"{runtime}/zdeferd/sock"
    return f"{home_dir(env)}/.local/state/zdeferd/run/sock"


def socket_in_force(where: Paths, env: Mapping[str, str]) -> str:
    """Return the socket at which the daemon can be reached.

    It is that of the rule. Where nothing is there, and `$ZDEFERD_SOCKET` does not name it, it
    is the one that the pointer file leads to: another session started the daemon. The shim
    does the same.
    """
    if _absolute(env, "ZDEFERD_SOCKET") or os.path.lexists(where.socket):
        return where.socket
    return pointed_socket(where.pointer) or where.socket


def pointed_socket(pointer: str) -> str:
    """Return the socket that the file `pointer` names, empty where one of them is not ours."""
    try:
        path = _lines(pointer)[0]
        return path if path.startswith("/") and _ours(path, stat.S_ISSOCK) else ""
    except (OSError, ValueError):
        return ""


def daemon_zone(pointer: str, env: Mapping[str, str]) -> str | None:
    """Return the `TZ` of the daemon that wrote the file `pointer`; None: it has none.

    Where there is no such file it is the one of `env`.
    """
    try:
        zones = [line for line in _lines(pointer)[1:] if line.startswith("TZ=")]
    except OSError:
        return env.get("TZ")
    return zones[0].removeprefix("TZ=") if zones else None


def _lines(pointer: str) -> list[str]:
    """Return the lines of a pointer file; OSError where it is not ours."""
    if not _ours(pointer, stat.S_ISREG):
        raise PermissionError
    with open(pointer, "rb") as file:
        return os.fsdecode(file.read(8192)).split("\n")


def _ours(path: str, is_kind: Callable[[int], bool]) -> bool:
    """Return whether `path` is no symlink, of that kind, and ours in a folder of ours. OSError."""
    found, folder = os.lstat(path), os.stat(os.path.dirname(path))
    return is_kind(found.st_mode) and found.st_uid == folder.st_uid == os.getuid()


def config_dir(env: Mapping[str, str]) -> str:
    """Return the folder of config.toml and jobs.d."""
    base = _absolute(env, "XDG_CONFIG_HOME") or f"{home_dir(env)}/.config"
    return f"{base}/zdeferd"


def state_dir(env: Mapping[str, str]) -> str:
    """Return the folder of ledger, runs and logs, unless the settings name another."""
    base = _absolute(env, "XDG_STATE_HOME") or f"{home_dir(env)}/.local/state"
    return f"{base}/zdeferd"


def cache_dir(env: Mapping[str, str]) -> str:
    """Return the folder of all caches that shells source; shell/functions/zdeferd-eval has it."""
    base = _absolute(env, "XDG_CACHE_HOME") or f"{home_dir(env)}/.cache"
    return f"{base}/zdeferd"


def home_dir(env: Mapping[str, str]) -> str:
    """Return `$HOME`, else the home folder of the user database, else `/`."""
    if home := _absolute(env, "HOME"):
        return home
    try:
        return pwd.getpwuid(os.getuid()).pw_dir or "/"
    except KeyError:
        return "/"


def _absolute(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    return value if value.startswith("/") else ""


def check_runtime_dir(env: Mapping[str, str], platform: str = sys.platform) -> None:
    """Raise UnsafePath where the socket would be in another user's runtime folder.

    `su` and `sudo` leave `$XDG_RUNTIME_DIR` as it was; its owner could replace what is in it.
    """
    runtime = _absolute(env, "XDG_RUNTIME_DIR")
    if not runtime or platform == "darwin" or _absolute(env, "ZDEFERD_SOCKET"):
        return
    try:
        owner = os.stat(runtime).st_uid
    except OSError:
        return  # a missing folder is made later, or its making fails
    if owner != os.getuid():
        raise UnsafePath(
            f"$XDG_RUNTIME_DIR is not yours: {runtime}: uid {owner}",
            "unset it, or start a login shell of this user (su -, sudo -i)",
        )


def check_home(env: Mapping[str, str]) -> None:
    """Raise UnsafePath where HOME is another user's: `sudo -s` and `su -m` leave it as it was.

    Files that are made there now would be in that user's way, or be put elsewhere by a link.
    """
    home = home_dir(env)
    try:
        owner = os.stat(home).st_uid
    except OSError:
        return  # the first file that is made there fails
    if owner not in (os.getuid(), 0):
        raise UnsafePath(
            f"HOME is not yours: {home}: uid {owner}",
            "start a login shell of this user (su -, sudo -i)",
        )


def check_socket_path(path: str, platform: str = sys.platform) -> None:
    """Raise UnsafePath where the kernel would refuse (or cut) the path of a socket."""
    limit = SOCKET_PATH_LIMIT_DARWIN if platform == "darwin" else SOCKET_PATH_LIMIT
    length = len(os.fsencode(path))
    if length > limit:
        raise UnsafePath(
            f"socket path too long: {path}: {length} bytes, at most {limit}",
            "set ZDEFERD_SOCKET to a shorter path, for the shells and the daemon",
        )


def ensure_private_dir(path: str) -> None:
    """Make `path` (and its parents) with mode 0700; UnsafePath if it is not ours alone."""
    try:
        make_dirs(path)
    except OSError as error:
        raise UnsafePath(f"cannot make folder: {path}: {error.strerror}") from None
    check_private_dir(path)


def check_private_dir(path: str) -> None:
    """Raise UnsafePath unless `path` is a folder, no symlink, ours, closed to others."""
    _check_private(path, "folder", stat.S_ISDIR, "700")


def check_private_file(path: str) -> None:
    """Raise UnsafePath unless `path` is a regular file, no symlink, ours, closed to others."""
    _check_private(path, "file", stat.S_ISREG, "600")


def check_regular(path: str) -> None:
    """Raise UnsafePath unless `path` is a regular file and no symlink, of any owner."""
    _check_kind(path, "file", stat.S_ISREG)


def make_dirs(path: str) -> None:
    """Make a folder and those above it, each new one 0700; os.makedirs closes only the last."""
    parent = os.path.dirname(path.rstrip("/"))
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        if parent in ("", path):
            raise
        make_dirs(parent)
        os.mkdir(path, 0o700)
    sync_folder(parent or ".")


def sync_folder(path: str) -> None:
    """Make the names in a folder durable: without this, a power cut can take a new one away.

    OSError, but not where the folder may be entered and not read (a home below a closed
    folder), nor where its file system has nothing to sync.
    """
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(folder)


def _check_kind(path: str, what: str, is_kind: Callable[[int], bool]) -> os.stat_result:
    try:
        found = os.lstat(path)
    except OSError as error:
        raise UnsafePath(f"cannot look at {what}: {path}: {error.strerror}") from None
    if stat.S_ISLNK(found.st_mode):
        raise UnsafePath(f"symlinks are not followed here: {path}", f"replace it by a real {what}")
    if not is_kind(found.st_mode):
        raise UnsafePath(f"not a {what}: {path}", "move it out of the way")
    return found


def _check_private(path: str, what: str, is_kind: Callable[[int], bool], mode: str) -> None:
    found = _check_kind(path, what, is_kind)
    if found.st_uid != os.getuid():
        remedy = "move it away, or name a place of your own (ZDEFERD_SOCKET, XDG_STATE_HOME)"
        raise UnsafePath(f"not owned by you: {path}: uid {found.st_uid}", remedy)
    if stat.S_IMODE(found.st_mode) & 0o077:
        actual = f"{stat.S_IMODE(found.st_mode):04o}"
        raise UnsafePath(f"open to others: {path}: mode {actual}", f"chmod {mode} {path}")
