"""Describes this machine for install/plan.py, and finds the daemon's program."""

from __future__ import annotations

import os
import shutil
import sys

from ..errors import ZdeferdError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..install.plan import Host


def this_host(env: Mapping[str, str], needs_program: bool = False, asks_zsh: bool = False) -> Host:
    """Return the host: the user, the manager that answers, the paths of the programs.

    `asks_zsh`: zsh says which .zshrc it reads.
    """
    from ..install.plan import Host, answering_service
    from ..view.where import find_paths

    program = daemon_program(env)
    zsh = shutil.which("zsh", path=env.get("PATH"))
    if needs_program and not program:
        raise ZdeferdError(
            "program not found: zdeferd",
            "install it beside zdeferctl, such as with `pipx install .` in a checkout",
        )
    folder = env.get("ZDOTDIR", "")
    if zsh and asks_zsh:
        from ..install.ask import zdotdir  # it runs programs: slow to import

        folder = zdotdir(zsh, env)
    return Host(
        paths=find_paths(env),
        env=env,
        uid=os.getuid(),
        manager=answering_service(sys.platform),
        program=program,
        zsh=zsh,
        zdotdir=folder,
    )


def daemon_program(env: Mapping[str, str]) -> str:
    """Return the absolute path of `zdeferd`: beside zdeferctl, else in PATH, else empty."""
    for folder in (os.path.dirname(os.path.abspath(sys.argv[0])), os.path.dirname(sys.executable)):
        beside = os.path.join(folder, "zdeferd")
        if os.path.isfile(beside) and os.access(beside, os.X_OK):
            return beside
    found = shutil.which("zdeferd", path=env.get("PATH"))
    return "" if found is None else os.path.abspath(found)
