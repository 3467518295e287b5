"""Finds the paths of this user's zdeferd, the setting `state_dir` included.

Most users do not set it, and then the answer costs nothing; else config.toml is
read by the daemon's own rules, so that both always look in the same place.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..machine.files import open_regular
from ..machine.paths import Paths, locate, socket_in_force


def find_paths(env: Mapping[str, str]) -> Paths:
    """Return all paths, those of the setting `state_dir` included, and the socket in force."""
    paths = _find_paths(env)
    return paths._replace(socket=socket_in_force(paths, env))


def _find_paths(env: Mapping[str, str]) -> Paths:
    paths = locate(env)
    try:
        with open(paths.config_file, "rb", opener=open_regular) as file:
            names_it = b"state_dir" in file.read()
    except OSError:
        names_it = False
    if not names_it:
        return paths
    from ..jobs.files import load  # its imports would cost every `status` 40 ms

    return locate(env, load(paths).settings.state_dir)
