"""The settings of config.toml as plain values, with their defaults."""

from typing import NamedTuple

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    """config.toml, whole; docs/operations.md lists each key."""

    idle_after_s: float = 60.0
    jobs_at_once: int = 1
    default_timeout_s: float = 600.0
    kill_grace_s: float = 5.0
    keep_runs_s: float = 90 * 86400.0
    output_limit_bytes: int = 1 << 20
    exit_after_s: float = 300.0
    """Idle exit, when socket-activated."""
    log: str = ""
    """The shared log where no shell names one; empty: `deferred.log` in the state folder."""
    log_limit_bytes: int = 10 << 20
    """`deferred.log` and its sidecar are rotated when they have reached this size."""
    log_keep: int = 5
    """So many older ones are kept of each."""
    notify: str | tuple[str, ...] = "off"
    """How the user is told that a job failed: `off`, `prompt`, `desktop`, or a command."""
    state_dir: str = ""
    """Empty: `$XDG_STATE_HOME/zdeferd`."""


class Rotation(NamedTuple):
    """Which logs the daemon rotates, from which size on, and how many older ones are kept."""

    paths: frozenset[str]
    limit_bytes: int
    keep: int
