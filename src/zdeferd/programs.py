"""Starts the programs zdeferd and zdeferctl, out of reach of the shell's Python settings.

`PYTHONPATH` and `PYTHONHOME` are meant for the user's own programs. Modules of that name would
take the place of ours; an empty element means whatever folder one is in. Where one is set the
interpreter is executed again without them. This module imports as little as it can before
that, and costs a start without such a variable nothing.
"""

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

REACHING = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONINSPECT"),
    *("PYTHONOPTIMIZE", "PYTHONWARNDEFAULTENCODING"),
)
"""Variables that change what is imported, what follows the program's end, or what it prints.

Help texts are docstrings, which PYTHONOPTIMIZE=2 takes away.
"""


def daemon() -> int:
    """Run zdeferd and return its exit code."""
    isolate("zdeferd.daemon")
    return int(import_module("zdeferd.daemon.main").main())


def zdeferctl() -> int:
    """Run zdeferctl and return its exit code."""
    isolate("zdeferd.cli")
    return int(import_module("zdeferd.cli").main())


def daemon_parser(version: str) -> "argparse.ArgumentParser":
    """Return the parser of zdeferd's arguments."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="zdeferd",
        description="Runs the deferred work of your shells: once, measured, away from the prompt.",
        epilog="Settings: config.toml; jobs: jobs.d/*.toml; look inside: zdeferctl status.",
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="go to the background once the socket answers, and log to zdeferd.log",
    )
    told = "print the version"
    parser.add_argument("--version", action="version", version=f"zdeferd {version}", help=told)
    return parser


def isolate(module: str) -> None:
    """Execute `module` again without the variables of REACHING, where one is set.

    Not where zdeferd itself is found by PYTHONPATH: a checkout that is not installed.
    """
    if sys.flags.ignore_environment or not any(map(os.environ.get, REACHING)):
        return
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if ours not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        # Not -I, which would hide an installation in the user's own site-packages.
        os.execv(sys.executable, [sys.executable, "-E", "-P", "-m", module, *sys.argv[1:]])
