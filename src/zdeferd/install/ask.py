"""Asks zsh itself: where its .zshrc is, and whether a new interactive shell has the plugin.

Text does not tell: ZDOTDIR may be set in .zshenv without being exported, and a plugin
manager may have its list of plugins in another file. The interactive shell gets a terminal
of its own, so that nothing it prints is seen, and is ended after a limit.
"""

import os
import pty
import select
import signal
import time
from collections.abc import Mapping
from typing import NamedTuple

from ..machine import zsh as zsh_of
from ..machine.processes import as_in_multiplexer

LIMIT_S = 5.0
MOST_BYTES = 1 << 18
"""Of what an interactive shell prints before its answer."""
_LOADED = 'print -r -- "$1$+functions[zdefer]${_zdeferd_root-}$2"'


class Loaded(NamedTuple):
    """The answer of an interactive shell about the plugin."""

    is_loaded: bool
    folder: str
    """Where it was loaded from; empty where it is not."""


def zdotdir(zsh: str, env: Mapping[str, str]) -> str:
    """Return the folder that ZDOTDIR names in a new shell; empty where it names none."""
    found = zsh_of.zdotdir(zsh, env, LIMIT_S)
    return env.get("ZDOTDIR", "") if found is None else found


def loaded(zsh: str, env: Mapping[str, str], folder: str) -> Loaded | None:
    """Return whether a new interactive shell loads the plugin; None: it gave no answer in time, or
    there is no terminal to be had.

    `folder` has its startup files. Where there are none, zsh would begin a dialogue.
    """
    if not any(os.path.lexists(f"{folder}/{name}") for name in zsh_of.STARTUP):
        return Loaded(False, "")
    argv = [zsh, "-i", "-c", _LOADED, "zsh", zsh_of.MARK, zsh_of.END]
    try:
        pid, terminal = pty.fork()
    except OSError:
        return None
    if pid == 0:
        try:
            os.execve(zsh, argv, as_in_multiplexer(env))
        finally:
            os._exit(127)
    try:
        answer = zsh_of.answer(_read(terminal, time.monotonic() + LIMIT_S))
    finally:
        os.close(terminal)  # the programs of the terminal get a SIGHUP
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return None if answer is None else Loaded(answer[:1] == "1", answer[1:])


def _read(terminal: int, until: float) -> bytes:
    """Return what is printed up to the answer, the end of the shell, or the limit."""
    data = b""
    while zsh_of.END.encode() not in data and len(data) < MOST_BYTES:
        left = until - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            break
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # EIO: the shell has ended
            break
        if not piece:
            break
        data += piece
    return data
