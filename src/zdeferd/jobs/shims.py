"""Finds the files that decide what a version manager's shim leads to, and the versions of zsh.

pyenv, rbenv, nodenv, asdf and mise put one small program of each name into a folder `shims`. Which
program it starts depends on the version that is chosen. To ask the manager takes 50 ms and more,
so its files are looked at instead: those in which a version is chosen for the home folder, and the
program in each version. A version that a variable chooses is seen where the job watches it.

More than one zsh may be in use at once. So what counts is the set of the versions that have asked
so far: a new one is a change, two in turn are none. Each is an empty file in the state folder.
"""

import os
from collections.abc import Iterator, Mapping

from ..machine.paths import home_dir, state_dir

_CHOSEN_AT_HOME = (
    ".tool-versions",
    ".python-version",
    ".ruby-version",
    ".node-version",
    ".config/mise/config.toml",
)
_PROGRAMS = ("versions/*/bin", "installs/*/*/bin", "installs/*/*")


def behind(program: str) -> Iterator[str]:
    """Yield the paths and globs that decide what `program` starts; none where it is no shim."""
    folder, name = os.path.split(program)
    if os.path.basename(folder) != "shims":
        return
    root = os.path.dirname(folder)
    yield f"{root}/version"
    for chosen in _CHOSEN_AT_HOME:
        yield f"{home_dir(os.environ)}/{chosen}"
    for place in _PROGRAMS:
        yield f"{root}/{place}/{name}"


def zsh_versions(version: str, env: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the versions that have asked so far, `version` among them, in order."""
    folder = f"{state_dir(env)}/zsh"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.close(os.open(f"{folder}/{version}", os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        return tuple(sorted(os.listdir(folder)))
    except OSError:  # a full or read-only file system: only this one counts
        return (version,)
